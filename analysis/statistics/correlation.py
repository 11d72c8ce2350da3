"""How far the rankings of architectures agree between tasks and datasets: UnNAS, figures 2 to 4, as a
table."""

from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.cells import Array, Comparison, compare, frame, why_no_rho
from analysis.comparison.keys import IDS, LAST, PAIR
from analysis.comparison.options import Chance, Common, Diverged, Options, Resampling
from analysis.statistics import ranks
from analysis.statistics.bootstrap import DEGENERATE, FEWEST_RESAMPLED, estimate, of_pairs
from analysis.statistics.signal import Signals, no_signal, signals

_TYPES = (
    dict.fromkeys(PAIR, "str")
    | {"n": "int64", "n_dropped": "int64"}
    | dict.fromkeys(["rho", "rho_low", "rho_high", "tau", "p", "tau_p"], "float64")
    | dict.fromkeys(IDS, "str")
    | dict.fromkeys(["x_n_seeds", "y_n_seeds", "x_diverged", "y_diverged"], "int64")
    | dict.fromkeys(["x_seconds", "y_seconds", "x_macs", "y_macs"], "float64")
    | {"r": "float64", "p_perm": "float64", "x_ties": "int64", "y_ties": "int64"}
    | {"x_signal": "boolean", "y_signal": "boolean", "no_signal": "str", "left_out": "str"}
    | LAST
)


def correlate(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    score: str = "score_best",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    diverged: Diverged = "worst",
    chance: Chance = None,
) -> pd.DataFrame:
    """Every pair of cells within each space, one row per pair: Spearman's rho with its bootstrap interval,
    Kendall's tau-b, Pearson's r, p-values.

    Scores are averaged over seeds first and ranked then, ties by average rank. Architectures are matched by
    their text and used if all seeds of their cell succeeded: in every cell of the space (`common="all"`, the
    rule of UnNAS) or in the pair's two (`"pair"`); `rule` says so in words. `n` counts them; `n_dropped` counts
    those tried in either cell but not used. An architecture with a trial without a finite score (it diverged before
    its first evaluation) ranks below every other, tied with others of that kind (`diverged="worst"`), or is not used
    (`"drop"`); `x_diverged` and `y_diverged` count such among those used. A trial that diverged later ranks by its best
    score before. With `chance`, a score or one for each task, a trial whose score is not above it is treated as one
    without a score. `x_ties` and `y_ties` count architectures that share their score with another.

    A score without training (`x_method` "score") that is not finite is missing, never a rank. It leaves its
    architecture out of the pairs of that cell alone: `common="all"` refers to the trainings of the space. `left_out`
    counts such scores and gives the most frequent reason. `x_seconds`, `y_seconds` are what an architecture costs, all
    its seeds (mean `train_s` times seeds), `x_macs`, `y_macs` multiply-adds of one forward pass.

    The cells of a space have one order, and x comes before y in it: scores without training first, then tasks other
    than `cls`, then by dataset, task and recipe. So trained `cls` is y against any score and label-free task.

    The interval resamples architectures
    and depends on `seed` alone, not on the order of rows; `interval_method` names its kind, "bca" as a rule, and is
    "degenerate" where the two rank exactly alike (no interval). `p` is exact up to n = 10 and Student's t beyond,
    `p_perm` a permutation test with `resamples` pairings, exact up to n = 10. `r` is over architectures with a finite
    score. Where a number cannot be computed (fewer than 3 architectures, 5 for the interval, or all scores equal) it is
    NaN; where that is rho or its interval, `reason` says why.

    `x_signal` and `y_signal` are those of `signal`: whether the ranking of a cell is more than luck, missing where that
    is not known. `no_signal` says why a side has none, and is empty where none is without: a rho with such a side is no
    finding, whatever its interval.
    """
    return correlate_of(compare(df, Options(common, score, diverged, chance, resamples, confidence, seed)))


def correlate_of(comparison: Comparison, known: Signals | None = None) -> pd.DataFrame:
    """`correlate` of a comparison; `known` is what `signals` gives, if that has been computed."""
    how = comparison.options.resampling()
    lines: list[dict[str, Any]] = []
    tested = known or signals(comparison)
    for cells in comparison.spaces:
        found = tested[cells.space]
        for mask, pairs in cells.groups.items():
            used = np.frombuffer(mask, bool)
            columns = sorted({c for pair in pairs for c in pair})
            inside = [(columns.index(x), columns.index(y)) for x, y in pairs]
            numbers = _numbers(cells.values[used][:, columns], inside, how)
            for k, pair in enumerate(pairs):
                line = {name: column[k] for name, column in numbers.items()}
                line |= {"x_signal": found[pair[0]].signal, "y_signal": found[pair[1]].signal}
                line |= no_signal(found, dict(zip("xy", pair, strict=True)))
                lines.append(cells.line(pair, used) | line | {"_order": (cells.space, pair)})
    lines.sort(key=lambda line: line["_order"])
    return frame(lines, _TYPES)


def _numbers(values: Array, pairs: list[tuple[int, int]], how: Resampling) -> dict[str, Any]:
    """Every figure of the pairs of columns, each (pairs,)."""
    rho, p = ranks.spearman(values, pairs)
    tau, tau_p = ranks.kendall(values, pairs)
    drawn = estimate(values, of_pairs(pairs), how)
    ties = ranks.tied(values)
    whys = [why_no_rho(x=values[:, x], y=values[:, y]) for x, y in pairs]
    if how.resamples:
        without = zip(whys, pairs, drawn.low, drawn.method, strict=True)
        whys = [why or _why_no_interval(len(values), ties, *of) for why, *of in without]
    return {
        "rho": rho,
        "rho_low": drawn.low,
        "rho_high": drawn.high,
        "tau": tau,
        "p": p,
        "tau_p": tau_p,
        "r": ranks.pearson(values, pairs),
        "p_perm": ranks.permutation_p(values, pairs, how.resamples, how.seed),
        "x_ties": ties[[x for x, _ in pairs]],
        "y_ties": ties[[y for _, y in pairs]],
        "interval_method": drawn.method,
        "reason": whys,
    }


def _why_no_interval(n: int, ties: Any, pair: tuple[int, int], low: float, method: str) -> str:
    """Why a rho has no interval; empty where it has one."""
    if not np.isnan(low):
        return ""
    if n < FEWEST_RESAMPLED:
        return f"no interval of {names.many(n, 'architecture')} ({FEWEST_RESAMPLED} are needed)"
    if method == DEGENERATE:
        return "no interval, as every resample gives the same"
    tied = {side: int(ties[c]) for side, c in zip("xy", pair, strict=True)}
    side = max(tied, key=lambda one: tied[one])
    return f"{side}: no interval, as {tied[side]:,} of {n:,} share their score with another"
