"""Is a proxy better than counting parameters?  Its agreement with a target, given and beside that of the sizes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Array, Cells, Comparison, by_architectures, compare, frame, sides, why_no_rho
from analysis.comparison.keys import NAMES
from analysis.comparison.options import Chance, Common, Diverged, Options, Resampling
from analysis.statistics.bootstrap import Estimate, Statistic, estimate
from analysis.statistics.proxy_differences import all_overlapping, holm, p_of_none
from analysis.statistics.signal import Signals, no_signal, signals
from analysis.statistics.size import partial, sizes_of, why_no_size

_SIZES = ("params", "macs")
_GIVEN = ("rho", "rho_given_params", "rho_given_macs", "rho_given_both")
_LESS = ("difference_params", "difference_macs")
_TYPES = (
    dict.fromkeys(["space", "proxy_dataset", "proxy_task", "target_dataset", "target_task"], "str")
    | {"n": "int64", "n_dropped": "int64"}
    | dict.fromkeys([f"{name}{end}" for name in _GIVEN for end in ("", "_low", "_high")], "float64")
    | dict.fromkeys(["rho_params", "rho_macs"], "float64")
    | dict.fromkeys([f"{name}{end}" for name in _LESS for end in ("", "_low", "_high")], "float64")
    | dict.fromkeys(["p_params", "p_macs", "p_params_holm", "p_macs_holm", "proxy_seconds"], "float64")
    | {f"{side}_{name}": "str" for name in NAMES[2:] for side in ("proxy", "target")}
    | dict.fromkeys(["no_signal", "interval_method", "reason", "left_out", "rule"], "str")
)


def beyond_size(
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
    """Whether a proxy says more than the size of the networks: one row per (proxy, target).

    `rho` is that of the proxy with the target; `rho_given_params`, `rho_given_macs` and `rho_given_both` are partial
    Spearman correlations, the partial correlation of the ranks, each with its bootstrap interval. `rho_params` and
    `rho_macs` are what the sizes alone reach as predictors of the target, from column `params` and `macs` of the
    target's rows (the proxy's where it has none), without any recipe that scores them. `difference_params` = `rho` -
    `rho_params` with its paired interval and `p_params`, as in `compare_proxies`: a proxy whose interval does not lie
    above 0 is not shown to be better than counting parameters. `_macs`: the same for multiply-adds. `p_params_holm` and
    `p_macs_holm` are corrected for all rows.

    `proxy_seconds` is what the proxy costs for an architecture, all seeds. Architectures without sizes are not used.
    NaN, and `reason` says why, where a number is not defined: sizes unknown or all equal, or a proxy that ranks as the
    size does, of which nothing is left. `no_signal` says whether proxy or target has none, as in `correlate`. Cells as
    in `early_stopping`, but no cell is its own proxy.
    """
    options = Options(common, score, diverged, chance, resamples, confidence, seed)
    return beyond_size_of(compare(df, options), proxy, target)


def beyond_size_of(
    comparison: Comparison,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    known: Signals | None = None,
) -> pd.DataFrame:
    """`beyond_size` of a comparison; `known` is what `signals` gives, if that has been computed."""
    plain, expanded = comparison.options.resampling(), comparison.options.resampling(expanded=True)
    tested = known or signals(comparison)
    lines: list[dict[str, Any]] = []
    for cells, proxies, targets in sides(comparison.spaces, proxy, target):
        sizes = sizes_of(comparison.rows, cells)
        for t in targets:
            others = [p for p in proxies if p != t]
            marks = [no_signal(tested[cells.space], {"proxy": p, "target": t}) for p in others]
            found = _of_target(cells, others, t, sizes, plain, expanded)
            lines += [line | mark for line, mark in zip(found, marks, strict=True)]
    table = frame(lines, _TYPES)
    return table.assign(**{f"p_{size}_holm": holm(table[f"p_{size}"].to_numpy()) for size in _SIZES})


def _of_target(
    cells: Cells, proxies: list[int], t: int, sizes: Array, plain: Resampling, expanded: Resampling
) -> list[dict[str, Any]]:
    """The lines of one target, in the order of the proxies; those that use the same architectures share resamples."""
    lines: list[dict[str, Any]] = [{} for _ in proxies]
    for compared, places in by_architectures(cells, [(p, t) for p in proxies]):
        columns = [proxies[k] for k in places]
        size = sizes[:, t] if not np.isnan(sizes[:, t]).all() else sizes[:, columns[0]]
        known = compared & ~np.isnan(size).any(axis=1)
        used = known if known.any() else compared
        values = np.column_stack([cells.values[:, [*columns, t]], size])[used]
        many = len(columns)
        given = estimate(values, _partials(many), plain)
        threes = [(k, many + 1 + s, many) for k in range(many) for s in range(2)]
        less = estimate(values, all_overlapping(threes), expanded)
        for k, place in enumerate(places):
            line = _about(cells, proxies[place], t, used)
            own = given.part(slice(4 * k, 4 * k + 4))
            parts = [less.part(slice(8 * k + 4 * s, 8 * k + 4 * s + 4)) for s in range(2)]
            lines[place] = line | _numbers(own, parts, line["n"]) | {"reason": _why(values, k, many)}
    return lines


def _partials(many: int) -> Statistic:
    """Of columns (proxies, target, params, macs): what `_GIVEN` names of each proxy, one after another."""
    t, params, macs = many, many + 1, many + 2

    def of(rho: Array) -> Array:
        parts = []
        for k in range(many):
            parts += [rho[:, k, t], *(partial(rho, k, t, given) for given in ([params], [macs], [params, macs]))]
        return np.stack(parts, axis=1)

    return of


def _about(cells: Cells, p: int, t: int, used: Any) -> dict[str, Any]:
    line: dict[str, Any] = {"space": cells.space, "n": int(used.sum()), "rule": cells.rule}
    line["n_dropped"] = int((cells.seen[:, [p, t]].any(axis=1) & ~used).sum())
    for side, c in (("proxy", p), ("target", t)):
        line |= {f"{side}_{name}": cells.labels[name].iloc[c] for name in NAMES}
    why = cells.why_missing(p)
    return line | {"proxy_seconds": cells.labels["seconds"].iloc[p], "left_out": f"proxy: {why}" if why else ""}


def _numbers(given: Estimate, less: list[Estimate], n: int) -> dict[str, Any]:
    line: dict[str, Any] = {"interval_method": given.method[0]}
    for k, name in enumerate(_GIVEN):
        line |= {name: given.value[k], f"{name}_low": given.low[k], f"{name}_high": given.high[k]}
    for size, one in zip(_SIZES, less, strict=True):
        name = f"difference_{size}"
        line |= {f"rho_{size}": one.value[1], f"p_{size}": p_of_none(one, n), f"p_{size}_holm": np.nan}
        line |= {name: one.value[3], f"{name}_low": one.low[3], f"{name}_high": one.high[3]}
    return line


def _why(values: Array, k: int, many: int) -> str:
    """Why a number of a proxy is missing, or nothing."""
    if why := why_no_rho(proxy=values[:, k], target=values[:, many]):
        return why
    ranks = pd.DataFrame(values[:, [k, many + 1, many + 2]]).rank()
    alike = [name for c, name in enumerate(("params", "MACs"), 1) if ranks[0].equals(ranks[c])]
    whys = [f"proxy: ranks as {' and '.join(alike)}"] if alike else []
    return "; ".join(filter(None, [*whys, why_no_size(values[:, many + 1 :])]))
