"""Is it only size?  How much of an agreement between cells is that both prefer larger networks.

Ranks do not change under a logarithm, so all statistics of params and MACs are also those of their logarithms.
"""

from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Array, Cells, Comparison, compare, frame, why_no_rho
from analysis.comparison.keys import IDS, LAST, NAMES, PAIR
from analysis.comparison.options import Chance, Common, Diverged, Options, Resampling
from analysis.statistics.bootstrap import Estimate, estimate, of_pairs

_SIZES = ("params", "macs")
_GIVEN = ("rho", "rho_given_params", "rho_given_macs", "rho_given_both")
_THIRDS = ("small", "medium", "large")


def size_effect(
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
    """rho with the size of the networks held constant: one row per pair of cells.

    `rho_given_params`, `rho_given_macs`, `rho_given_both`: partial Spearman correlation, the partial correlation of the
    ranks, each with `_low` and `_high`. `rho_small`, `rho_medium`, `rho_large`: rho within the thirds of the
    architectures by params (`n_small`, ...; equal sizes stay together), with intervals. Sizes are those of y's rows,
    x's where y has none; the heads of tasks add the same to every architecture. Architectures without sizes are not
    used; `n` counts those that are. A partial rho is NaN, and `reason` says why, where scores are all equal, sizes are
    unknown or all equal, or if params and MACs give the same ranking, so that their effects cannot be separated.
    """
    return size_effect_of(compare(df, Options(common, score, diverged, chance, resamples, confidence, seed)))


def size_effect_of(comparison: Comparison) -> pd.DataFrame:
    """`size_effect` of a comparison."""
    how = comparison.options.resampling()
    lines: list[dict[str, Any]] = []
    for cells in comparison.spaces:
        sizes = sizes_of(comparison.rows, cells)
        for pair, compared_by_it in cells.each_pair():
            of_pair = np.where(np.isnan(sizes[:, pair[1]]), sizes[:, pair[0]], sizes[:, pair[1]])
            known = ~np.isnan(of_pair).any(axis=1) & compared_by_it
            used = known if known.any() else compared_by_it
            values = np.column_stack([cells.values[:, pair], of_pair])[used]
            found = estimate(values, partials, how)
            line = cells.line(pair, used) | _columns(_GIVEN, found)
            why = why_no_rho(x=values[:, 0], y=values[:, 1]) or why_no_size(values[:, 2:])
            line |= {"interval_method": found.method[0], "reason": why}
            lines.append(line | _within_thirds(values, how))
    numbers = [f"{name}{end}" for name in _GIVEN for end in ("", "_low", "_high")]
    kinds = dict.fromkeys(PAIR, "str") | {"n": "int64", "n_dropped": "int64"} | dict.fromkeys(numbers, "float64")
    for third in _THIRDS:
        kinds |= {f"n_{third}": "int64"} | dict.fromkeys([f"rho_{third}{e}" for e in ("", "_low", "_high")], "float64")
    return frame(lines, kinds | dict.fromkeys(IDS, "str") | LAST)


def size_proxies(
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
    """How well size alone ranks the architectures, without any training: one row per cell, `rho_params` and `rho_macs`
    with their intervals. Architectures as in `correlate`; NaN where sizes are unknown or all equal."""
    return size_proxies_of(compare(df, Options(common, score, diverged, chance, resamples, confidence, seed)))


def size_proxies_of(comparison: Comparison) -> pd.DataFrame:
    """`size_proxies` of a comparison."""
    how = comparison.options.resampling()
    lines: list[dict[str, Any]] = []
    for cells in comparison.spaces:
        sizes = sizes_of(comparison.rows, cells)
        for c in range(len(cells.labels)):
            used, known = cells.alone(c), ~np.isnan(sizes[:, c]).any(axis=1)
            if (known & used).any():
                used = known & used
            values = np.column_stack([cells.values[used, c], sizes[used, c]])
            found = estimate(values, of_pairs([(0, 1), (0, 2)]), how)
            line = cells.cell(c, used) | _columns(("rho_params", "rho_macs"), found)
            why = why_no_size(values[:, 1:]) if np.isnan(values[:, 1:]).any() else why_no_rho(score=values[:, 0])
            lines.append(line | {"interval_method": found.method[0], "reason": why or why_no_size(values[:, 1:])})
    numbers = [f"rho_{name}{end}" for name in _SIZES for end in ("", "_low", "_high")]
    kinds = dict.fromkeys(["space", "dataset", "task"], "str") | {"n": "int64", "n_dropped": "int64"}
    return frame(lines, kinds | dict.fromkeys(numbers, "float64") | dict.fromkeys(NAMES[2:], "str") | LAST)


def partial(rho: Array, x: int, y: int, given: list[int]) -> Array:
    """(R,) partial correlation of columns x and y of matrices (R, C, C); NaN where the given ones, or one of them and x
    or y, are all but the same."""
    part = rho[:, [[c] for c in (x, y, *given)], [x, y, *given]]
    sound = np.isfinite(part).all(axis=(1, 2)) & (np.linalg.det(np.nan_to_num(part)) > 1e-10)
    found = np.full(len(rho), np.nan)
    inverse = np.linalg.inv(part[sound])
    found[sound] = -inverse[:, 0, 1] / np.sqrt(inverse[:, 0, 0] * inverse[:, 1, 1])
    return found.clip(-1, 1)


def partials(rho: Array) -> Array:
    """Of columns (x, y, params, macs): what `_GIVEN` names."""
    given = [partial(rho, 0, 1, [2]), partial(rho, 0, 1, [3]), partial(rho, 0, 1, [2, 3])]
    return np.stack([rho[:, 0, 1], *given], axis=1)


def thirds(size: Array) -> Any:
    """(n,) 0, 1, 2 by size, equal sizes together."""
    rank = pd.Series(size).rank().to_numpy()
    return (3 * (rank - 0.5) / max(len(size), 1)).astype(int)


def _within_thirds(values: Array, how: Resampling) -> dict[str, Any]:
    """rho between the first two columns within the thirds by the third."""
    known = not np.isnan(values[:, 2]).any()
    place = thirds(values[:, 2]) if known else np.full(len(values), -1)
    line: dict[str, Any] = {}
    for k, third in enumerate(_THIRDS):
        inside = values[place == k][:, :2]
        line |= {f"n_{third}": len(inside)} | _columns((f"rho_{third}",), estimate(inside, of_pairs([(0, 1)]), how))
    return line


def _columns(names: tuple[str, ...], found: Estimate) -> dict[str, float]:
    parts = (("", found.value), ("_low", found.low), ("_high", found.high))
    return {f"{name}{end}": float(numbers[k]) for k, name in enumerate(names) for end, numbers in parts}


def sizes_of(df: pd.DataFrame, cells: Cells) -> Array:
    """(A, C, 2) params and macs of the first seed that has a row; NaN where unknown."""
    of_rows = np.stack(
        [df[name].to_numpy(float, na_value=np.nan) if name in df else np.full(len(df), np.nan) for name in _SIZES], 1
    )
    sizes = np.full((*cells.values.shape, 2), np.nan)
    for s in range(cells.rows.shape[2])[::-1]:
        place = cells.rows[:, :, s]
        sizes = np.where((place >= 0)[..., None], of_rows[place], sizes) if len(of_rows) else sizes
    return sizes


def why_no_size(sizes: Array) -> str:
    """Why some numbers about size are missing, or nothing."""
    if len(sizes) == 0 or np.isnan(sizes).any():
        return "sizes unknown" if len(sizes) else "no architectures in common"
    if (np.ptp(sizes, axis=0) == 0).any():
        return "all of one size"
    rank = [pd.Series(column).rank() for column in sizes.T]
    return "params and MACs rank alike" if rank[0].equals(rank[1]) else ""
