"""How much of a rank correlation the noise of training allows: reliability, its ceiling, and what more seeds bring.

Two trainings of one architecture with different seeds differ; so two cells can agree no better than each agrees with
itself. Reliability here is the mean Spearman rho between two seeds of one cell (a parallel-forms reliability).
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.cells import Array, Comparison, compare, frame, mean_of_seeds, whole_numbers, why_no_rho
from analysis.comparison.keys import IDS, LAST, NAMES, PAIR
from analysis.comparison.options import Chance, Common, Diverged, Options
from analysis.statistics.bootstrap import Statistic, estimate

_CELL = dict.fromkeys(["space", "dataset", "task"], "str")
_PAIR, _IDS = dict.fromkeys(PAIR, "str"), dict.fromkeys(IDS, "str")
_COUNTS = {"n": "int64", "n_dropped": "int64"}
_RELIABILITY = ("reliability", "reliability_low", "reliability_high")
_FORMULA = "spearman-brown"


def reliability(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    ks: Sequence[int] = (1, 2, 3),
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How well the ranking of a cell repeats with other seeds: one row per (cell, k).

    k is the number of seeds averaged.

    `reliability` at k = 1 is Spearman's rho between two seeds, averaged over all pairs of them. At k > 1 it is that
    between the means over k seeds and over k others ("measured"), which takes 2k seeds; with fewer it is what
    Spearman and Brown's formula (1910) makes of k = 1, k r / (1 + (k - 1) r) ("spearman-brown"): `method` says which.
    The interval resamples architectures, each with the noise of its own seeds. NaN, and `reason` says why, for one
    seed, for too few architectures, and where the formula is applied to seeds that do not agree (r not above 0; such a
    resample counts as 0). Architectures as in `correlate`; with `common="pair"` those with every seed of the cell.
    """
    return reliability_of(compare(df, Options(common, score, diverged, chance, resamples, confidence, seed)), ks)


def reliability_of(comparison: Comparison, ks: Sequence[int] = (1, 2, 3)) -> pd.DataFrame:
    """`reliability` of a comparison."""
    how, ks = comparison.options.resampling(), whole_numbers("ks", ks)
    lines: list[dict[str, Any]] = []
    for cells in comparison.spaces:
        for c in range(len(cells.labels)):
            used = cells.alone(c)
            scores = cells.seeded(used, c)
            kinds = [_kind(k, scores.shape[1]) for k in ks]
            if scores.shape[1] < 2:
                found = estimate(scores, lambda rho: np.full((len(rho), len(ks)), np.nan), how)
            else:
                blocks = [Block(scores, 0, k if kind == "measured" else 1) for k, kind in zip(ks, kinds, strict=True)]
                found = estimate(side_by_side(blocks), reliabilities(blocks, ks, kinds), how)
            for j, k in enumerate(ks):
                numbers = [found.value[j], found.low[j], found.high[j]]
                method = found.method[j]
                if kinds[j] == _FORMULA and not found.value[j] > 0:
                    numbers, method = [np.nan] * 3, ""
                line = cells.cell(c, used) | {"k": k, "method": kinds[j], "interval_method": method}
                line |= dict(zip(_RELIABILITY, numbers, strict=True))
                lines.append(line | {"reason": _why(scores, numbers[0])})
    kinds_of = _CELL | _COUNTS | {"n_seeds": "int64", "k": "int64", "method": "str"}
    kinds_of |= dict.fromkeys(_RELIABILITY, "float64")
    return frame(lines, kinds_of | dict.fromkeys(NAMES[2:], "str") | LAST)


def noise_ceiling(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """What rho would be without the noise of seeds: one row per pair of cells.

    `x_reliability` and `y_reliability` are those of the means that `rho` compares (over `x_n_seeds` and `y_n_seeds`, by
    Spearman and Brown), `ceiling` the root of their product: what rho tends to where both cells rank the true
    qualities alike. `rho_corrected` = rho / ceiling (correction for attenuation, Spearman 1904), with an interval over
    architectures as all others. It may exceed 1 by chance and is left so. It assumes that
    the noise of the two cells is independent. NaN, and `reason` says why, where a cell has one seed only or seeds
    that do not agree at all.
    """
    return noise_ceiling_of(compare(df, Options(common, score, diverged, chance, resamples, confidence, seed)))


def noise_ceiling_of(comparison: Comparison) -> pd.DataFrame:
    """`noise_ceiling` of a comparison."""
    how = comparison.options.resampling()
    lines: list[dict[str, Any]] = []
    for cells in comparison.spaces:
        for pair, used in cells.each_pair():
            x, y = (cells.seeded(used, c) for c in pair)
            values = np.column_stack([cells.values[used][:, pair], x, y])
            found = estimate(values, corrected(x.shape[1], y.shape[1]), how)
            line = cells.line(pair, used) | dict(zip(_CEILING, found.value, strict=True))
            line |= {"rho_low": found.low[0], "rho_high": found.high[0]}
            line |= {"corrected_low": found.low[4], "corrected_high": found.high[4], "interval_method": found.method[4]}
            whys = [(side, _why(s, line[f"{side}_reliability"])) for side, s in (("x", x), ("y", y))]
            lines.append(line | {"reason": "; ".join(f"{side}: {why}" for side, why in whys if why)})
    numbers = [*_CEILING, "corrected_low", "corrected_high"]
    numbers[1:1] = ["rho_low", "rho_high"]
    kinds = _PAIR | _COUNTS | {"x_n_seeds": "int64", "y_n_seeds": "int64"} | dict.fromkeys(numbers, "float64")
    return frame(lines, kinds | _IDS | LAST)


def rho_by_seeds(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    ks: Sequence[int] = (1, 2, 3),
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How rho grows with the seeds that are averaged: one row per (pair of cells, k).

    `rho` is Spearman's between means over k seeds, averaged over choices of k seeds on either side: all of them for up
    to three seeds, else the runs of k neighbours in the order of the seeds, the last followed by the first. A side with
    fewer seeds enters with all it has: `x_k` and `y_k` say with how many. No row where neither side has k.
    """
    return rho_by_seeds_of(compare(df, Options(common, score, diverged, chance, resamples, confidence, seed)), ks)


def rho_by_seeds_of(comparison: Comparison, ks: Sequence[int] = (1, 2, 3)) -> pd.DataFrame:
    """`rho_by_seeds` of a comparison."""
    how, ks = comparison.options.resampling(), whole_numbers("ks", ks)
    lines: list[dict[str, Any]] = []
    for cells in comparison.spaces:
        for pair, used in cells.each_pair():
            x, y = (cells.seeded(used, c) for c in pair)
            for k in sorted(k for k in ks if k <= max(x.shape[1], y.shape[1])):
                both = [Block(s, 0, min(k, s.shape[1])) for s in (x, y)]
                wide = both[0].means.shape[1]
                found = estimate(side_by_side(both), between(wide), how)
                line = cells.line(pair, used) | {"k": k, "x_k": both[0].k, "y_k": both[1].k}
                line |= {"rho": found.value[0], "rho_low": found.low[0], "rho_high": found.high[0]}
                why = why_no_rho(x=cells.values[used, pair[0]], y=cells.values[used, pair[1]])
                why = why or ("the scores of a seed are all equal" if np.isnan(found.value[0]) else "")
                lines.append(line | {"interval_method": found.method[0], "reason": why})
    kinds = _PAIR | _COUNTS | dict.fromkeys(["x_n_seeds", "y_n_seeds", "k", "x_k", "y_k"], "int64")
    kinds |= dict.fromkeys(["rho", "rho_low", "rho_high"], "float64")
    return frame(lines, kinds | _IDS | LAST)


_CEILING = ("rho", "x_reliability", "y_reliability", "ceiling", "rho_corrected")


class Block:
    """Means (n, windows) over each run of k neighbouring seeds of scores (n, S); the first follows the last."""

    def __init__(self, scores: Array, start: int, k: int) -> None:
        seeds = scores.shape[1]
        self.k, self.start = k, start
        self.windows = [[(i + j) % seeds for j in range(k)] for i in range(seeds if k < seeds else 1)]
        self.means = np.stack([mean_of_seeds(scores[:, w]) for w in self.windows], axis=1)

    @property
    def disjoint(self) -> tuple[list[int], list[int]]:
        """The pairs of columns that share no seed, as first and second columns."""
        numbered = list(enumerate(self.windows, start=self.start))
        pairs = [(a, b) for (a, one), (b, two) in combinations(numbered, 2) if not set(one) & set(two)]
        return [a for a, _ in pairs], [b for _, b in pairs]


def side_by_side(blocks: Sequence[Block]) -> Array:
    """The columns of all blocks, and sets where the columns of each block begin."""
    start = 0
    for block in blocks:
        block.start = start
        start += block.means.shape[1]
    return np.concatenate([block.means for block in blocks], axis=1)


def _kind(k: int, seeds: int) -> str:
    return "" if seeds < 2 else "measured" if seeds >= 2 * k else _FORMULA


def reliabilities(blocks: Sequence[Block], ks: Sequence[int], kinds: Sequence[str]) -> Statistic:
    def statistic(rho: Array) -> Array:
        found = [rho[:, *block.disjoint].mean(axis=1) for block in blocks]
        longer = [
            r if kind == "measured" else _brown(np.maximum(r, 0.0), k)
            for r, k, kind in zip(found, ks, kinds, strict=True)
        ]
        return np.stack(longer, axis=1)

    return statistic


def corrected(x: int, y: int) -> Statistic:
    """Of columns (mean x, mean y, x's seeds, y's seeds): what `_CEILING` names."""
    both = [list(combinations(range(start, start + k), 2)) for start, k in ((2, x), (2 + x, y))]

    def statistic(rho: Array) -> Array:
        sides = []
        for pairs, k in zip(both, (x, y), strict=True):
            first, second = np.array(pairs, int).reshape(-1, 2).T
            r = rho[:, first, second].mean(axis=1) if pairs else np.full(len(rho), np.nan)
            sides.append(_brown(np.where(r > 0, r, np.nan), k))
        limit = np.sqrt(sides[0] * sides[1])
        return np.stack([rho[:, 0, 1], *sides, limit, rho[:, 0, 1] / limit], axis=1)

    return statistic


def between(wide: int) -> Statistic:
    """The mean rho between the first `wide` columns and the others."""
    return lambda rho: rho[:, :wide, wide:].mean(axis=(1, 2))[:, None]


def _brown(r: Array, k: int) -> Array:
    """Spearman and Brown: the reliability of the mean of k from that of one, r not below 0 (at -1 / (k - 1) it has a
    pole)."""
    return k * r / (1 + (k - 1) * r)


def _why(scores: Array, value: float) -> str:
    """Why there is no number; empty where there is one."""
    if np.isfinite(value):
        return ""
    if scores.shape[1] < 2:
        return "one seed only"
    if len(scores) < 3:
        return f"{names.many(len(scores), 'architecture')} with every seed (3 are needed)"
    same = any((column == column[0]).all() for column in scores.T)
    return "the scores of a seed are all equal" if same else "its seeds do not agree"
