"""What searches reach as papers print it: objectives and algorithms in rows, targets in columns."""

import math

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.keys import NAMES
from analysis.comparison.units import scale
from analysis.tables.text import each

_ROW = ["space", "kind", "objective_dataset", "objective_task", "algorithm"]


def search_matrix(table: pd.DataFrame) -> pd.DataFrame:
    """What `search_targets` gives, one row per (objective, algorithm), one column per target, as text.

    Mean and deviation over the searches, accuracies in percent; in parentheses how many searches have a score, where
    some have none. `n`: searches, or random cells, or 1 for a published cell.
    """
    targets = [f"target_{name}" for name in NAMES]
    cells = table[targets].drop_duplicates().set_axis(list(NAMES), axis=1)
    called = dict(zip(cells.itertuples(index=False, name=None), names.plain_labels(cells), strict=True))
    several = table["space"].nunique() > 1
    objectives = _objectives(table)
    units = {}
    for key, lines in table.groupby(targets, sort=False):
        units[key] = scale(lines[["mean", "best"]].to_numpy(float).ravel(), str(lines["target_metric"].iloc[0]))
    rows: dict[tuple[str, ...], dict[str, object]] = {}
    for line, objective in zip(each(table), objectives, strict=True):
        key = tuple(getattr(line, name) for name in targets)
        same = tuple(getattr(line, name) for name in _ROW)
        first = {"space": line.space} if several else {}
        row = rows.setdefault(same, first | {"objective": objective, "algorithm": line.algorithm, "n": 0})
        row["n"] = max(int(str(row["n"])), line.n + line.n_missing)
        row[called[key] + units[key].brief] = _reached(line, units[key].factor)
    heads = [called[key] + units[key].brief for key in called]
    shown = pd.DataFrame(list(rows.values()), columns=[*["space"] * several, "objective", "algorithm", "n", *heads])
    return shown.fillna(names.NONE)


def _reached(line: object, factor: float) -> str:
    mean, std, n, missing = (getattr(line, name) for name in ("mean", "std", "n", "n_missing"))
    if math.isnan(mean):
        return names.NONE
    words = names.fixed(mean * factor) + ("" if np.isnan(std) else f" ± {names.fixed(std * factor)}")
    return f"{words} ({n})" if missing else words


def _objectives(table: pd.DataFrame) -> list[str]:
    """The objective of each line by task, and by dataset where there are several."""
    cells = table[["objective_dataset", "objective_task"]].set_axis(["dataset", "task"], axis=1)
    return names.plain_labels(cells)
