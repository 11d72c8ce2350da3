"""Whether the ranking of a cell is signal: are its scores above chance, and do its architectures differ.

A ranking of scores that only the choice of the test images or the seeds explain is luck, and so is every correlation
with it, however far from 0.  Three questions, each answered from the rows alone:

- Is the cell above chance?  Scores of guesses are about `chance`, with a variance of at most c (1 - c) / N for N test
  images, whatever the predictions per image are and however much they depend on one another.
- Do its architectures differ by more than luck explains?  With one seed by the homogeneity of the counts (a chi-squared
  test); with more by whether the seeds rank alike (the mean rank correlation of two seeds, by permutation).
- How reliable can the ranking by one seed be?  1 - (variance of the sampling of the test images) / (variance of the
  scores).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis import names
from analysis.comparison.cells import FEWEST, Array, Cells, Comparison, compare, frame
from analysis.comparison.chance import level as chance_level
from analysis.comparison.keys import NAMES
from analysis.comparison.options import Chance, Common, Diverged, Options

LEVEL = 0.05  # of the tests
_PERMUTATIONS = 999
_MANY = 2000  # architectures, from which on a fifth of them must do
_CELL = dict.fromkeys(["space", "dataset", "task"], "str") | {"n": "int64", "n_dropped": "int64", "n_seeds": "int64"}
_NUMBERS = (
    *("chance", "score_min", "score_median", "score_max", "chance_p", "difference_p"),
    *("reliability", "reliability_most"),
)
_TYPES = (
    _CELL
    | {"test_images": "Int64"}
    | dict.fromkeys(_NUMBERS, "float64")
    | {"signal": "boolean", "reason": "str"}
    | dict.fromkeys([*NAMES[2:], "rule"], "str")
)


@dataclass(frozen=True)
class Signal:
    """What can be said of one cell; NaN and None where the rows do not say enough."""

    test_images: int | None
    chance: float
    low: float  # least, median and largest score, means over seeds
    median: float
    high: float
    chance_p: float  # of scores like these if every architecture guessed
    difference_p: float  # of differences like these if all architectures were alike
    reliability: float  # measured: mean rho of two seeds
    reliability_most: float  # of one seed, by the sampling of the test images
    signal: bool | None
    reason: str  # why there is no signal, or why that is not known

    @property
    def absent(self) -> str:
        """Why there is no signal; empty where there is, or where it is not known."""
        return self.reason if self.signal is False else ""


Signals = Mapping[str, Sequence[Signal]]  # by space, of all its cells


def signal(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Which rankings are more than luck: one row per cell of trainings. Scores without training are no fractions of
    test images and have no row.

    `score_min`, `score_median`, `score_max` are of the means over seeds, `test_images` and `chance` those of the rows
    (`chance`, an option, stands in where rows have none).

    `chance_p` is a one-sided p-value that the cell is above chance: twice the smaller of that of the mean over
    architectures, and of that of the best one times their number.  It takes `score_final` where `score` is
    `score_best`, as the best of many epochs is above chance by luck.  A score that is the mean over several targets per
    image, as in rot and col, varies no more than one over N targets, so the test is conservative.

    `difference_p` with one seed is that of a chi-squared test of homogeneity over N test images, for accuracies alone;
    where several targets per image are counted (`test_targets` of the rows) it is conservative, and the test over all
    targets, which is liberal, must fail as well before a cell counts as without signal.  With several seeds it is that
    of a permutation test: 999 times (199 times from 2,000 architectures on) the scores of each seed are dealt to the
    architectures anew, and the statistic is the mean rank correlation of two seeds.  `reliability` is that statistic,
    `reliability_most` what the sampling of the test images leaves of the ranking by one seed, if the errors of two
    networks on an image are independent.

    `signal` is True where both p-values are below 0.05, False where one is not, missing where the rows do not say
    enough; `reason` says why it is False or missing. Diverged trainings take no part.
    """
    return signal_of(compare(df, Options(common, score, diverged, chance, seed=seed)))


def signal_of(comparison: Comparison, known: Signals | None = None) -> pd.DataFrame:
    """`signal` of a comparison; `known` is what `signals` gives, if that has been computed."""
    lines = []
    tested = known or signals(comparison)
    for cells in comparison.spaces:
        for c, one in enumerate(tested[cells.space]):
            if not cells.trained_cells[c]:
                continue
            line = cells.cell(c, cells.alone(c)) | {"test_images": one.test_images, "chance": one.chance}
            line |= {"score_min": one.low, "score_median": one.median, "score_max": one.high}
            line |= {name: getattr(one, name) for name in (*_NUMBERS[4:], "signal", "reason")}
            lines.append(line)
    return frame(lines, _TYPES)


def signals(comparison: Comparison) -> Signals:
    """The signal of every cell by space, in the order of its cells."""
    columns = _columns(comparison)
    return {
        cells.space: [
            _signal(cells, c, columns, comparison.options) if trained else _untested(cells, c)
            for c, trained in enumerate(cells.trained_cells)
        ]
        for cells in comparison.spaces
    }


def no_signal(tested: Sequence[Signal], sides: Mapping[str, int]) -> dict[str, str]:
    """The column `no_signal` of a line about some cells: why they have none, by their names in the line; empty if all
    have signal, or if that is not known.

    tested: the signals of the cells of a space; sides: name and position of each cell.
    """
    return {"no_signal": "; ".join(f"{side}: {tested[c].absent}" for side, c in sides.items() if tested[c].absent)}


def _columns(comparison: Comparison) -> dict[str, Array]:
    """The columns of the rows that the tests take, as floats, NaN where there is none."""
    df, score = comparison.rows, comparison.options.score
    last = "score_final" if score == "score_best" and "score_final" in df else score
    wanted = {"images": "test_images", "targets": "test_targets", "chance": "chance", "last": last}
    none = np.full(len(df), np.nan)
    return {
        name: pd.to_numeric(df[column], errors="coerce").to_numpy(float, na_value=np.nan) if column in df else none
        for name, column in wanted.items()
    }


def _untested(cells: Cells, c: int) -> Signal:
    """Of a score without training, which is no fraction of test images: nothing is tested."""
    scores = cells.values[cells.alone(c), c]
    low, median, high = np.quantile(scores, [0, 0.5, 1]) if len(scores) else [np.nan] * 3
    return Signal(
        test_images=None,
        chance=np.nan,
        low=low,
        median=median,
        high=high,
        chance_p=np.nan,
        difference_p=np.nan,
        reliability=np.nan,
        reliability_most=np.nan,
        signal=None,
        reason="a score without training, which is not tested",
    )


def _signal(cells: Cells, c: int, columns: Mapping[str, Array], options: Options) -> Signal:
    used = cells.alone(c)
    scores = cells.seeded(used, c)
    scores = np.where(np.isfinite(scores), scores, np.nan)
    rows = cells.rows[used, c][:, cells.planned[c]]
    rows = rows[rows >= 0]
    label = cells.labels.iloc[c]
    images, targets = (_fewest(columns[name][rows]) for name in ("images", "targets"))
    level = chance_level(columns["chance"][rows])
    if np.isnan(level):
        level = options.levels.get(label["task"], options.levels.get("any task", np.nan))
    targets = images if np.isnan(targets) else max(targets, images)
    counted = label["metric"] == "top1" and np.nanmax(scores, initial=0) <= 1 and np.nanmin(scores, initial=1) >= 0
    if not counted:
        images = targets = level = np.nan
    finite = scores[~np.isnan(scores).any(axis=1)]
    means = finite.mean(axis=1)
    last = np.full(cells.rows[used, c].shape, np.nan)
    last[cells.rows[used, c] >= 0] = columns["last"][rows] if len(rows) else np.nan
    chance_p = _chance_p(last[:, cells.planned[c]], images, level)
    reliability, by_seeds = _seeds(finite, options.seed)
    by_images, by_targets = _homogeneity(finite, images), _homogeneity(finite, targets)
    several = finite.shape[1] > 1
    found, reason = _verdict(finite, images, level, chance_p, by_seeds if several else by_images, by_targets)
    low, median, high = np.quantile(means, [0, 0.5, 1]) if len(means) else [np.nan] * 3
    return Signal(
        test_images=None if np.isnan(images) else int(images),
        chance=level,
        low=low,
        median=median,
        high=high,
        chance_p=chance_p,
        difference_p=by_seeds if several else by_images,
        reliability=reliability,
        reliability_most=_most(finite, targets),
        signal=found,
        reason=reason,
    )


def _fewest(values: Array) -> float:
    """The smallest count of the rows of a cell, NaN if none has one."""
    known = values[np.isfinite(values)]
    return float(known.min()) if len(known) else np.nan


def _verdict(
    scores: Array, images: float, level: float, chance_p: float, difference_p: float, by_targets: float
) -> tuple[bool | None, str]:
    """Whether there is signal (None: not known), and why not."""
    n, seeds = scores.shape
    if n < FEWEST:
        return None, f"{names.many(n, 'architecture')} with a score ({FEWEST} are needed)"
    if (scores == scores[0]).all():
        return False, f"all {n:,} have the same score"
    if not np.isnan(chance_p) and chance_p >= LEVEL:
        return False, f"not above chance ({_percent(level)} % on {images:,.0f} test images)"
    if seeds > 1:
        return (True, "") if difference_p < LEVEL else (False, f"its {seeds} seeds do not rank alike")
    if np.isnan(difference_p):
        return None, "one seed, and no number of test images is known"
    if difference_p < LEVEL:
        return True, ""
    if by_targets < LEVEL:
        return None, f"one seed: its differences may be those of {images:,.0f} test images"
    apart = round(float(np.ptp(scores)) * images)
    if apart <= 0.05 * images:
        differ = f"its scores differ by at most {names.many(apart, 'test image')} of {images:,.0f}"
        return False, f"{differ}, as by luck"
    return False, f"its scores differ no more than by the luck of {images:,.0f} test images"


def _percent(value: float) -> str:
    return f"{100 * value:.3g}"


def _chance_p(last: Array, images: float, level: float) -> float:
    """The one-sided p-value that architectures (n, seeds) score above chance."""
    last = last[np.isfinite(last).all(axis=1)].mean(axis=1) if last.size else last.ravel()
    if np.isnan(images) or not 0 < level < 1 or not len(last):
        return np.nan
    error = np.sqrt(level * (1 - level) / images)
    together = stats.norm.sf((last.mean() - level) / error)
    # Rounded up to whole images, so that a mean over several targets is not above what it is.
    best = stats.binom.sf(np.floor(last.max() * images + 1e-6) - 1, images, level) * len(last)
    return float(min(1.0, 2 * min(together, best)))


def _most(scores: Array, targets: float) -> float:
    """The share of the variance of scores (n, seeds) that the sampling of so many independent targets leaves."""
    if np.isnan(targets) or len(scores) < FEWEST:
        return np.nan
    variance = float(np.var(scores, axis=0, ddof=1).mean())
    sampling = float((scores * (1 - scores)).mean()) / targets
    return max(0.0, 1 - sampling / variance) if variance > 0 else np.nan


def _homogeneity(scores: Array, targets: float) -> float:
    """The p-value of a chi-squared test that the accuracies of one seed (n, 1) have one expectation."""
    if np.isnan(targets) or scores.shape[1] != 1 or len(scores) < FEWEST:
        return np.nan
    mean = float(scores.mean())
    if not 0 < mean < 1:
        return 1.0
    apart = float(((scores - mean) ** 2).sum()) * targets / (mean * (1 - mean))
    return float(stats.chi2.sf(apart, len(scores) - 1))


def _seeds(scores: Array, seed: int) -> tuple[float, float]:
    """The mean rank correlation of two seeds of scores (n, S), and its one-sided p-value by permutation."""
    n, many = scores.shape
    if n < FEWEST or many < 2:
        return np.nan, np.nan
    ranks = stats.rankdata(scores, axis=0) - (n + 1) / 2
    length = np.sqrt((ranks**2).sum(axis=0))
    if not (length > 0).all():
        return np.nan, 1.0
    ranks /= length
    rng = np.random.default_rng(seed)
    found, as_high = _agreement(ranks), 0
    draws = _PERMUTATIONS if n < _MANY else _PERMUTATIONS // 5
    for _ in range(draws):
        as_high += _agreement(rng.permuted(ranks, axis=0)) >= found - 1e-9
    return found, (1 + as_high) / (1 + draws)


def _agreement(ranks: Any) -> float:
    """The mean correlation of two columns, which have length 1 and mean 0."""
    many = ranks.shape[1]
    return float(((ranks.sum(axis=1) ** 2).sum() - many) / (many * (many - 1)))
