"""How far the rankings of architectures agree between tasks and datasets: UnNAS, figures 2 to 4, as a
table."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis import ranks
from analysis.cells import CELL, gather, means

Common = Literal["all", "pair"]
Diverged = Literal["worst", "drop"]

_TEXT = ["space", "x_dataset", "x_task", "y_dataset", "y_task"]
_MORE = [
    "x_recipe",
    "y_recipe",
    "x_dataset_id",
    "y_dataset_id",
    "x_recipe_id",
    "y_recipe_id",
    "x_metric",
    "y_metric",
]
_TYPES = (
    dict.fromkeys(_TEXT, "str")
    | {"n": "int64", "n_dropped": "int64"}
    | dict.fromkeys(["rho", "rho_low", "rho_high", "tau", "p", "tau_p"], "float64")
    | dict.fromkeys(_MORE, "str")
    | dict.fromkeys(["x_seeds", "y_seeds", "x_diverged", "y_diverged"], "int64")
)


def correlate(
    df: pd.DataFrame,
    common: Common = "all",
    *,
    score: str = "score_best",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    diverged: Diverged = "worst",
) -> pd.DataFrame:
    """Every pair of cells within each space, one line a pair: Spearman's rho with its bootstrap interval,
    Kendall's tau-b, p-values.

    Scores are averaged over seeds first and ranked then, ties by average rank. Architectures are matched by
    their text and used if all seeds of their cell succeeded: in every cell of the space (`common="all"`, the
    rule of UnNAS) or in the pair's two (`"pair"`). `n` counts them; `n_dropped` counts those tried in either
    cell but not used. An architecture with a trial that never had a finite score ranks below every other,
    level with its like (`diverged="worst"`), or is not used (`"drop"`); `x_diverged` and `y_diverged` count
    such among those used.

    The cells of a space have one order, and x comes before y in it: tasks other than `cls` first, then by
    dataset, task and recipe. So `cls` is y against any label-free task. The interval resamples architectures
    and depends on `seed` alone, not on the order of rows. Where something cannot be said (fewer than 3
    architectures, 5 for the interval, or all equal) it is NaN.
    """
    if common not in ("all", "pair"):
        raise ValueError(f'common is "all" or "pair", not {common!r}')
    if diverged not in ("worst", "drop"):
        raise ValueError(f'diverged is "worst" or "drop", not {diverged!r}')
    lines: list[dict[str, Any]] = []
    for cells in compared(df, common, score=score, diverged=diverged):
        for mask, pairs in cells.groups.items():
            used = np.frombuffer(mask, bool)
            values = cells.values[used]
            rho, p = ranks.spearman(values, pairs)
            tau, tau_p = ranks.kendall(values, pairs)
            low, high = ranks.interval(values, pairs, resamples=resamples, confidence=confidence, seed=seed)
            numbers = {"rho": rho, "rho_low": low, "rho_high": high, "tau": tau, "p": p, "tau_p": tau_p}
            for k, pair in enumerate(pairs):
                line = {name: column[k] for name, column in numbers.items()}
                lines.append(cells.line(pair, used) | line | {"_order": (cells.space, pair)})
    lines.sort(key=lambda line: line["_order"])
    return pd.DataFrame({name: pd.Series([ln[name] for ln in lines], dtype=kind) for name, kind in _TYPES.items()})


@dataclass(frozen=True)
class Cells:
    """The cells of one space side by side: A architectures in the order of their text, C cells in their fixed
    order."""

    space: str
    labels: pd.DataFrame  # (C,) dataset, dataset_id, task, recipe, recipe_id, metric, seeds
    archs: list[str]
    values: ranks.Array  # (A, C) means over seeds, -inf for diverged, NaN where there is none
    seen: Any  # (A, C) tried at all
    usable: Any  # (A, C) complete, and finite or ranked worst
    groups: dict[bytes, list[tuple[int, int]]]  # the pairs that use the same architectures, by those (A,) as bytes

    def used(self, pair: tuple[int, int]) -> Any:
        """(A,) which architectures a pair of cells compares."""
        return np.frombuffer(next(mask for mask, pairs in self.groups.items() if pair in pairs), bool)

    def line(self, pair: tuple[int, int], used: Any) -> dict[str, Any]:
        """What identifies the pair, and its counts."""
        out: dict[str, Any] = {"space": self.space, "n": int(used.sum())}
        out["n_dropped"] = int((self.seen[:, pair].any(axis=1) & ~used).sum())
        for side, c in zip("xy", pair, strict=True):
            out |= {f"{side}_{name}": value for name, value in self.labels.iloc[c].items()}
            out[f"{side}_diverged"] = int(np.isneginf(self.values[used, c]).sum())
        return out


def compared(
    df: pd.DataFrame, common: Common = "all", *, score: str = "score_best", diverged: Diverged = "worst"
) -> list[Cells]:
    """What `correlate` compares, one entry a space: the values and which architectures each pair uses."""
    table, trials = means(df, score), gather(df, score)
    return [
        _space(str(space), table[table["space"] == space], tried, common, diverged)
        for space, tried in trials.groupby("space")
    ]


def _space(space: str, table: pd.DataFrame, tried: pd.DataFrame, common: Common, diverged: Diverged) -> Cells:
    key = CELL[1:]
    labels = tried.groupby(key, as_index=False).agg(
        dataset=("dataset", "first"),
        recipe=("recipe", "first"),
        metric=("metric", "max"),  # failed attempts may lack it
        seeds=("seed", "nunique"),
    )
    labels["cls"] = labels["task"] == "cls"
    order = ["cls", "dataset", "dataset_id", "task", "recipe", "recipe_id"]
    labels = labels.sort_values(order, ignore_index=True)
    cells = pd.MultiIndex.from_frame(labels[key])
    archs = pd.Index(sorted(set(tried["arch"])))

    def place(lines: pd.DataFrame) -> tuple[Any, Any]:
        return archs.get_indexer(lines["arch"]), cells.get_indexer(pd.MultiIndex.from_frame(lines[key]))

    shape = (len(archs), len(cells))
    seen, usable, values = np.zeros(shape, bool), np.zeros(shape, bool), np.full(shape, np.nan)
    seen[place(tried)] = True
    values[place(table)] = table["mean"].fillna(-np.inf)
    usable[place(table)] = table["complete"] & (table["mean"].notna() | (diverged == "worst"))
    groups: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for pair in combinations(range(len(cells)), 2):
        used = usable.all(axis=1) if common == "all" else usable[:, pair].all(axis=1)
        groups[used.tobytes()].append(pair)
    return Cells(space, labels.drop(columns="cls"), list(archs), values, seen, usable, dict(groups))
