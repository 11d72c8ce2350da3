"""The scores of each cell of a run: enough to see at once that a cell is saturated, or not trained at all."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ["metric", "score_best", "diverged", "chance", "test_images"]
_STANDARD_ERRORS = 2  # above chance, up to which a median is called "at chance"

Cell = tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """`score_best` over the n finished trials of a cell; numbers are None where no row has one."""

    n: int  # trials with an ok row
    min: float | None
    median: float | None
    max: float | None
    metric: str | None
    chance: float | None  # score of guessing: the mean of the rows that have one
    test_images: int | None  # the fewest of any row
    diverged: int  # trainings that diverged
    missing: int = 0  # other trials without a finite score

    @property
    def at_chance(self) -> bool:
        """Whether the median is at most two standard errors of one measurement of chance above chance."""
        if self.median is None or self.chance is None or not self.test_images:
            return False
        error = math.sqrt(max(self.chance * (1 - self.chance), 0.0) / self.test_images)
        return self.median <= self.chance + _STANDARD_ERRORS * error

    @property
    def all_equal(self) -> bool:
        """Whether several trials have one score."""
        return self.n - self.diverged - self.missing > 1 and self.min is not None and self.min == self.max

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return asdict(self) | {"at_chance": self.at_chance, "all_equal": self.all_equal}


def by_cell(rows: pa.Table, trial_ids: Sequence[str], cells: Sequence[Cell]) -> dict[Cell, Scores]:
    """The scores of the cells that have finished trials, in the order of `cells`.

    rows: attempts with columns trial_id, status and COLUMNS, each trial at most once with status ok.  trial_ids,
    cells: the trials that count, and the cell of each.
    """
    done = rows.filter(pc.equal(rows["status"], "ok"))
    order = {cell: k for k, cell in enumerate(dict.fromkeys(cells))}
    places = dict(zip(trial_ids, map(order.__getitem__, cells), strict=True))
    place = np.array([places.get(t, -1) for t in done["trial_id"].to_pylist()], np.int64)
    numbers = {name: _numbers(done[name]) for name in ("score_best", "chance", "test_images", "diverged")}
    metrics = done["metric"].to_pylist()
    found: dict[Cell, Scores] = {}
    for cell, k in order.items():
        inside = np.flatnonzero(place == k)
        if len(inside):
            one = {name: values[inside] for name, values in numbers.items()}
            found[cell] = _scores(one, next((metrics[j] for j in inside if metrics[j]), None))
    return found


def _scores(one: dict[str, Any], metric: str | None) -> Scores:
    score, chance, images = (one[name][np.isfinite(one[name])] for name in ("score_best", "chance", "test_images"))
    low, middle, high = map(float, np.quantile(score, [0, 0.5, 1])) if len(score) else (None, None, None)
    level = float(chance[0] if (chance == chance[0]).all() else chance.mean()) if len(chance) else None
    diverged = one["diverged"] == 1
    missing = ~np.isfinite(one["score_best"]) & ~diverged
    least = int(images.min()) if len(images) else None
    counts = int(diverged.sum()), int(missing.sum())
    return Scores(len(diverged), low, middle, high, metric, level, least, *counts)


def _numbers(column: pa.ChunkedArray) -> Any:
    """A column as floats, NaN for null."""
    return column.cast(pa.float64()).to_numpy() if column.type != pa.bool_() else _numbers(column.cast(pa.int8()))
