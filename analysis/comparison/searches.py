"""Searches among the rows, the cells in which what they found was trained, and the random cells to compare it with."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison import recipes
from analysis.comparison.cells import Array, mean_of_seeds
from analysis.comparison.keys import CELL, NAMES, SCORE, TRAIN
from analysis.comparison.options import Chance, Diverged
from analysis.comparison.trials import expect_frame, gather, one_metric
from analysis.rows.schema import WHOLE

OBJECTIVE = ("objective_dataset", "objective_task", "algorithm", "method")  # of a search, with its seed
GROUP = ["space", "objective_dataset_id", "objective_task", "algorithm_id"]  # searches that differ in their seed alone
_ERRORS = 2.6  # standard errors; by luck alone, one search in 200 is further above chance
_COLUMNS = (
    dict.fromkeys(["space", *OBJECTIVE], "str")
    | {"seed": "int64"}
    | dict.fromkeys(["found", "found_arch_id", "found_graph"], "object")
    | dict.fromkeys(["search_score", "search_seconds"], "float64")
    | {"at_chance": "bool"}
    | dict.fromkeys(["search_metric", "objective_dataset_id", "algorithm_id", "trial_id", "reason"], "str")
    | {"place": "int64"}
)


def searches_in(df: pd.DataFrame) -> pd.DataFrame:
    """One row per search: objective, algorithm, seed, and what it found; `place` is the position of its row in `df`.

    A search is a trial whose architecture is `*`. Of several attempts at one the first successful one counts, or else
    the last. `reason` says why one has found nothing. Recipes that differ in speed and memory only are one algorithm.
    """
    expect_frame(df)
    if not {"arch", "found", "space", "task"} <= set(df.columns):
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _COLUMNS.items()})
    rows = df.reset_index(drop=True)
    rows = rows[rows["arch"] == WHOLE]
    ok = _column(rows, "status", "ok") == "ok"
    found = pd.DataFrame(
        {
            "space": rows["space"],
            "objective_dataset": _column(rows, "dataset", ""),
            "objective_task": rows["task"],
            "algorithm": recipes.column(rows) if "recipe" in rows else "",
            "method": _column(rows, "method", TRAIN),
            "seed": rows["seed"].astype("int64") if "seed" in rows else 1,
            "found": rows["found"].astype(object).where(ok & rows["found"].notna(), None),
            "found_arch_id": _column(rows, "found_arch_id", None),
            "found_graph": _column(rows, "found_graph", None),
            "search_score": _numbers(rows, "score_best"),
            "search_seconds": _numbers(rows, "train_s"),
            "at_chance": _at_chance(rows),
            "search_metric": _column(rows, "metric", ""),
            "objective_dataset_id": _column(rows, "dataset_id", _column(rows, "dataset", "")),
            "algorithm_id": recipes.one_id(rows) if "recipe_id" in rows else "",
            "trial_id": _column(rows, "trial_id", ""),
            "place": rows.index,
        }
    )
    whys = zip(found["found"], rows.to_dict("records"), strict=True)
    found["reason"] = ["" if arch is not None else _why(row) for arch, row in whys]
    order = pd.DataFrame({"ok": ~ok, "at": rows.get("finished_at", pd.Series(0, index=rows.index))})
    order.loc[~ok, "at"] = order["at"].max()  # the last of the failed ones
    same = [*GROUP, "seed"]
    found = found.loc[order.sort_values(["ok", "at"], kind="stable").index]
    found = pd.concat([found[ok[found.index]], found[~ok[found.index]].iloc[::-1]]).drop_duplicates(same)
    found = found.sort_values(["space", "objective_dataset", "objective_task", "algorithm", "algorithm_id", "seed"])
    return found.reset_index(drop=True)[list(_COLUMNS)].astype(_COLUMNS)


def _why(row: Mapping[Any, Any]) -> str:
    """Why a search has found nothing."""
    if row.get("status", "ok") != "ok":
        return f"failed: {row.get('error_class') or 'for an unknown reason'}"
    if pd.notna(row.get("diverged")) and row.get("diverged"):
        return "diverged"
    text = row.get("error_text")
    return str(text) if isinstance(text, str) and text else "found nothing"


def _column(rows: pd.DataFrame, name: str, default: Any) -> "pd.Series[Any]":
    if name not in rows:
        return default if isinstance(default, pd.Series) else pd.Series([default] * len(rows), rows.index, object)
    column = rows[name].astype(object)
    return column.where(column.notna(), default)


def _at_chance(rows: pd.DataFrame) -> Any:
    """Whether the supernet's score is not above chance by more than 2.6 standard errors: it has learned nothing that
    holds for images that it was not trained on.  False where the rows have no level of chance."""
    score, chance = _numbers(rows, "score_best"), _numbers(rows, "chance")
    targets = _numbers(rows, "test_targets")
    with np.errstate(invalid="ignore", divide="ignore"):
        return score <= chance + _ERRORS * np.sqrt(chance * (1 - chance) / targets)


def _numbers(rows: pd.DataFrame, name: str) -> Any:
    return pd.to_numeric(rows[name], errors="coerce").to_numpy(float, na_value=np.nan) if name in rows else np.nan


@dataclass(frozen=True)
class Chosen:
    """Which architectures are random cells and which are published, by text or arch_id.

    `controls` None means all that no search found and that are not published.
    """

    controls: frozenset[str] | None
    published: Mapping[str, str]  # text by name

    def is_control(self, arch: str, arch_id: str, found: Collection[str]) -> bool:
        """Whether an architecture is one of the random cells; `found` are the texts that searches found."""
        if self.controls is not None:
            return arch in self.controls or arch_id in self.controls
        return arch not in found and arch not in self.published.values()


def chosen(df: pd.DataFrame, controls: Collection[str] | None, published: Mapping[str, str] | None) -> Chosen:
    """The choice, checked: TypeError for a text in place of a collection, LookupError if the rows have none of them."""
    if isinstance(controls, str):
        raise TypeError(f"controls: expected architectures, as texts or arch_ids in a list, not the text {controls!r}")
    if published is not None and not isinstance(published, Mapping):
        raise TypeError(f"published: expected texts by name, as `spaces.published` gives them, not {published!r}")
    wanted = None if controls is None else frozenset(map(str, controls))
    if wanted is not None and not any(name in df and df[name].isin(wanted).any() for name in ("arch", "arch_id")):
        first = next(iter(controls or ()), None)
        raise LookupError(
            f"none of the {len(wanted)} architectures given as controls is in the rows; the first: {first!r}"
        )
    return Chosen(wanted, dict(published or {}))


@dataclass(frozen=True)
class Target:
    """A cell of trainings, or of published results, in which architectures that were found have scores."""

    space: str
    label: dict[str, str]  # dataset, task, recipe, dataset_id, recipe_id, metric, method
    archs: list[str]
    scores: Array  # (A, S) by seed; -inf for one that is not finite, NaN where there is none
    sizes: Array  # (A, 2) params and macs, NaN where they are not known
    controls: Any  # (A,) which architectures are random cells that have every seed that any of them was tried with
    dropped: int  # random cells that lack a seed, or have a score that is not finite and `diverged` is "drop"
    compared: Any  # (S,) the seeds that random cells have: the others take no part in comparisons
    missing: Any  # (S,) seeds that a found cell may still lack

    def scores_of(self, arch: str) -> Array:
        """(seeds,) the scores of an architecture that are there."""
        if arch not in self.archs:
            return np.empty(0)
        values = self.scores[self.archs.index(arch)]
        found: Array = values[~np.isnan(values)]
        return found

    def compared_score(self, arch: str) -> float:
        """The mean of an architecture over the seeds that random cells have too; over its own where it has none."""
        values = self.scores[self.archs.index(arch)]
        both = values[self.compared & ~np.isnan(values)]
        both = both if len(both) else values[~np.isnan(values)]
        return float(mean_of_seeds(both)) if len(both) else np.nan

    @property
    def random(self) -> Array:
        """(n,) the means of the random cells over their seeds."""
        if not self.controls.any():
            return np.empty(0)
        found: Array = mean_of_seeds(self.scores[self.controls][:, self.compared])
        return found


def targets_in(
    df: pd.DataFrame,
    searches: pd.DataFrame,
    which: Chosen,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
) -> Iterator[Target]:
    """Every cell of trainings or looked up results in which an architecture that a search found was tried."""
    if searches.empty:
        return
    trials = gather(df, score, chance)
    trials = trials[trials["method"] != SCORE]
    one_metric(trials)
    sizes = pd.DataFrame({name: _numbers(df.reset_index(drop=True), name) for name in ("params", "macs")}, df.index)
    sizes = sizes.reset_index(drop=True).loc[trials.index]
    for space, own in searches.groupby("space"):
        found = set(own["found"].dropna())
        inside = trials[trials["space"] == space]
        for _, cell in inside.groupby(CELL, sort=True):
            if not found.isdisjoint(cell["arch"]):
                yield _target(str(space), cell, sizes.loc[cell.index], found, which, diverged)


def _target(
    space: str, cell: pd.DataFrame, sizes: pd.DataFrame, found: set[str], which: Chosen, diverged: Diverged
) -> Target:
    label = {name: str(cell[name].max() if name == "metric" else cell[name].iloc[0]) for name in NAMES}
    arch, archs = pd.factorize(cell["arch"], sort=True)
    seed, seeds = pd.factorize(cell["seed"], sort=True)
    ok = cell["ok"].to_numpy(bool)
    total, count = np.zeros((len(archs), len(seeds))), np.zeros((len(archs), len(seeds)))
    np.add.at(total, (arch[ok], seed[ok]), cell["value"].to_numpy(float)[ok])
    np.add.at(count, (arch[ok], seed[ok]), 1)
    with np.errstate(invalid="ignore"):
        scores = total / count
    ids = cell.drop_duplicates("arch").set_index("arch")["arch_id"].astype(str)
    control = np.array([which.is_control(a, ids[a], found) for a in archs], bool)
    tried = np.zeros(scores.shape, bool)
    tried[arch, seed] = True
    compared = tried[control].any(axis=0)
    complete = control & ~np.isnan(scores[:, compared]).any(axis=1) & bool(compared.any())
    if diverged == "drop":
        complete &= ~np.isneginf(scores[:, compared]).any(axis=1)
    own = np.array([a in found for a in archs], bool)
    return Target(
        space=space,
        label=label,
        archs=list(map(str, archs)),
        scores=scores,
        sizes=sizes.groupby(arch).min().to_numpy(float),
        controls=complete,
        dropped=int((control & ~complete).sum()),
        compared=compared,
        missing=tried[own].any(axis=0),
    )


@dataclass(frozen=True)
class Standing:
    """Where a score stands among those of random cells."""

    n: int  # random cells
    percentile: float  # share below it, in percent; equal ones count half
    low: float
    high: float
    rank: float  # among them and itself, from 1; NaN without a score


def standing(value: float, random: Array, confidence: float = 0.95) -> Standing:
    """The standing of a score among random cells, with the exact interval of Clopper and Pearson (1934).

    The interval is that of the share of all architectures of the space that score less, if the n are an independent
    sample of it; the score itself is taken as it is. Equal ones count as above for its lower end and as below for its
    upper end.
    """
    from scipy import stats  # takes most of a second

    n, below, equal = len(random), int((random < value).sum()), int((random == value).sum())
    if np.isnan(value) or not n:
        return Standing(n, np.nan, np.nan, np.nan, np.nan)
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, below, n - below + 1)) if below else 0.0
    up = below + equal
    high = float(stats.beta.ppf(1 - tail, up + 1, n - up)) if up < n else 1.0
    return Standing(n, 100 * (below + equal / 2) / n, 100 * low, 100 * high, 1.0 + n - below - equal)


def scored(target: Target, arch: str, diverged: Diverged) -> dict[str, Any]:
    """Score, deviation and number of seeds of an architecture in a cell, and why the score is missing."""
    values = target.scores_of(arch)
    line: dict[str, Any] = {"n_seeds": len(values), "score": np.nan, "std": np.nan, "reason": ""}
    planned = int(target.missing.sum())
    if not len(values):
        return line | {"reason": "its training failed" if arch in target.archs else "not trained"}
    if not np.isfinite(values).all():
        ranked = " (ranks last)" if diverged == "worst" else ""
        return line | {"reason": f"{names.many(int(np.isneginf(values).sum()), 'seed')} without a score{ranked}"}
    line |= {"score": float(values.mean()), "std": float(values.std(ddof=1)) if len(values) > 1 else np.nan}
    return line | {"reason": f"{len(values)} of {planned} seeds so far" if len(values) < planned else ""}


def place(target: Target, arch: str, diverged: Diverged, confidence: float) -> Standing:
    """Where an architecture stands among a target's random cells; it is not compared with itself."""
    mask = target.controls.copy()
    if arch in target.archs:
        mask[target.archs.index(arch)] = False
    others = replace(target, controls=mask).random
    value = target.compared_score(arch) if arch in target.archs else np.nan
    return standing(np.nan if np.isneginf(value) and diverged == "drop" else value, others, confidence)
