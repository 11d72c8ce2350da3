"""What searches reach as papers print it: objectives and algorithms in rows, targets in columns."""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.keys import NAMES
from analysis.comparison.units import scale
from analysis.tables.text import each

_ROW = ["space", "kind", "objective_dataset", "objective_task", "algorithm"]


def search_matrix(table: pd.DataFrame, *, spelled: bool = False) -> pd.DataFrame:
    """What `search_targets` gives as text: one row per (objective, algorithm), one column per target.

    Mean and deviation over the searches, accuracies in percent; in parentheses how many searches have a score, where
    some have none. `n`: searches, or random cells, or 1 for a published cell. `spelled`: names as in a report.
    """
    targets = [f"target_{name}" for name in NAMES]
    called = cells_called(table, "target", spelled=spelled)
    several = table["space"].nunique() > 1
    units = {
        key: scale(lines[["mean", "best"]].to_numpy(float).ravel(), str(lines["target_metric"].iloc[0]))
        for key, lines in table.groupby(targets, sort=False)
    }
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    heads: dict[str, None] = {}
    for line, objective, target in zip(each(table), objectives(table, spelled=spelled), called, strict=True):
        unit = units[tuple(getattr(line, name) for name in targets)]
        same = tuple(getattr(line, name) for name in _ROW)
        space = names.space_name(line.space) if spelled else line.space
        first = {"space": space} if several else {}
        row = rows.setdefault(same, first | {"objective": objective, "algorithm": line.algorithm, "n": 0})
        row["n"] = max(row["n"], line.n + line.n_missing)
        heads[target + unit.brief] = None
        row[target + unit.brief] = _reached(line, unit.factor)
    shown = pd.DataFrame(list(rows.values()), columns=[*["space"] * several, "objective", "algorithm", "n", *heads])
    return shown.fillna(names.NONE)


def objectives(table: pd.DataFrame, *, spelled: bool = False) -> list[str]:
    """The objective of each line by task, and by dataset where there are several."""
    return cells_called(table, "objective", spelled=spelled)


def cells_called(table: pd.DataFrame, side: str, *, spelled: bool = False) -> list[str]:
    """The cell on one side of each line, by those of dataset, task and recipe that differ."""
    parts = [part for part in ("dataset", "task", "recipe") if f"{side}_{part}" in table]
    cells = table[[f"{side}_{part}" for part in parts]].set_axis(parts, axis=1)
    if spelled:
        cells = cells.assign(dataset=cells["dataset"].map(names.dataset_name), task=cells["task"].map(names.task_name))
    return names.plain_labels(cells)


def _reached(line: Any, factor: float) -> str:
    if math.isnan(line.mean):
        return names.NONE
    deviation = "" if np.isnan(line.std) else f" ± {names.fixed(line.std * factor)}"
    words = names.fixed(line.mean * factor) + deviation
    return f"{words} ({line.n})" if line.n_missing else words
