"""What an experiment of limited size finds with a proxy: UnNAS, figure 5, and its limit of infinitely many repeats."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Cells, Comparison, chosen, compare, whole_numbers
from analysis.comparison.keys import NAMES
from analysis.comparison.options import Chance, Common, Diverged, Options

SIZES = tuple(2**k for k in range(9))  # 1 to 256 architectures, as in the figure
_REPEATS = 500  # the paper's architectures: it repeats 500 / m times, also where fewer have results
_TYPES = (
    dict.fromkeys(["space", "proxy_dataset", "proxy_task", "target_dataset", "target_task"], "str")
    | dict.fromkeys(["n", "n_dropped", "m", "repeats"], "int64")
    | dict.fromkeys(["mean", "std", "expected", "expected_std", "best_low", "best_median", "best_high"], "float64")
    | {f"{side}_{name}": "str" for side in ("proxy", "target") for name in NAMES[2:]}
)


def random_experiment(
    df: pd.DataFrame,
    *,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    sizes: Sequence[int] = SIZES,
    repeats: int | None = None,
    seed: int = 2,
    common: Common = "pair",
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    band: float = 0.8,
) -> pd.DataFrame:
    """How good is the best of m architectures by a proxy, on the target?  One row per (pair of cells, m).

    `proxy` and `target` choose cells by name, `{"dataset": "imagenet", "task": "cls"}`; by default the target
    is every training on `cls`, the proxies all cells of other datasets of its space. For each size m up to n,
    `repeats` times (by default ceil(500 / m), beyond 500 architectures ceil(n / m) up to 500): m are drawn
    without replacement, and the one with the highest proxy score counts, the first drawn of equal ones. `mean`
    and `std` (population) are those of its target score. `expected` and `expected_std` are what they tend to with
    more and more repeats, computed without drawing. `best_median` is the median of that score over all draws, and from
    `best_low` to `best_high` it lies in the share `band` of them, half of the others on either side: by default from
    the tenth to the ninetieth percentile. These are scores that occur, where `expected` and deviations beside it may
    lie beyond the best.

    Scores are means over seeds. Used are the `n` architectures with all seeds in both cells, as in UnNAS, or with
    `common="all"` in every cell;
    `n_dropped` counts those tried in either and not used, also those without a finite target score. Draws are those of
    NumPy's legacy generator, seeded anew for each pair, over the architectures sorted by their text.
    Raises LookupError where a choice names no cell or no column of a cell, ValueError for sizes below 1.
    """
    return random_experiment_of(
        compare(df, Options(common, score, diverged, chance)), proxy, target, sizes, repeats, seed, band
    )


def random_experiment_of(
    comparison: Comparison,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    sizes: Sequence[int] = SIZES,
    repeats: int | None = None,
    seed: int = 2,
    band: float = 0.8,
) -> pd.DataFrame:
    """`random_experiment` of a comparison."""
    sizes = whole_numbers("sizes", sizes)
    if repeats is not None and repeats < 1:
        raise ValueError(f"repeats must be at least 1; given {repeats}")
    if not 0 < band < 1:
        raise ValueError(f"band is a share between 0 and 1, not {band}; 0.8, say")
    lines: list[dict[str, Any]] = []
    named = {"proxy": False, "target": False}
    for cells in comparison.spaces:
        selected = {"proxy": chosen(cells, proxy or {}), "target": chosen(cells, target or {"task": "cls"})}
        if not target:
            selected["target"] = [c for c in selected["target"] if cells.trained_cells[c]]
        named = {side: named[side] or bool(found) for side, found in selected.items()}
        for p, t in _pairs(cells, selected["proxy"], selected["target"], across=proxy is None):
            used = cells.used((min(p, t), max(p, t))) & np.isfinite(cells.values[:, t])
            about: dict[str, Any] = {"space": cells.space, "n": int(used.sum())}
            about["n_dropped"] = int((cells.seen[:, [p, t]].any(axis=1) & ~used).sum())
            for side, c in (("proxy", p), ("target", t)):
                about |= {f"{side}_{name}": cells.labels[name].iloc[c] for name in NAMES}
            proxies, targets = cells.values[used, p], cells.values[used, t]
            drawn = _drawn(proxies, targets, sizes, repeats, seed)
            lines += [about | line | _limit(proxies, targets, line["m"], band) for line in drawn]
    for side, choice in (("proxy", proxy), ("target", target)):
        if choice is not None and not named[side]:
            raise LookupError(f"no cell is {dict(choice)}, given as the {side}")
    return pd.DataFrame({name: pd.Series([ln[name] for ln in lines], dtype=kind) for name, kind in _TYPES.items()})


def _pairs(cells: Cells, proxies: list[int], targets: list[int], across: bool) -> Iterator[tuple[int, int]]:
    datasets = list(cells.labels["dataset_id"])
    for t in targets:
        for p in proxies:
            if p != t and not (across and datasets[p] == datasets[t]):
                yield p, t


def _drawn(proxy: Any, target: Any, sizes: Sequence[int], repeats: int | None, seed: int) -> Iterator[dict[str, Any]]:
    """The paper's procedure: one stream of draws through all sizes."""
    for m, picks in _picks(len(proxy), tuple(sizes), repeats, seed):
        best = np.take_along_axis(picks, proxy[picks].argmax(axis=1)[:, None], axis=1)[:, 0]
        found = target[best]
        yield {"m": m, "repeats": len(picks), "mean": float(found.mean()), "std": float(found.std())}


@lru_cache(maxsize=4)
def _picks(n: int, sizes: tuple[int, ...], repeats: int | None, seed: int) -> list[tuple[int, Any]]:
    """What is drawn for each size m up to n: (repeats, m) positions.  It depends on no score, so pairs share it."""
    stream = np.random.RandomState(seed)
    return [
        # The beginning of a permutation is what the legacy `choice` without replacement gives.
        (
            m,
            np.array(
                [stream.permutation(n)[:m] for _ in range(repeats or min(math.ceil(max(n, _REPEATS) / m), _REPEATS))]
            ),
        )
        for m in sizes
        if m <= n
    ]


def _limit(proxy: Any, target: Any, m: int, band: float) -> dict[str, float]:
    """Mean, deviation and quantiles over all draws of m.

    Of n architectures, C(k, m) / C(n, m) of the draws lie among the k worst; so the differences of that are the
    chances of each to be the best. Equal proxies share theirs equally, as each is drawn first equally often.
    """
    order = np.argsort(proxy, kind="stable")
    ends = np.flatnonzero(np.r_[proxy[order][1:] != proxy[order][:-1], True]) + 1  # k after each group of equals
    below = among_worst(len(proxy), m)[ends]
    sizes = np.diff(ends, prepend=0)
    chance = np.repeat(np.diff(below, prepend=0.0) / sizes, sizes)
    middle = target.mean()  # the deviation of small differences keeps its digits
    apart = target[order] - middle
    mean = float(chance @ apart)
    spread = math.sqrt(max(float(chance @ (apart - mean) ** 2), 0.0))
    # Means of equal scores may differ from them in the last digit, and nothing beyond the best can be expected.
    expected = min(max(middle + mean, target.min()), target.max())
    return {"expected": expected, "expected_std": spread} | _quantiles(target[order], chance, band)


def _quantiles(scores: Any, chance: Any, band: float) -> dict[str, float]:
    """Median and band of scores that come with these chances."""
    rising = np.argsort(scores, kind="stable")
    reached = chance[rising].cumsum() / chance.sum()
    tails = np.array([(1 - band) / 2, 0.5, (1 + band) / 2])
    found = scores[rising][np.searchsorted(reached, tails - 1e-12).clip(max=len(scores) - 1)]
    return dict(zip(("best_low", "best_median", "best_high"), map(float, found), strict=True))


def among_worst(n: int, m: int) -> Any:
    """(n + 1,) C(k, m) / C(n, m) for k = 0..n, as products of 1 - m / k downwards from 1 at n."""
    shares = np.zeros(n + 1)
    shares[n] = 1.0
    shares[m:n] = np.exp(np.log1p(-m / np.arange(m + 1, n + 1))[::-1].cumsum()[::-1])
    return shares
