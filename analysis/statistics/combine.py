"""Are several proxies together better than one?  A rank average and a linear combination, cross-fitted.

What is fitted or chosen by the target is judged on architectures that took no part in it: they are dealt into folds,
and each fold is predicted by what the others give.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis import names
from analysis.comparison.cells import FEWEST, Array, Cells, Comparison, compare, frame, sides, why_no_rho
from analysis.comparison.keys import NAMES, SCORE
from analysis.comparison.options import Chance, Common, Diverged, Options
from analysis.statistics.bootstrap import estimate
from analysis.statistics.proxy_differences import all_overlapping, p_of_none
from analysis.statistics.size import sizes_of

_PENALTIES = np.geomspace(1e-4, 1e2, 13)  # of the ridge regression, times the number of architectures
_MISSING = 0.1  # share of the architectures for which a proxy may be missing
_WEIGHTS = 3  # of a linear combination that are named
BEST, CHOSEN, AVERAGE, LINEAR = "best single, same data", "best single", "rank average", "linear"
_TYPES = (
    dict.fromkeys(["space", "target_dataset", "target_task", "predictor"], "str")
    | {"n": "int64", "n_dropped": "int64", "proxies": "int64", "folds": "int64"}
    | dict.fromkeys(["rho", "rho_low", "rho_high", "difference", "difference_low", "difference_high", "p"], "float64")
    | {"of": "str", "note": "str"}
    | {f"target_{name}": "str" for name in NAMES[2:]}
    | dict.fromkeys(["interval_method", "reason", "left_out", "rule"], "str")
)


@dataclass(frozen=True)
class _Predictor:
    """One way to predict the target's ranking."""

    name: str
    values: Array  # (n,) predictions, higher is better
    of: str  # which proxies it consists of
    proxies: int
    folds: int = 0  # 0: no fold was left out
    note: str = ""


def combine_proxies(
    df: pd.DataFrame,
    *,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    folds: int = 10,
    common: Common = "all",
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How well several proxies together predict a target: one row per (target, `predictor`).

    - `rank average`: the mean of the proxies' ranks. Nothing is fitted.
    - `linear`: ridge regression of the target's ranks on those of the proxies, cross-fitted: each of `folds` folds of
      architectures is predicted by the fit to the others, ranks being places among those. The penalty is chosen inside
      of each fit, by its leave-one-out error.
    - `best single`: the proxy with the highest rho, cross-fitted as well: it is chosen without the fold that it
      predicts.
    - `best single, same data`: the proxy with the highest rho among all architectures. Its rho is the best of many on
      the data that chose it, hence too high; it stands here for comparison.
    - `params`, `macs`: the size of the networks, where the rows know it.

    `rho` with the target, over all architectures, of out-of-fold predictions alone; `difference` is rho less that of
    `best single`, with paired interval and `p` as in `compare_proxies`. `of` names the proxies: in how many folds each
    was chosen, or its mean weight. Intervals resample architectures with the predictions that they have and do not fit
    again. Fits of different folds are on slightly different scales, so rho is a little too low, of proxies that say
    nothing slightly below 0. Folds depend on `seed` alone; architectures of one `arch_id` lie in one fold.

    By default the proxies are the scores without training on the dataset and under the task of the target, or on its
    dataset, or all of them, or, where there are none, all other cells. Architectures are those of `correlate` that have
    all of the proxies; a proxy that a tenth of the target's lack, or that is equal for all, takes no part, and
    `left_out` says so. Targets are those of `early_stopping`.
    """
    options = Options(common, score, diverged, chance, resamples, confidence, seed)
    return combine_proxies_of(compare(df, options), proxy, target, folds)


def combine_proxies_of(
    comparison: Comparison,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    folds: int = 10,
) -> pd.DataFrame:
    """`combine_proxies` of a comparison."""
    if isinstance(folds, bool) or not isinstance(folds, int | np.integer) or folds < 2:
        raise ValueError(f"folds must be a whole number of 2 or more, not {folds!r}")
    lines: list[dict[str, Any]] = []
    for cells, proxies, targets in sides(comparison.spaces, proxy, target):
        for t in targets:
            some = _candidates(cells, t) if proxy is None else [p for p in proxies if p != t]
            if some:
                lines += _of_target(comparison, cells, some, t, folds)
    return frame(lines, _TYPES)


def _candidates(cells: Cells, t: int) -> list[int]:
    labels = cells.labels
    scores = (labels["method"] == SCORE).to_numpy(bool)
    dataset, task = ((labels[name] == labels[name].iloc[t]).to_numpy(bool) for name in ("dataset_id", "task"))
    every = np.ones(len(labels), bool)
    chosen = next(some for some in (scores & dataset & task, scores & dataset, scores, every) if some.any())
    return [int(c) for c in np.flatnonzero(chosen) if c != t]


def _of_target(comparison: Comparison, cells: Cells, some: list[int], t: int, folds: int) -> list[dict[str, Any]]:
    base = cells.together([t])
    proxies, left_out = _sound(cells, some, base)
    used = cells.together([t, *proxies])
    x, y = cells.values[used][:, proxies], cells.values[used, t]
    called = names.plain_labels(cells.labels.iloc[proxies])
    network = _networks(comparison, cells, used)
    dealt = np.random.default_rng(comparison.options.seed).permutation(network.max(initial=-1) + 1) % folds
    predictors = _predictors(x, y, called, network, dealt[network]) if len(y) >= 2 * FEWEST else []
    if len(proxies) == 0 or not predictors:
        predictors = []
        why = f"{names.many(len(y), 'architecture')} to compare ({2 * FEWEST} are needed)"
        left_out.append(why if proxies else "no proxy is known for these architectures")
    sizes = sizes_of(comparison.rows, cells)[used, t]
    for k, name in enumerate(("params", "macs")):
        if predictors and not np.isnan(sizes[:, k]).any():
            predictors.append(_Predictor(name, sizes[:, k], name, 0, note="nothing is fitted"))
    about: dict[str, Any] = {"space": cells.space, "n": int(used.sum()), "rule": cells.rule}
    about |= {"n_dropped": int((cells.seen[:, t] & ~used).sum()), "left_out": "; ".join(left_out)}
    about |= {f"target_{name}": cells.labels[name].iloc[t] for name in NAMES}
    return [about | line for line in _judged(predictors, y, comparison.options)]


def _judged(predictors: list[_Predictor], y: Array, options: Options) -> list[dict[str, Any]]:
    """rho of each with the target, and less that of the best single one."""
    if not predictors:
        return []
    values = np.column_stack([*(one.values for one in predictors), y])
    best = next(k for k, one in enumerate(predictors) if one.name == CHOSEN)
    threes = [(k, best, len(predictors)) for k in range(len(predictors))]
    plain, wide = (estimate(values, all_overlapping(threes), options.resampling(expanded=e)) for e in (False, True))
    lines = []
    for k, one in enumerate(predictors):
        rho, less = plain.part(slice(4 * k, 4 * k + 4)), wide.part(slice(4 * k, 4 * k + 4))
        line: dict[str, Any] = {"predictor": one.name, "proxies": one.proxies, "folds": one.folds}
        line |= {"of": one.of, "note": one.note, "interval_method": rho.method[0]}
        line |= {"rho": rho.value[0], "rho_low": rho.low[0], "rho_high": rho.high[0]}
        line |= dict.fromkeys(["difference", "difference_low", "difference_high", "p"], np.nan)
        if k != best:
            line |= {"difference": less.value[3], "difference_low": less.low[3], "difference_high": less.high[3]}
            line["p"] = p_of_none(less, len(y))
        lines.append(line | {"reason": why_no_rho(predictor=one.values, target=y)})
    return lines


def _sound(cells: Cells, some: Sequence[int], base: Any) -> tuple[list[int], list[str]]:
    """The proxies that take part, and why others do not."""
    kept, left_out = [], []
    called = names.plain_labels(cells.labels.iloc[list(some)])
    for c, name in zip(some, called, strict=True):
        there = cells.usable[base, c]
        values = cells.values[base, c][there]
        if (~there).mean() > _MISSING if len(there) else True:
            left_out.append(f"{name}: missing for {int((~there).sum()):,} of {len(there):,} architectures")
        elif (values == values[0]).all():
            left_out.append(f"{name}: all {len(values):,} have the same score")
        else:
            kept.append(c)
    return kept, left_out


def _networks(comparison: Comparison, cells: Cells, used: Any) -> Any:
    """(n,) numbers of networks: architectures of one arch_id are one."""
    groups = np.arange(int(used.sum()))
    if "arch_id" in comparison.rows:
        rows = cells.rows[used].reshape(len(groups), -1).max(axis=1, initial=-1)
        ids = comparison.rows["arch_id"].to_numpy(object)[rows]
        known = [str(one) if isinstance(one, str) and one else f"\0{k}" for k, one in enumerate(ids)]
        groups = np.unique(known, return_inverse=True)[1]
    return groups


def _predictors(x: Array, y: Array, called: list[str], network: Any, fold: Any) -> list[_Predictor]:
    """The predictors of a target y (n,) by proxies x (n, P) with these names; `fold` is the same for architectures of
    one network."""
    n, many = x.shape
    rho = _rho(x, y)
    if many == 0 or not np.isfinite(rho).any():
        return []
    top = int(np.nanargmax(rho))
    single, linear = np.full(n, np.nan), np.full(n, np.nan)
    picked: Counter[str] = Counter()
    weights = np.zeros(many)
    parts = np.unique(fold)
    for part in parts:
        out = fold == part
        places, targets = _places(x[~out], x), _places(y[~out][:, None], y[:, None])[:, 0]
        found = _rho(x[~out], y[~out])
        best = int(np.nanargmax(found)) if np.isfinite(found).any() else top
        picked[called[best]] += 1
        single[out] = places[out, best]
        # A network that occurs twice counts once: else leaving one out would leave the other in.
        known = _mean_of(np.column_stack([places, targets])[~out], network[~out])
        weight, predicted = _ridge(known[:, :-1], known[:, -1], places[out])
        linear[out], weights = predicted, weights + weight / len(parts)
    order = np.argsort(-np.abs(weights), kind="stable")
    named = ", ".join(f"{called[k]} {weights[k]:+.2f}" for k in order[:_WEIGHTS])
    folds = len(parts)
    return [
        _Predictor(LINEAR, linear, named + ", ..." * (many > _WEIGHTS), many, folds),
        _Predictor(AVERAGE, stats.rankdata(x, axis=0).mean(axis=1), "equal weights", many, note="nothing is fitted"),
        _Predictor(CHOSEN, single, ", ".join(f"{name} ({k})" for name, k in picked.most_common(_WEIGHTS)), many, folds),
        _Predictor(BEST, x[:, top], called[top], many, note=f"the best of {many} on the data that chose it: too high"),
    ]


def _mean_of(values: Array, group: Any) -> Array:
    """The means of rows (n, C) of the same group, in the order of the groups."""
    each, place, many = np.unique(group, return_inverse=True, return_counts=True)
    found = np.zeros((len(each), values.shape[1]))
    np.add.at(found, place, values)
    mean: Array = found / many[:, None]
    return mean


def _rho(x: Array, y: Array) -> Array:
    """Spearman's rho of each column with y; NaN for constant ones."""
    ranks, target = stats.rankdata(x, axis=0), stats.rankdata(y)
    ranks, target = ranks - ranks.mean(axis=0), target - target.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = (target @ ranks) / np.sqrt((ranks**2).sum(axis=0) * (target @ target))
    return found


def _places(known: Array, values: Array) -> Array:
    """The place of each value among the known ones of its column, from 0 to 1; equal ones at their middle."""
    found = np.empty(values.shape)
    for c, column in enumerate(known.T):
        ordered = np.sort(column)
        ends = [np.searchsorted(ordered, values[:, c], side) for side in ("left", "right")]
        found[:, c] = (ends[0] + ends[1]) / (2 * len(ordered))
    return found


def _ridge(x: Array, y: Array, new: Array) -> tuple[Array, Array]:
    """Weights of the columns of x (n, P), all standardised, and predictions of y for new ones (m, P).

    The penalty has the least leave-one-out error, which is exact for linear fits: residual / (1 - leverage).
    """
    middle, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    z, centred = (x - middle) / spread, y - y.mean()
    left, size, right = np.linalg.svd(z, full_matrices=False)
    errors = []
    for penalty in _PENALTIES * len(x):
        kept = size**2 / (size**2 + penalty)
        residual = centred - left @ (kept * (left.T @ centred))
        leverage = (left**2 @ kept + 1 / len(x)).clip(max=1 - 1e-9)
        errors.append(float(((residual / (1 - leverage)) ** 2).sum()))
    penalty = _PENALTIES[int(np.argmin(errors))] * len(x)
    weights: Array = right.T @ (size / (size**2 + penalty) * (left.T @ centred))
    predicted = y.mean() + (new - middle) / spread @ weights
    return weights / max(float(y.std()), 1e-12), predicted
