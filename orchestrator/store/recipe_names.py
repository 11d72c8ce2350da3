"""Names of recipes that are unique within one plan."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

COLUMNS = ("space", "dataset", "task", "recipe", "recipe_id", "recipe_json")


def named(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The names of the recipes of these rows by recipe_id: `demo`, or `demo (epochs=2)` beside another `demo`."""
    seen = {row["recipe_id"]: row for row in rows}
    ids: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in seen.values():
        ids[tuple(row[name] for name in COLUMNS[:4])].add(row["recipe_id"])
    if all(len(alike) == 1 for alike in ids.values()):
        return {key: row["recipe"] for key, row in seen.items()}
    import pandas as pd

    from analysis.comparison import recipes  # loads the whole analysis, which takes a second: only where it is needed

    frame = pd.DataFrame([{name: row[name] for name in COLUMNS} for row in seen.values()])
    return dict(zip(seen, map(str, recipes.column(frame)), strict=True))
