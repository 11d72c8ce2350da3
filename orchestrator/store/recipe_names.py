"""Names of recipes that are unique within one plan."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from workers.recipes import current_name, question

COLUMNS = ("space", "dataset", "task", "recipe", "recipe_id", "recipe_json")


def named(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The names of the recipes of these rows by recipe_id: `demo`, or `demo (epochs=2)` beside another `demo`."""
    stored = dict.fromkeys(tuple(row[name] for name in COLUMNS) for row in rows)
    seen = dict.fromkeys((*cell, _name(name, text), i, text) for *cell, name, i, text in stored)
    of_one_name: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for *cell, recipe_id, text in seen:
        of_one_name[tuple(cell)].add(_without_speed(text) or recipe_id)
    if all(len(alike) == 1 for alike in of_one_name.values()):
        return {recipe_id: name for *_, name, recipe_id, _ in seen}
    import pandas as pd

    from analysis.comparison import recipes  # loads the whole analysis, which takes a second: only where it is needed

    frame = pd.DataFrame(list(seen), columns=list(COLUMNS))
    return dict(zip(frame["recipe_id"], map(str, recipes.column(frame)), strict=True))


def _name(name: Any, text: Any) -> Any:
    """Today's name of a recipe with this JSON."""
    try:
        facts = json.loads(text)
    except (TypeError, ValueError):
        return name
    return current_name(name, facts) if isinstance(facts, dict) else name


def _without_speed(text: Any) -> str | None:
    """What identifies a recipe besides the settings that affect only speed; None if there is no such text."""
    try:
        return question(text)
    except ValueError:
        return None
