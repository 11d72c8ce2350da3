"""How scores grow with training: the test score after each epoch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.cells import Array, Cells, Comparison, compare, frame
from analysis.comparison.keys import NAMES, CellKey, cell_keys
from analysis.comparison.options import Options
from analysis.comparison.trials import expect_frame
from analysis.statistics.early import as_matrix

_CURVE = "curve_test_score"
_NUMBERS = ("mean", "median", "low", "high")
_TYPES = (
    dict.fromkeys(["space", "dataset", "task"], "str")
    | dict.fromkeys(["epoch", "epochs", "n"], "int64")
    | dict.fromkeys(_NUMBERS, "float64")
    | dict.fromkeys(NAMES[2:], "str")
)


@dataclass(frozen=True)
class CellCurves:
    """The test scores of one cell's architectures after each epoch."""

    space: str
    key: CellKey
    label: "pd.Series[Any]"  # its names, and the metric
    called: str  # its name among the cells of its space
    archs: list[str]  # those with a curve, from the lowest to the highest final score
    scores: Array  # (A, E) means over the seeds that have the epoch, NaN where none has it

    @property
    def epochs(self) -> int:
        """Epochs of the longest training."""
        return int(self.scores.shape[1])


def score_curves(df: pd.DataFrame, *, band: float = 0.8) -> pd.DataFrame:
    """The scores on the test split after each epoch: one row per (cell, epoch).

    Mean, median, and the quantiles `low` and `high` between which the share `band` of the architectures lies, of the n
    architectures that have a finite score at the epoch. An architecture's score is the mean over those of its seeds
    that have one: a training that diverged has none from then on, so later epochs are about fewer. All trials that
    succeeded count, each once, whatever other cells hold. `df` is `load(..., curves=True)`; LookupError without curves.
    """
    expect_frame(df)
    if _CURVE not in df:
        raise LookupError(f"no column {_CURVE!r}; load the runs with curves=True")
    return score_curves_of(each_cell(compare(df, Options())), band)


def score_curves_of(cells: Iterable[CellCurves], band: float = 0.8) -> pd.DataFrame:
    """`score_curves` of the curves of cells."""
    if not 0 < band < 1:
        raise ValueError(f"band is a share between 0 and 1, not {band}; 0.8, say")
    shares = [0.5, (1 - band) / 2, (1 + band) / 2]
    lines: list[dict[str, Any]] = []
    for one in cells:
        about: dict[str, Any] = {"space": one.space, "epochs": one.epochs} | {n: one.label[n] for n in NAMES}
        for e in range(one.epochs):
            scores = one.scores[:, e]
            known = scores[~np.isnan(scores)]
            found = [known.mean(), *np.quantile(known, shares)] if len(known) else [np.nan] * len(_NUMBERS)
            numbers = dict(zip(_NUMBERS, map(float, found), strict=True))
            lines.append(about | {"epoch": e + 1, "n": len(known)} | numbers)
    return frame(lines, _TYPES)


def each_cell(comparison: Comparison) -> Iterator[CellCurves]:
    """The curves of each cell that has any, in the order of the cells."""
    if _CURVE not in comparison.rows:
        return
    lists = comparison.rows[_CURVE].to_numpy()
    for cells in comparison.spaces:
        called = names.labels(cells.labels)
        for c, key in enumerate(cell_keys(cells.labels)):
            archs, scores = _of_cell(lists, cells, c)
            if scores.size:
                yield CellCurves(cells.space, key, cells.labels.iloc[c], called[c], archs, scores)


def _of_cell(lists: Any, cells: Cells, c: int) -> tuple[list[str], Array]:
    """The architectures with a curve in their final order, and their (A, E) scores."""
    places = cells.rows[:, c]  # (A, S)
    there = np.flatnonzero((places >= 0).any(axis=1))
    places = places[there]
    curves, lengths = as_matrix([lists[p] if p >= 0 else None for p in places.ravel()])
    curves = np.where(np.isfinite(curves), curves, np.nan).reshape(*places.shape, curves.shape[1])  # (there, S, E)
    final = np.where(places >= 0, cells.trained[there, c], np.nan)
    curved = (lengths > 0).reshape(places.shape).any(axis=1)
    order = np.argsort(_mean(final), kind="stable")
    order = order[curved[order]]
    return [cells.archs[k] for k in there[order]], _mean(curves[order].transpose(0, 2, 1))


def _mean(values: Array) -> Array:
    """The mean over the last axis of what is there, NaN where nothing is."""
    count = (~np.isnan(values)).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        found: Array = np.where(np.isnan(values), 0.0, values).sum(axis=-1) / count
    return found
