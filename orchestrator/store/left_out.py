"""Finished trials of a run that its study does not contain any more: their number and how they differ."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.store.run_folder import RunStore

# Columns whose values are reported; two ids of one dataset mean different content under the same name.
_COLUMNS = ("space", "dataset", "dataset_id", "task", "seed", "recipe")
_MOST = 3  # values reported per column


@dataclass(frozen=True)
class LeftOut:
    """The number of trials with an ok row that the plan does not contain, and how they differ from the planned ones."""

    count: int
    differs: str

    def __str__(self) -> str:
        trials = f"{self.count:,} finished trials are" if self.count > 1 else "1 finished trial is"
        return (
            f"{trials} not in the study any more ({self.differs}): kept in rows/, but left out of all numbers; "
            "to have both, name both in the study, as by a second [[sweeps]]"
        )


def left_out(store: RunStore, plan: pa.Table | None = None, done: set[str] | None = None) -> LeftOut | None:
    """The finished trials that the plan leaves out, None where there are none or the run has no plan.

    `plan` and `done` (ids of trials with an ok row) are read from the run where they are not known already.
    """
    planned = store.plan(["trial_id"]) if plan is None else plan
    if planned is None:
        return None
    if done is None:
        rows = store.attempts(["trial_id", "status"])
        done = set(rows["trial_id"].filter(pc.equal(rows["status"], "ok")).to_pylist())
    ids = done - set(planned["trial_id"].to_pylist())
    planned = store.plan() if plan is None and ids else planned  # all columns, where they are needed
    if not ids or planned is None:
        return None
    rows = store.attempts(["trial_id", "status", "arch", "recipe_json", *_COLUMNS])
    rows = rows.filter(pc.equal(rows["status"], "ok"))
    rows = rows.filter(pc.is_in(rows["trial_id"], value_set=pa.array(sorted(ids))))
    return LeftOut(len(ids), _differences(rows, planned))


def _differences(rows: pa.Table, plan: pa.Table) -> str:
    """What values the rows have that no planned trial has, and which planned ones stand in their place."""
    found = []
    ours, theirs = _values(rows), _values(plan)
    for name in [n for n in ours if n in theirs]:
        gone, new = ours[name] - theirs[name], theirs[name] - ours[name]
        if gone and not (name == "dataset_id" and ours["dataset"] - theirs["dataset"]):
            found.append(f"{name} {_some(gone)}" + (f", now {_some(new)}" if new else ""))
    archs = set(_texts(rows, "arch")) - set(_texts(plan, "arch"))
    if archs:
        found.append(f"{len(archs):,} architecture{'s' * (len(archs) != 1)}")
    return "; ".join(found) or "other combinations of architecture, task, seed and recipe"


def _values(table: pa.Table) -> dict[str, set[str]]:
    """The values of the columns, and of each setting of the recipes."""
    values: dict[str, set[str]] = {name: set(_texts(table, name)) for name in _COLUMNS if name in table.column_names}
    settings: dict[str, set[str]] = defaultdict(set)
    for text in _texts(table, "recipe_json"):
        try:
            recipe: Any = json.loads(text)
        except ValueError:
            continue
        for name, value in recipe.items() if isinstance(recipe, dict) else ():
            settings[name].add(json.dumps(value))
    return values | settings


def _texts(table: pa.Table, name: str) -> Iterable[str]:
    """The distinct values of a column, as text; none where the table lacks it."""
    if name not in table.column_names:
        return []
    return [str(value) for value in pc.unique(table[name]).to_pylist() if value is not None]


def _some(values: set[str]) -> str:
    shown = sorted(values, key=lambda text: (len(text), text))
    more = len(shown) - _MOST
    return ", ".join(shown[:_MOST]) + (f" and {more:,} more" if more > 0 else "")
