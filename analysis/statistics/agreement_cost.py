"""What agreement costs: how well each proxy ranks as the target does, beside the seconds that it takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Array, Cells, Comparison, by_architectures, compare, frame, sides, why_no_rho
from analysis.comparison.keys import NAMES
from analysis.comparison.options import Chance, Common, Diverged, Options, Resampling
from analysis.statistics.bootstrap import estimate, of_pairs
from analysis.statistics.signal import Signals, no_signal, signals

_TYPES = (
    dict.fromkeys(["space", "proxy_dataset", "proxy_task", "target_dataset", "target_task"], "str")
    | {"n": "int64", "n_dropped": "int64"}
    | dict.fromkeys(["rho", "rho_low", "rho_high", "seconds", "target_seconds", "share", "macs"], "float64")
    | {"front": "boolean"}
    | {f"{side}_{name}": "str" for name in NAMES[2:] for side in ("proxy", "target")}
    | dict.fromkeys(["no_signal", "interval_method", "reason", "left_out", "rule"], "str")
)


def agreement_cost(
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
    """Agreement against cost: one row per (proxy, target), the proxies being trainings and scores without training.

    `rho` with its interval as in `correlate`. `seconds` is what the proxy costs for an architecture, all its seeds: the
    mean `train_s` of the cell's successful trials times its seeds; `target_seconds` the same of the target, `share` one
    by the other; `macs` are multiply-adds of one forward pass. `front` says whether the proxy is on the Pareto front of
    its target: no other has a higher rho without being dearer, and none costs less with the same rho. Missing where rho
    or the seconds are not known, and where `no_signal` says that proxy or target has no signal, as in `correlate`. The
    front is of these numbers as they are, without regard to their intervals.
    Architectures as in `correlate`; cells as in `early_stopping`, but no cell is its own proxy.
    """
    options = Options(common, score, diverged, chance, resamples, confidence, seed)
    return agreement_cost_of(compare(df, options), proxy, target)


def agreement_cost_of(
    comparison: Comparison,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    known: Signals | None = None,
) -> pd.DataFrame:
    """`agreement_cost` of a comparison; `known` is what `signals` gives, if that has been computed."""
    how = comparison.options.resampling()
    tested = known or signals(comparison)
    lines: list[dict[str, Any]] = []
    for cells, proxies, targets in sides(comparison.spaces, proxy, target):
        for t in targets:
            others = [p for p in proxies if p != t]
            marks = [no_signal(tested[cells.space], {"proxy": p, "target": t}) for p in others]
            of_target = [line | mark for line, mark in zip(_of_target(cells, others, t, how), marks, strict=True)]
            counted = [np.nan if line["no_signal"] else line["rho"] for line in of_target]
            both = np.array([line["seconds"] for line in of_target], float), np.array(counted, float)
            for line, on in zip(of_target, front(*both), strict=True):
                line["front"] = on
            lines += of_target
    return frame(lines, _TYPES)


def front(cost: Array, gain: Array) -> list[bool | None]:
    """Which points no other one beats: dearer points must gain more. None where a number is not known."""
    known = np.isfinite(cost) & np.isfinite(gain)
    found: list[bool | None] = []
    for k in range(len(cost)):
        better = known & (cost <= cost[k]) & (gain >= gain[k]) & ((cost < cost[k]) | (gain > gain[k]))
        found.append(not bool(better.any()) if known[k] else None)
    return found


def _of_target(cells: Cells, proxies: list[int], t: int, how: Resampling) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{} for _ in proxies]
    for used, places in by_architectures(cells, [(p, t) for p in proxies]):
        columns = [proxies[k] for k in places]
        values = cells.values[used][:, [*columns, t]]
        found = estimate(values, of_pairs([(k, len(columns)) for k in range(len(columns))]), how)
        for k, place in enumerate(places):
            line = _about(cells, proxies[place], t, used)
            line |= {"rho": found.value[k], "rho_low": found.low[k], "rho_high": found.high[k]}
            why = why_no_rho(proxy=values[:, k], target=values[:, -1])
            lines[place] = line | {"interval_method": found.method[k], "reason": why}
    return lines


def _about(cells: Cells, p: int, t: int, used: Any) -> dict[str, Any]:
    line: dict[str, Any] = {"space": cells.space, "n": int(used.sum()), "rule": cells.rule, "front": None}
    line["n_dropped"] = int((cells.seen[:, [p, t]].any(axis=1) & ~used).sum())
    for side, c in (("proxy", p), ("target", t)):
        line |= {f"{side}_{name}": cells.labels[name].iloc[c] for name in NAMES}
    own, of = cells.labels["seconds"].iloc[p], cells.labels["seconds"].iloc[t]
    line |= {"seconds": own, "target_seconds": of, "share": own / of if of > 0 else np.nan}
    why = cells.why_missing(p)
    return line | {"macs": cells.labels["macs"].iloc[p], "left_out": f"proxy: {why}" if why else ""}
