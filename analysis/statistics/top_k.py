"""Does a proxy pick well?  How good the proxy's top k architectures are on the target."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Array, Cells, Comparison, compare, frame, sides, whole_numbers
from analysis.comparison.keys import NAMES
from analysis.comparison.options import Chance, Common, Diverged, Options
from analysis.statistics.random_experiments import among_worst
from analysis.statistics.signal import Signals, no_signal, signals

_NUMBERS = ("overlap", "overlap_random", "precision", "precision_random", "best", "chosen", "regret", "regret_random")
_TYPES = (
    dict.fromkeys(["space", "proxy_dataset", "proxy_task", "target_dataset", "target_task"], "str")
    | dict.fromkeys(["n", "n_dropped", "k"], "int64")
    | dict.fromkeys([*_NUMBERS, "percentile", "percentile_random"], "float64")
    | dict.fromkeys(["proxy_seconds", "target_seconds"], "float64")
    | {f"{side}_{name}": "str" for name in NAMES[2:] for side in ("proxy", "target")}
    | {"no_signal": "str", "rule": "str"}
)


def top_k(
    df: pd.DataFrame,
    *,
    k: Sequence[int] = (1, 5, 10, 20, 50),
    common: Common = "all",
    top: float = 0.1,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
) -> pd.DataFrame:
    """How good the proxy's top k architectures are on the target: one row per (pair of cells, k up to n).

    `overlap`: the share of the proxy's k best that are among the target's k best. `precision`: the share of them that
    are among the target's best `top` (a tenth), ceil(top n) architectures. `chosen`: the target's score of the best of
    the k by the target, that is of the one architecture the proxy would choose at k = 1; `regret` is how much less
    that is than the `best` of all n, `percentile` the share of the other architectures below it (100: none above; equal
    ones count half). Columns `_random` are what k architectures drawn at random would give, the mean over all draws.

    Ties are broken at random and the mean over all ways of that is given, exactly. No intervals: the bootstrap is not
    valid for the best of a sample (Bickel and Freedman 1981). The best is best by noisy scores, so regret includes
    their noise. Architectures as in `correlate`, without those that lack a finite target score; cells as in
    `early_stopping`, but no cell is its own proxy. `proxy_seconds` and `target_seconds` are what an architecture costs
    on either side, all its seeds. `no_signal` says which side has no signal and why, as in `correlate`.
    """
    return top_k_of(compare(df, Options(common, score, diverged, chance)), k, top, proxy, target)


def top_k_of(
    comparison: Comparison,
    k: Sequence[int] = (1, 5, 10, 20, 50),
    top: float = 0.1,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    known: Signals | None = None,
) -> pd.DataFrame:
    """`top_k` of a comparison; `known` is what `signals` gives, if that has been computed."""
    sizes = whole_numbers("k", k)
    if not 0 < top <= 1:
        raise ValueError(f"top is a share above 0 and at most 1, not {top}")
    lines: list[dict[str, Any]] = []
    tested = known or signals(comparison)
    for cells, proxies, targets in sides(comparison.spaces, proxy, target):
        for p, t in ((p, t) for t in targets for p in proxies if p != t):
            used = cells.used((min(p, t), max(p, t))) & np.isfinite(cells.values[:, t])
            about = _about(cells, p, t, used) | no_signal(tested[cells.space], {"proxy": p, "target": t})
            x, y = cells.values[used, p], cells.values[used, t]
            lines += [about | {"k": size} | _picked(x, y, size, top) for size in sizes if size <= len(x)]
    return frame(lines, _TYPES)


def _about(cells: Cells, p: int, t: int, used: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"space": cells.space, "rule": cells.rule, "n": int(used.sum())}
    about["n_dropped"] = int((cells.seen[:, [p, t]].any(axis=1) & ~used).sum())
    for side, c in (("proxy", p), ("target", t)):
        about |= {f"{side}_{name}": cells.labels[name].iloc[c] for name in (*NAMES, "seconds")}
    return about


def _picked(proxy: Array, target: Array, k: int, top: float) -> dict[str, float]:
    n, good = len(proxy), int(np.ceil(top * len(proxy) - 1e-9))
    chances = _chances(proxy, k)
    chosen = _best(target, chances, k)
    place = _percentiles(target)
    return {
        "overlap": float(chances @ _chances(target, k)) / k,
        "overlap_random": k / n,
        "precision": float(chances @ _chances(target, good)) / k,
        "precision_random": good / n,
        "best": target.max(),
        "chosen": (found := float(chosen @ np.sort(target))),
        "regret": float(target.max() - found),
        "regret_random": float(target.max() - (alone := _best(target, np.full(n, k / n), k)) @ np.sort(target)),
        "percentile": float(chosen @ np.sort(place)),
        "percentile_random": float(alone @ np.sort(place)),
    }


def _chances(scores: Array, k: int) -> Array:
    """(n,) the chance of each to be among the k best; 1 and 0 but for those that tie at the border."""
    border = np.partition(scores, len(scores) - k)[len(scores) - k]
    above, level = scores > border, scores == border
    found: Array = above + level * (k - above.sum()) / level.sum()
    return found


def _best(target: Array, chances: Array, k: int) -> Array:
    """(n,) the chance of each architecture, in the order of the target's scores, to be the target's best among k.

    Those with chance 1 are among the k in any case, of the others with a chance the rest is drawn.
    """
    order = np.argsort(target, kind="stable")
    sure, open_ = chances[order] >= 1, (chances[order] > 0) & (chances[order] < 1)
    drawn = k - int(sure.sum())
    floor = int(np.flatnonzero(sure)[-1]) if sure.any() else -1
    found = np.zeros(len(target))
    if drawn:
        found[open_] = np.diff(among_worst(int(open_.sum()), drawn))
    if floor >= 0:
        found[floor] = found[: floor + 1].sum() if drawn else 1.0
        found[:floor] = 0.0
    return found


def _percentiles(target: Array) -> Array:
    """(n,) the share of the others below each, in percent, equal ones half; 100 for one alone."""
    if len(target) == 1:
        return np.array([100.0])
    rank: Any = pd.Series(target).rank().to_numpy()
    found: Array = 100 * (rank - 1) / (len(target) - 1)
    return found
