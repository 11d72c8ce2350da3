"""Rows gathered into cells (space, dataset_id, task, recipe_id), and the mean over seeds of each architecture
in one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison import recipes
from analysis.comparison.keys import CELL, SCORE, TRAIN
from analysis.comparison.options import Chance
from analysis.rows.schema import WHOLE

_LEVELLED = ("top1", "miou", "auc", "")  # metrics that chance is a level of; "": a table that names none

_ONE = [*CELL, "arch"]


def means(df: pd.DataFrame, *, score: str = "score_best") -> pd.DataFrame:
    """One row per cell and architecture: `mean` and `std` (n - 1) over its seeds, `n_seeds`, `complete`.

    Only successful trials count, each once even when several runs hold it (the first to end). A mean never
    mixes two recipes or datasets. `complete` says whether the architecture has every seed that any
    architecture of its cell was tried with. A trial without a finite score makes the mean NaN: leaving
    it out would reward the divergence. Raises LookupError for missing columns and ValueError where one cell
    mixes metrics.
    """
    return means_of(gather(df, score))


def means_of(trials: pd.DataFrame) -> pd.DataFrame:
    """`means` of gathered trials."""
    seeds = trials.groupby(CELL)["seed"].nunique().rename("seeds")
    one_metric(trials)
    ok = trials[trials["ok"]]
    labels = ["dataset", "recipe", "arch_id", "metric"]
    each = ok.groupby([*_ONE, "seed"], as_index=False).agg({"value": "mean"} | dict.fromkeys(labels, "first"))
    table = each.groupby(_ONE, as_index=False).agg(
        **{label: (label, "first") for label in labels},
        mean=("value", "mean"),
        std=("value", "std"),
        n_seeds=("seed", "nunique"),
    )
    table["complete"] = table["n_seeds"].to_numpy() == seeds.reindex(pd.MultiIndex.from_frame(table[CELL])).to_numpy()
    table["mean"] = table["mean"].replace(-np.inf, np.nan)
    table["std"] = table["std"].where(table["mean"].notna())
    order = ["space", "dataset", "dataset_id", "task", "recipe", "recipe_id", "arch", "arch_id", "metric"]
    return table[[*order, "mean", "std", "n_seeds", "complete"]].astype(dict.fromkeys(order, "str"))


def one_metric(trials: pd.DataFrame) -> None:
    """ValueError where the successful trials of one cell mix metrics."""
    mixed = trials[trials["ok"]].groupby(CELL)["metric"].nunique()
    if (mixed > 1).any():
        where = ", ".join(map(str, mixed.index[mixed > 1][0]))
        raise ValueError(f"the cell ({where}) mixes metrics; keep one of them before comparing architectures")


def expect_frame(df: Any) -> None:
    """TypeError for what is not a DataFrame, such as the path of a run."""
    if not isinstance(df, pd.DataFrame):
        given = f"the text {df!r}" if isinstance(df, str) else f"a {type(df).__name__}"
        raise TypeError(f"expected a DataFrame of rows, as `analysis.load(run)` gives it; this is {given}")


def gather(df: pd.DataFrame, score: str = "score_best", chance: Chance = None) -> pd.DataFrame:
    """One row per trial that counts: the cell's and architecture's names, seed, `ok`, and `value` (-inf
    where the score is not finite, or not above `chance`; that is a level of the metrics top1, miou and auc alone).
    Failed attempts stay, as they say which architectures and seeds were tried. The index is the position in `df`.

    Recipes that differ in speed and memory only (`recipes.SPEED`) are one cell, under the smallest of their ids.
    Searches (`arch` is `*`) are left out, as their score is that of no architecture. Columns that a frame of another
    origin may lack are filled in: `dataset_id` by dataset, one recipe, one seed, all ok, method "train".
    """
    expect_frame(df)
    if missing := [c for c in ("space", "arch", "dataset", "task", score) if c not in df.columns]:
        raise LookupError(f"no column {', '.join(map(repr, missing))}; `load` and `from_table` give all that is needed")
    df = df.reset_index(drop=True)
    trials = pd.DataFrame({c: df[c].astype(object) for c in ("space", "arch", "dataset", "task")})
    defaults = {"dataset_id": trials["dataset"], "recipe": "", "recipe_id": "", "arch_id": "", "metric": ""}
    defaults |= {"method": TRAIN}
    for name, default in defaults.items():
        column = df[name].astype(object) if name in df else pd.Series(None, index=df.index, dtype=object)
        trials[name] = column.where(column.notna(), default)
    if "recipe_json" in df:
        trials["recipe_id"] = recipes.one_id(trials.assign(recipe_json=df["recipe_json"]))
        trials["recipe"] = recipes.column(trials.assign(recipe_json=df["recipe_json"]))
    trials["seed"] = df.get("seed", pd.Series(1, index=df.index))
    trials["ok"] = (df["status"] == "ok").to_numpy(bool) if "status" in df else True
    value = df[score].astype(float)
    sound = np.isfinite(value)
    if chance is not None:
        level = trials["task"].map(chance).astype(float) if isinstance(chance, Mapping) else float(chance)
        # A value of another kind, a zero-cost score say, may be of any size.
        levelled = trials["metric"].isin(_LEVELLED) & (trials["method"] != SCORE)
        sound &= ~((value <= level) & levelled)
    trials["value"] = value.where(sound, -np.inf)
    left = trials.drop(index=_repeated(df, trials["ok"]))
    return left[left["arch"] != WHOLE]


def _repeated(df: pd.DataFrame, ok: pd.Series) -> pd.Index:
    """Successful rows of a trial that already has a successful row, which ended earlier."""
    if "trial_id" not in df:
        return df.index[:0]
    known = df[ok & df["trial_id"].notna()]
    if "finished_at" in known:
        known = known.sort_values("finished_at", kind="stable")
    return known.index[known.duplicated("trial_id")]
