"""Do pairs differ?  Tests between two proxies of one target, and one rho for all spaces with what they disagree by."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.comparison.cells import Array, Cells, Comparison, by_architectures, compare, frame, sides, why_no_rho
from analysis.comparison.keys import NAMES
from analysis.comparison.options import Chance, Common, Diverged, Options, Resampling
from analysis.statistics.bootstrap import Estimate, Statistic, estimate
from analysis.statistics.correlation import correlate_of
from analysis.statistics.signal import Signals, no_signal, signals

_RESOLVED = 0.005  # share of the resamples on the other side of 0, down to which they say p by themselves
Three = tuple[int, int, int]

_THREE = ("a", "b", "target")
_TYPES = (
    dict.fromkeys(["space", "a_dataset", "a_task", "b_dataset", "b_task", "target_dataset", "target_task"], "str")
    | {"n": "int64", "n_dropped": "int64"}
    | dict.fromkeys(["a_rho", "b_rho", "ab_rho", "difference", "difference_low", "difference_high"], "float64")
    | dict.fromkeys(["p", "p_holm", "p_mrr", "a_seconds", "b_seconds"], "float64")
    | {f"{side}_{name}": "str" for name in NAMES[2:] for side in _THREE}
    | dict.fromkeys(["no_signal", "interval_method", "reason", "rule"], "str")
)


def compare_proxies(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Which of two proxies agrees better with a target: one row per (target, pair of proxies a and b).

    `difference` = `a_rho` - `b_rho` over the same architectures, its interval by a paired bootstrap (BCa, percentiles
    expanded as Student's t expands normal ones): the two share the target and often much else, so their intervals side
    by side would be far too cautious. `p` tests that they are equal: it is the level at which that same interval begins
    to hold 0, so a 95 % interval leaves 0 out where p < 0.05 (what is beyond the last resamples is extrapolated in
    Fisher's z). `p_holm` is corrected by Holm (1979) for all lines of the table. `p_mrr`, as a check that draws
    nothing, is the test of Meng, Rosenthal and Rubin (1992) with a variance of ranks that grows with rho (Bonett and
    Wright 2000) and Student's t: it assumes normal copulas, the bootstrap does not, hence the choice. NaN,
    and `reason` says why, where a rho is not defined; `p_mrr` also where one is 1 or -1, which has no Fisher's z.
    Cells as in `early_stopping`, but no cell is its own proxy; with `common="pair"` the architectures of all three.
    `no_signal` says which of the three cells has no signal and why, as in `correlate`: such a difference is no finding.
    """
    return compare_proxies_of(
        compare(df, Options(common, score, diverged, chance, resamples, confidence, seed)), proxy, target
    )


def compare_proxies_of(
    comparison: Comparison,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    known: Signals | None = None,
) -> pd.DataFrame:
    """`compare_proxies` of a comparison; `known` is what `signals` gives, if that has been computed."""
    how = comparison.options.resampling(expanded=True)
    tested = known or signals(comparison)
    lines: list[dict[str, Any]] = []
    for cells, proxies, targets in sides(comparison.spaces, proxy, target):
        threes = [(a, b, t) for t in targets for a, b in combinations([p for p in proxies if p != t], 2)]
        marks = [no_signal(tested[cells.space], dict(zip(_THREE, three, strict=True))) for three in threes]
        lines += [line | mark for line, mark in zip(_differences(cells, threes, how), marks, strict=True)]
    table = frame(lines, _TYPES | {"p_holm": "float64"})
    return table.assign(p_holm=holm(table["p"].to_numpy()))


def pool_spaces(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """One rho for all spaces: one row for each pair of cells that several spaces have, by their names.

    Fisher's z of each space's rho, its variance (1 + rho^2 / 2) / (n - 3) (Bonett and Wright 2000). `rho` is the mean
    of a random-effects model (DerSimonian and Laird 1986; interval of Hartung and Knapp 2001, never narrower than with
    the scatter expected), `rho_fixed` that of one common rho, each with its interval on the scale of z. `q` and `q_p`
    test that the spaces agree (Cochran), `i2` is the share of their scatter beyond chance, `tau2` the variance of the
    true z between spaces. Two or three spaces say little about others, and the interval of `rho` is as wide as that;
    `rho_fixed` is about these spaces alone. NaN, and `reason` says why, where a space has fewer than 4 architectures, a
    rho of 1 or -1, or none. `no_signal` names the spaces in which a cell of the pair has no signal.
    """
    options = Options(common, score, diverged, chance, resamples=0, confidence=confidence)
    return pool_spaces_of(correlate_of(compare(df, options)), confidence)


def pool_spaces_of(correlations: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """`pool_spaces` of what `correlate` gives."""
    key = [f"{side}_{name}" for side in "xy" for name in ("dataset", "dataset_id", "task", "recipe")]
    # Two recipes of one name are distinguished by their order, since ids of recipes differ between spaces.
    found = correlations.assign(turn=correlations.groupby(["space", *key]).cumcount())
    lines = []
    for names, of_pair in found.groupby([*key, "turn"], sort=False):
        if len(of_pair) > 1:
            about: dict[str, Any] = dict(zip(key, names, strict=False)) | {"rule": of_pair["rule"].iloc[0]}
            about |= {"spaces": len(of_pair), "n": int(of_pair["n"].sum())}
            without = of_pair[of_pair["no_signal"] != ""]
            about["no_signal"] = "; ".join(f"{one.space}: {one.no_signal}" for one in without.itertuples())
            lines.append(about | pool(of_pair["rho"].to_numpy(), of_pair["n"].to_numpy(float), confidence))
    return frame(lines, _POOLED)


_POOL = ("rho", "rho_low", "rho_high", "rho_fixed", "fixed_low", "fixed_high", "q", "q_p", "i2", "tau2")
_POOLED = (
    dict.fromkeys(["x_dataset", "x_task", "y_dataset", "y_task"], "str")
    | {"spaces": "int64", "n": "int64"}
    | dict.fromkeys(_POOL, "float64")
    | dict.fromkeys(["x_recipe", "y_recipe", "x_dataset_id", "y_dataset_id", "no_signal", "reason", "rule"], "str")
)


def holm(p: Array) -> Array:
    """(m,) p-values corrected for their number by Holm's step-down method; NaN stays and is not counted."""
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    out = np.full(len(p), np.nan)
    out[order] = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)).clip(max=1.0)
    return out


def _differences(cells: Cells, threes: Sequence[Three], how: Resampling) -> list[dict[str, Any]]:
    """The lines of the proxies a, b and the target of each three, in their order.

    The threes that use the same architectures are one statistic of one estimate: they share their resamples.
    """
    lines: list[dict[str, Any]] = [{} for _ in threes]
    for used, places in by_architectures(cells, threes):
        columns = sorted({c for k in places for c in threes[k]})
        each = [tuple(columns.index(c) for c in threes[k]) for k in places]
        found = estimate(cells.values[used][:, columns], all_overlapping(each), how)
        for k, place in enumerate(places):
            lines[place] = _difference(cells, threes[place], used, found.part(slice(4 * k, 4 * k + 4)))
    return lines


def _difference(cells: Cells, three: Three, used: Any, found: Estimate) -> dict[str, Any]:
    """One line; `found` is what `overlapping` estimates of the three."""
    line: dict[str, Any] = {"space": cells.space, "n": int(used.sum())}
    line["rule"] = cells.rule.replace("both cells", "the three cells")
    line["reason"] = why_no_rho(**dict(zip(_THREE, cells.values[used][:, three].T, strict=True)))
    line["n_dropped"] = int((cells.seen[:, three].any(axis=1) & ~used).sum())
    for side, c in zip(_THREE, three, strict=True):
        line |= {f"{side}_{name}": cells.labels[name].iloc[c] for name in (*NAMES, "seconds")}
    line |= dict(zip(("a_rho", "b_rho", "ab_rho", "difference"), found.value, strict=False))
    line |= {"difference_low": found.low[3], "difference_high": found.high[3], "interval_method": found.method[3]}
    a, b, ab = found.value[:3].tolist()
    return line | {"p": p_of_none(found, line["n"]), "p_mrr": meng(a, b, ab, line["n"]), "p_holm": np.nan}


def overlapping(rho: Array) -> Array:
    """Of columns (a, b, target): rho of a, of b, between them, and the difference."""
    a, b, ab = rho[:, 0, 2], rho[:, 1, 2], rho[:, 0, 1]
    return np.stack([a, b, ab, a - b], axis=1)


def all_overlapping(threes: Sequence[tuple[int, ...]]) -> Statistic:
    """What `overlapping` gives of each three columns, one after another."""
    return lambda rho: np.concatenate([overlapping(rho[:, [[c] for c in three], three]) for three in threes], axis=1)


def p_of_none(found: Estimate, n: int) -> float:
    """Two-sided p of no difference, of what `overlapping` estimates over n architectures: the level at which the
    interval (BCa with expanded percentiles) ends at 0.

    Where fewer than one resample in 200 lies beyond 0, the interval that ends at that resample is extrapolated to 0 on
    the scale of Fisher's z, as so few say nothing of a tail. NaN where there is no interval.
    """
    sign, finite = np.sign(found.value[3]), np.isfinite(found.drawn[3])
    if not np.isfinite(found.low[3]):
        return np.nan
    if sign == 0:
        return 1.0
    most = 1 - 6 / (n**3 - n)  # between 1 and the next smaller rho
    z = [np.arctanh(rho.clip(-most, most)) * sign for rho in (*found.drawn[:2, finite], *found.value[:2])]
    drawn, reached = z[0] - z[1], z[2] - z[3]
    beyond = float((found.drawn[3, finite] * sign <= 0).mean())
    least = max(2 / len(drawn), _RESOLVED)
    bias, skew = found.bias[3] * sign, found.skew[3] * sign
    apart = stats.norm.ppf(min(max(beyond, least), 1 - least)) - bias
    far = bias - apart / (1 + skew * apart) if 1 + skew * apart > 0 else -apart
    if beyond < least:
        far *= reached / (reached - np.quantile(drawn, least))
    return float(2 * stats.t.sf(max(far, 0.0) * np.sqrt((n - 1) / n), n - 1))


def meng(a: float, b: float, ab: float, n: int) -> float:
    """Two-sided p that two overlapping correlations with one target are equal, a and b correlated by ab.

    The variance of Fisher's z of ranks is (1 + rho^2 / 2) / (n - 3) (Bonett and Wright 2000): a constant 1.06 rejects
    twice too often where rho is high. Student's t with n - 3 degrees of freedom stands for the normal distribution.
    """
    square = (a**2 + b**2) / 2
    if n <= 3 or not max(abs(a), abs(b), abs(ab)) < 1:
        return np.nan
    f = min((1 - ab) / (2 * (1 - square)), 1.0)
    h = (1 - f * square) / (1 - square)
    z = (np.arctanh(a) - np.arctanh(b)) * np.sqrt((n - 3) / (2 * (1 + square / 2) * (1 - ab) * h))
    return float(2 * stats.t.sf(abs(z), n - 3))


def pool(rho: Array, n: Array, confidence: float) -> dict[str, Any]:
    sound = (np.abs(rho) < 1) & (n > 3)  # false for NaN
    if not sound.all():
        few, one = (n <= 3).sum(), ((np.abs(rho) == 1) & (n > 3)).sum()
        undefined = (np.isnan(rho) & (n > 3)).sum()
        why = ((few, "fewer than 4 architectures"), (one, "a rho of 1 or -1"), (undefined, "equal scores, so no rho"))
        reasons = "; ".join(f"{count} of {len(rho)} spaces: {words}" for count, words in why if count)
        return dict.fromkeys(_POOL, np.nan) | {"reason": reasons}
    z, variance = np.arctanh(rho), (1 + rho**2 / 2) / (n - 3)
    weight = 1 / variance
    fixed = weight @ z / weight.sum()
    q, free = float(weight @ (z - fixed) ** 2), len(z) - 1
    between = max(0.0, (q - free) / (weight.sum() - (weight**2).sum() / weight.sum()))
    mixed = 1 / (variance + between)
    found: dict[str, Any] = {"q": q, "q_p": float(stats.chi2.sf(q, free)), "tau2": between, "reason": ""}
    found["i2"] = max(0.0, (q - free) / q) if q > 0 else 0.0
    scatter = max(1.0, float(mixed @ (z - mixed @ z / mixed.sum()) ** 2) / free)
    tail = (1 + confidence) / 2
    reaches = (stats.t.ppf(tail, free) * np.sqrt(scatter), stats.norm.ppf(tail))
    for names, w, reach in zip((_POOL[:3], _POOL[3:6]), (mixed, weight), reaches, strict=True):
        middle, half = w @ z / w.sum(), reach / np.sqrt(w.sum())
        found |= dict(zip(names, np.tanh([middle, middle - half, middle + half]).tolist(), strict=True))
    return found
