"""Kendall's tau in the forms that papers on architecture search report, with the interval of tau-b."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.comparison.cells import Array, Comparison, compare, frame, why_no_rho
from analysis.comparison.keys import IDS, LAST, PAIR
from analysis.comparison.options import Chance, Common, Diverged, Options
from analysis.statistics import ranks
from analysis.statistics.signal import no_signal, signals

FEWEST = 10  # architectures; the standard error of fewer says little
_CHUNK = 1 << 20  # pairs of architectures compared at a time: they fit the cache
_TYPES = (
    dict.fromkeys(PAIR, "str")
    | {"n": "int64", "n_dropped": "int64"}
    | dict.fromkeys(["rho", "tau", "tau_low", "tau_high", "tau_rlnas", "tau_weighted"], "float64")
    | dict.fromkeys(IDS, "str")
    | {"x_ties": "int64", "y_ties": "int64", "no_signal": "str"}
    | LAST
)


def taus(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    score: str = "score_best",
    confidence: float = 0.95,
    diverged: Diverged = "worst",
    chance: Chance = None,
) -> pd.DataFrame:
    """Kendall's tau of every pair of cells within each space, one row per pair, in three forms beside Spearman's rho.

    `tau` is tau-b, corrected for ties. `tau_low`, `tau_high`: its interval from the jackknife's standard error on the
    scale of atanh; it takes the n architectures as an independent sample, which all architectures of a space are not.
    `tau_rlnas` is computed as in RLNAS's release (Zhang et al. 2021): tau of ranks without ties, where equal scores
    have the order of the architectures' texts (in the release, that of its list). With many ties it depends on that
    order. `tau_weighted` weighs an exchange by the sum of 1 / rank of both (Vigna 2015), the mean over the ranks by
    either side, so agreement among the best counts more. Architectures, ranks and options as in `correlate`.
    """
    return taus_of(compare(df, Options(common, score, diverged, chance, 0, confidence)))


def taus_of(comparison: Comparison) -> pd.DataFrame:
    """`taus` of a comparison."""
    lines: list[dict[str, Any]] = []
    tested, confidence = signals(comparison), comparison.options.confidence
    for cells in comparison.spaces:
        for mask, pairs in cells.groups.items():
            used = np.frombuffer(mask, bool)
            values = cells.values[used]
            rho, tau = ranks.spearman(values, pairs)[0], ranks.kendall(values, pairs)[0]
            ties = ranks.tied(values)
            for k, (x, y) in enumerate(pairs):
                one, other = values[:, x], values[:, y]
                low, high = tau_interval(one, other, tau[k], confidence)
                line = {"rho": rho[k], "tau": tau[k], "tau_low": low, "tau_high": high}
                line |= {"tau_rlnas": listed_tau(one, other), "tau_weighted": weighted_tau(one, other)}
                line |= {"x_ties": ties[x], "y_ties": ties[y], "interval_method": "" if np.isnan(low) else "jackknife"}
                line |= {"reason": why_no_rho(x=one, y=other)} | no_signal(tested[cells.space], {"x": x, "y": y})
                lines.append(cells.line((x, y), used) | line | {"_order": (cells.space, (x, y))})
    lines.sort(key=lambda line: line["_order"])
    return frame(lines, _TYPES)


def listed_tau(x: Array, y: Array) -> float:
    """tau of the places in two lists, sorted from the best to the worst; equal values keep their order.  (n,)."""
    if why_no_rho(x=x, y=y):
        return np.nan
    places = []
    for values in (x, y):
        place = np.empty(len(values), int)
        place[np.argsort(-values, kind="stable")] = np.arange(len(values))
        places.append(place)
    return round(float(stats.kendalltau(*places).statistic), ranks.DIGITS)


def weighted_tau(x: Array, y: Array) -> float:
    """Vigna's weighted tau with hyperbolic weights; (n,)."""
    if why_no_rho(x=x, y=y):
        return np.nan
    return round(float(stats.weightedtau(*(stats.rankdata(v) for v in (x, y))).statistic), ranks.DIGITS)


def tau_interval(x: Array, y: Array, tau: float, confidence: float) -> tuple[float, float]:
    """The interval of tau-b, NaN for few or perfectly ordered architectures; (n,).

    Tau-b is a ratio of means over pairs; the linear term of each architecture gives the variance, as in the jackknife.
    """
    n = len(x)
    if n < FEWEST or np.isnan(tau) or abs(tau) >= 1:
        return np.nan, np.nan
    both, of_x, of_y = np.zeros(n), np.zeros(n), np.zeros(n)
    a, b = (stats.rankdata(values).astype(np.float32) for values in (x, y))
    for start in range(0, n, max(1, _CHUNK // n)):
        rows = slice(start, start + max(1, _CHUNK // n))
        dx, dy = (np.sign(values[rows, None] - values[None]) for values in (a, b))
        both[rows], of_x[rows], of_y[rows] = (dx * dy).sum(1), abs(dx).sum(1), abs(dy).sum(1)
    linear = both / np.sqrt(of_x.mean() * of_y.mean()) - tau / 2 * (of_x / of_x.mean() + of_y / of_y.mean())
    error = 2 * np.sqrt(linear.var(ddof=1) / n) / (1 - tau**2)  # of atanh(tau)
    reach = stats.norm.ppf((1 + confidence) / 2) * error
    return float(np.tanh(np.arctanh(tau) - reach)), float(np.tanh(np.arctanh(tau) + reach))
