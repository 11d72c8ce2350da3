"""How early can one look?  The ranking after each epoch against the final target, and what it costs to get there."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import (
    Array,
    Cells,
    Comparison,
    compare,
    frame,
    mean_of_seeds,
    sides,
    whole_numbers,
    why_no_rho,
)
from analysis.comparison.keys import NAMES, columns
from analysis.comparison.options import Chance, Common, Diverged, Options, Resampling
from analysis.comparison.trials import expect_frame
from analysis.statistics.bootstrap import estimate

_MOST = 24  # epochs evaluated by default
_SIDES = ("proxy", "target")
_TYPES = (
    dict.fromkeys(["space", "proxy_dataset", "proxy_task", "target_dataset", "target_task"], "str")
    | dict.fromkeys(["n", "n_dropped", "epoch", "epochs"], "int64")
    | dict.fromkeys(["rho", "rho_low", "rho_high", "rho_full", "seconds", "share", "macs"], "float64")
    | {f"{side}_{name}": "str" for name in NAMES[2:] for side in _SIDES}
    | {"proxy_n_seeds": "int64", "target_n_seeds": "int64"}
    | dict.fromkeys(["interval_method", "reason", "rule"], "str")
)


def early_stopping(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    epochs: Sequence[int] | None = None,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """rho of each proxy after e epochs with the target's final score: one row per (pair of cells, epoch).

    `df` is `load(..., curves=True)`. `proxy` and `target` choose cells by name, `{"task": "rot"}`; by default the
    targets are the `cls` cells (all cells of a space that has none), the proxies all cells, the target itself among
    them. A trial's score after e epochs is its best so far, or with `score="score_final"` that of epoch e; without a
    finite one it ranks last. `epochs` defaults to the last and at most 23 before it, in equal ratios. `rho_full` is rho
    at the last epoch.

    `seconds`: training and evaluation up to epoch e, summed over seeds, the mean over architectures; `share` is that of
    the whole training. `macs`: multiply-adds of one forward pass of one element, per epoch and seed, the mean over
    architectures; times the elements of an epoch it is the forward passes' total. What ended early costs what it took.
    The target's own costs are not counted. Raises LookupError without curves and where a choice names no cell.
    """
    options = Options(common, score, diverged, chance, resamples, confidence, seed)
    return early_stopping_of(_curved(df, options), proxy, target, epochs)


def early_stopping_of(
    comparison: Comparison,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    epochs: Sequence[int] | None = None,
) -> pd.DataFrame:
    """`early_stopping` of a comparison."""
    options, how = comparison.options, comparison.options.resampling()
    at = None if epochs is None else whole_numbers("epochs", epochs)
    lines: list[dict[str, Any]] = []
    for cells, proxies, targets in sides(comparison.spaces, proxy, target):
        for p in proxies if targets else []:
            curves = _Curves(comparison.rows, cells, p, best=options.score != "score_final", at=at)
            for t in targets:
                lines += _lines(cells, curves, p, t, how)
    return frame(lines, _TYPES)


def cheapest(
    df: pd.DataFrame,
    *,
    keep: float = 0.95,
    proxy: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    epochs: Sequence[int] | None = None,
    common: Common = "all",
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """The cheapest budget that keeps a share of the full rho: one row per pair of cells of `early_stopping`.

    It is the first epoch from which on rho stays at or above `keep` times `rho_full`, so that one lucky epoch does not
    count. `kept` is rho / rho_full there. No row for a pair whose full rho is not above 0. `df` and the other options
    are those of `early_stopping`.
    """
    options = Options(common, score, diverged, chance, resamples, confidence, seed)
    return cheapest_of(early_stopping_of(_curved(df, options), proxy, target, epochs), keep)


def cheapest_of(found: pd.DataFrame, keep: float = 0.95) -> pd.DataFrame:
    """`cheapest` of what `early_stopping` gives."""
    if not 0 < keep <= 1:
        raise ValueError(f"keep is a share above 0 and at most 1, not {keep}")
    key = ["space", *columns("proxy"), *columns("target")]
    table = found.sort_values([*key, "epoch"], kind="stable")
    table = table[table["rho_full"] > 0]
    enough = (table["rho"] >= keep * table["rho_full"] - 1e-12).astype(int)
    stays = enough[::-1].groupby([table[name] for name in key]).cummin()[::-1].astype(bool)
    first = table[stays].drop_duplicates(key)
    first = first.assign(kept=first["rho"] / first["rho_full"])
    return first.loc[first.index.sort_values()].reset_index(drop=True)


def _curved(df: pd.DataFrame, options: Options) -> Comparison:
    """The comparison of rows that have curves; LookupError for rows that were loaded without."""
    expect_frame(df)
    if missing := [name for name in ("curve_test_score", "curve_seconds") if name not in df]:
        raise LookupError(f"no column {', '.join(map(repr, missing))}; load the runs with curves=True")
    return compare(df, options)


class _Curves:
    """What the trials of a cell had reached and cost after each epoch looked at."""

    def __init__(self, df: pd.DataFrame, cells: Cells, cell: int, *, best: bool, at: Sequence[int] | None) -> None:
        places = cells.rows[:, cell][:, cells.planned[cell]]
        self.there = (places >= 0).all(axis=1)  # (A,)
        rows = places[self.there]  # (there, S)
        scores, lasted = as_matrix(df["curve_test_score"].to_numpy()[rows.ravel()])
        self.epochs = scores.shape[1]
        self.at = _looked_at(self.epochs) if at is None else np.unique([e for e in at if 1 <= e <= self.epochs])
        # What ended early keeps its last score, as its row does.
        upto = np.minimum(self.at, np.maximum(lasted, 1)[:, None]).astype(int) - 1  # (trials, at)
        reached = np.where(np.isfinite(scores), scores, -np.inf)
        reached = np.maximum.accumulate(reached, axis=1) if best else reached
        seconds, timed = as_matrix(df["curve_seconds"].to_numpy()[rows.ravel()])
        seconds = np.pad(np.nan_to_num(seconds), [(0, 0), (0, max(0, self.epochs - seconds.shape[1]))]).cumsum(axis=1)
        seconds[timed == 0] = np.nan
        macs = df["macs"].to_numpy(float, na_value=np.nan)[rows.ravel()] if "macs" in df else np.full(rows.size, np.nan)

        def seeded(matrix: Any) -> Array:
            """(trials, at) -> (there, at, S)."""
            found: Array = matrix.reshape(*rows.shape, len(self.at)).transpose(0, 2, 1)
            return found

        self.means = mean_of_seeds(seeded(np.take_along_axis(reached, upto, axis=1)))  # (there, at)
        self.seconds = seeded(np.take_along_axis(seconds, upto, axis=1)).sum(axis=2)
        self.whole = seconds[:, -1:].reshape(rows.shape).sum(axis=1) if self.epochs else np.zeros(len(rows))
        self.macs = seeded((upto + 1) * macs[:, None]).sum(axis=2)


def _lines(cells: Cells, curves: _Curves, p: int, t: int, how: Resampling) -> list[dict[str, Any]]:
    """One line an epoch of a proxy p and a target t, in order."""
    used = cells.alone(p) if p == t else cells.used((min(p, t), max(p, t)))
    inside = used[curves.there]
    values = np.column_stack([curves.means[inside], cells.values[used][:, [p, t]]])
    found = estimate(values, lambda rho: rho[:, :-1, -1], how)
    about: dict[str, Any] = {"space": cells.space, "rule": cells.rule, "n": int(used.sum()), "epochs": curves.epochs}
    about["n_dropped"] = int((cells.seen[:, [p, t]].any(axis=1) & ~used).sum())
    for side, c in zip(_SIDES, (p, t), strict=True):
        about |= {f"{side}_{name}": value for name, value in cells.labels.iloc[c].items()}
    whole = _mean(curves.whole[inside])
    lines = []
    for k, epoch in enumerate(curves.at):
        line = {"epoch": int(epoch), "rho": found.value[k], "rho_low": found.low[k], "rho_high": found.high[k]}
        why = why_no_rho(proxy=values[:, k], target=values[:, -1])
        line |= {"rho_full": found.value[-1], "interval_method": found.method[k], "reason": why}
        seconds = _mean(curves.seconds[inside, k])
        line |= {"seconds": seconds, "share": seconds / whole if whole > 0 else np.nan}
        lines.append(about | line | {"macs": _mean(curves.macs[inside, k])})
    return lines


def as_matrix(lists: Any) -> tuple[Array, Any]:
    """Lists of numbers as rows of one matrix, NaN behind their ends, and how long they are."""
    lists = [() if one is None or one is pd.NA or isinstance(one, float) else one for one in lists]
    lengths = np.fromiter(map(len, lists), int, len(lists))
    matrix = np.full((len(lists), lengths.max(initial=0)), np.nan)
    if matrix.size:
        matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = np.concatenate(
            [np.asarray(one, float) for one in lists]
        )
    return matrix, lengths


def _looked_at(epochs: int) -> Any:
    """The last epoch and at most 23 before it, in equal ratios: most where the ranking changes fastest."""
    if epochs <= _MOST:
        return np.arange(1, epochs + 1)
    return np.unique(np.geomspace(1, epochs, _MOST).round().astype(int))


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else np.nan
