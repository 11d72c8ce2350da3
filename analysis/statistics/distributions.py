"""What a space holds: the distribution of its scores, and what random search of m architectures finds in it.

The view of "On Network Design Spaces for Visual Recognition" (Radosavovic et al. 2019): spaces are compared by the
distribution of their models, not by one best model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Comparison, compare, frame, whole_numbers
from analysis.comparison.keys import NAMES
from analysis.comparison.options import Chance, Common, Diverged, Options
from analysis.statistics.random_experiments import SIZES, among_worst

_CELL = dict.fromkeys(["space", "dataset", "task"], "str") | {"n": "int64", "n_dropped": "int64"}
_BEST = ("best_low", "best_median", "best_high")
_LAST = dict.fromkeys([*NAMES[2:], "rule"], "str")


def distributions(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    points: int | None = 1000,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The empirical distribution function of each cell's scores: one row per (cell, distinct score).

    `edf` is the share of the n architectures whose mean over seeds is at most `score`; what diverged lies below every
    score. `edf_low` and `edf_high` hold the distribution function of the space at all scores at once with the
    confidence asked for (Dvoretzky, Kiefer and Wolfowitz with Massart's constant 1990: sqrt(ln(2 / (1 - confidence)) /
    2n) on either side, within [0, 1]), whatever its form; architectures must be a random sample of it. Of more than
    `points` scores so many are given, at equal steps of the share and the last.
    """
    return distributions_of(compare(df, Options(common, score, diverged, chance, confidence=confidence)), points)


def distributions_of(comparison: Comparison, points: int | None = 1000) -> pd.DataFrame:
    """`distributions` of a comparison."""
    if points is not None and points < 2:
        raise ValueError(f"points must be 2 or more, or None for all; not {points}")
    parts, confidence = [], comparison.options.confidence
    for cells in comparison.spaces:
        for c in range(len(cells.labels)):
            used = cells.alone(c)
            values = np.sort(cells.values[used, c])
            last = np.flatnonzero(np.isfinite(values) & np.r_[values[1:] != values[:-1], True][: len(values)])
            if points is not None and len(last) > points:
                last = last[np.unique(np.linspace(0, len(last) - 1, points).round().astype(int))]
            share = (last + 1) / max(len(values), 1)
            reach = np.sqrt(np.log(2 / (1 - confidence)) / (2 * max(len(values), 1)))
            numbers = {"edf": share, "edf_low": (share - reach).clip(0), "edf_high": (share + reach).clip(max=1)}
            parts.append(pd.DataFrame({"score": values[last]} | numbers).assign(**cells.cell(c, used)))
    kinds = _CELL | dict.fromkeys(["score", "edf", "edf_low", "edf_high"], "float64") | _LAST
    if not parts:
        return frame([], kinds)
    return pd.concat(parts, ignore_index=True)[list(kinds)].astype(kinds)


def random_search(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    sizes: Sequence[int] = SIZES,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The best of m architectures drawn at random without replacement: one row per (cell, m up to n).

    Over all draws of m from the cell's n: `expected` and `std`, the median `best_median`, and the band from `best_low`
    to `best_high`, which holds the best with probability `confidence`, the rest in equal parts on either side. Exact,
    no random draws: of all draws, C(k, m) / C(n, m) lie among the k worst. The band describes the draw from these n
    architectures, not the choice of the n. Scores are means over seeds. An architecture without a finite one is the
    worst of all, and `expected` and `std` are NaN where it could be the best.
    """
    return random_search_of(compare(df, Options(common, score, diverged, chance, confidence=confidence)), sizes)


def random_search_of(comparison: Comparison, sizes: Sequence[int] = SIZES) -> pd.DataFrame:
    """`random_search` of a comparison."""
    sizes, confidence = whole_numbers("sizes", sizes), comparison.options.confidence
    lines: list[dict[str, Any]] = []
    for cells in comparison.spaces:
        for c in range(len(cells.labels)):
            used = cells.alone(c)
            values = np.sort(cells.values[used, c])
            about = cells.cell(c, used)
            lines += [about | {"m": m} | _best(values, m, confidence) for m in sizes if m <= len(values)]
    kinds = _CELL | {"m": "int64"} | dict.fromkeys(["expected", "std", *_BEST], "float64")
    return frame(lines, kinds | _LAST)


def _best(values: Any, m: int, confidence: float) -> dict[str, float]:
    """The distribution of the best of m of sorted values."""
    below = among_worst(len(values), m)[1:]
    chance = np.diff(below, prepend=0.0)
    tails = [(1 - confidence) / 2, 0.5, (1 + confidence) / 2]
    low, middle, high = values[np.searchsorted(below, np.array(tails) - 1e-12).clip(max=len(values) - 1)]
    possible = chance > 0
    expected = float(chance[possible] @ values[possible]) if np.isfinite(values[possible]).all() else np.nan
    spread = float(np.sqrt(chance[possible] @ (values[possible] - expected) ** 2)) if np.isfinite(expected) else np.nan
    return {"expected": expected, "std": spread} | dict(zip(_BEST, map(float, (low, middle, high)), strict=True))
