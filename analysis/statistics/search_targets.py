"""What searches with each objective and algorithm reach on each target, beside random and published cells."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Array, frame
from analysis.comparison.keys import NAMES
from analysis.comparison.options import Chance, Diverged, Options
from analysis.comparison.searches import OBJECTIVE, Target, chosen, place, scored, searches_in, targets_in
from analysis.statistics.searches import counted, rule

SEARCHED, RANDOM, PUBLISHED = "search", "random cells", "published"
_ABOUT = ("kind", *OBJECTIVE[:3])
_TYPES = (
    dict.fromkeys(["space", *_ABOUT, "target_dataset", "target_task", "target_recipe"], "str")
    | dict.fromkeys(["n", "n_missing"], "int64")
    | dict.fromkeys(["mean", "std", "mean_low", "mean_high", "best"], "float64")
    | {"best_rank": "Int64", "percentile": "float64"}
    | dict.fromkeys(["params", "macs", "skips"], "float64")
    | dict.fromkeys(["method", "objective_dataset_id"], "str")
    | dict.fromkeys([f"target_{name}" for name in NAMES[3:]], "str")
    | dict.fromkeys(["reason", "rule"], "str")
)


@dataclass(frozen=True)
class TargetScores:
    """The scores of one target: those of the random cells, and those of the searches beside them."""

    space: str
    label: dict[str, str]  # of the target: dataset, task, recipe, metric, ...
    random: Array  # (n,) means over seeds
    lines: pd.DataFrame  # one per search: objective, algorithm, seed, `score` and `percentile`


def target_scores(
    found: pd.DataFrame,
    df: pd.DataFrame,
    options: Options,
    controls: Collection[str] | None = None,
    published: Mapping[str, str] | None = None,
) -> list[TargetScores]:
    """The scores of each target of what `searches_in` gives of the rows; searches without a score there are left out.

    All are means over the seeds that the random cells have.
    """
    which, scores = chosen(df, controls, published), []
    for target in targets_in(df, found, which, options.score, options.diverged, options.chance):
        own = found[(found["space"] == target.space) & found["found"].isin(target.archs)]
        stands = [place(target, arch, options.diverged, options.confidence) for arch in own["found"]]
        own = own.assign(
            score=[target.compared_score(arch) for arch in own["found"]], percentile=[one.percentile for one in stands]
        )
        scores.append(TargetScores(target.space, target.label, target.random, own[np.isfinite(own["score"])]))
    return scores


def search_targets(
    df: pd.DataFrame,
    *,
    controls: Collection[str] | None = None,
    published: Mapping[str, str] | None = None,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The score on each target by objective and algorithm of the search: one row per (objective, algorithm, target).

    `mean` and `std` (n - 1) are over the n searches, each with the mean of its found cell over the seeds of the target;
    a cell that two searches found counts twice. `mean_low` and `mean_high`: the interval of the mean over searches
    (Student's t, n - 1 degrees of freedom; it takes the means of searches as normally distributed, which few searches
    cannot show). `best` is the best of them, `best_rank` its place among the random cells, `percentile` the mean of
    theirs. `params`, `macs` and `skips` are means over the found cells; skip connections where `df` has graphs.
    `n_missing` searches have no score: they failed, or their cell is not trained yet. Further rows are the random cells
    (mean, deviation and interval over cells) and each of the `published` cells, texts by name in column `algorithm`.
    Targets and random cells as in `searches`; of one search, `std` and the interval are missing.
    """
    options = Options("pair", score, diverged, chance, confidence=confidence)
    return search_targets_of(searches_in(df), df, options, controls, published)


def search_targets_of(
    found: pd.DataFrame,
    df: pd.DataFrame,
    options: Options,
    controls: Collection[str] | None = None,
    published: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """`search_targets` of what `searches_in` gives of the rows."""
    which = chosen(df, controls, published)
    lines: list[dict[str, Any]] = []
    for target in targets_in(df, found, which, options.score, options.diverged, options.chance):
        own = found[found["space"] == target.space]
        same = {"space": target.space, "rule": rule(options)} | {f"target_{n}": target.label[n] for n in NAMES}
        for _, group in own.groupby(["objective_dataset_id", "objective_task", "algorithm"], sort=False):
            first = group.iloc[0]
            about = {name: str(first[name]) for name in (*OBJECTIVE, "objective_dataset_id")} | {"kind": SEARCHED}
            skips = [counted(graph)["skips"] for graph in group["found_graph"]]
            lines.append(same | about | _reached(target, list(group["found"]), options) | {"skips": _mean(skips)})
        lines += [same | line for line in _others(df, target, which.published, options)]
    return frame(lines, _TYPES)


def _reached(target: Target, archs: list[str | None], options: Options) -> dict[str, Any]:
    """What some architectures reach; None for searches that found nothing."""
    scores = np.array([np.nan if a is None else scored(target, a, options.diverged)["score"] for a in archs])
    stands = [place(target, a, options.diverged, options.confidence) for a in archs if a in target.archs]
    known = scores[~np.isnan(scores)]
    percentiles = [one.percentile for one in stands if not np.isnan(one.percentile)]
    line: dict[str, Any] = {"n": len(known), "n_missing": len(archs) - len(known), "reason": ""}
    line |= dict.fromkeys(("best", "best_rank", "percentile"), np.nan) | _summary(known, options.confidence)
    line |= _sizes(target, [target.archs.index(a) for a in archs if a in target.archs])
    if not len(known):
        return line | {"reason": "no found cell is trained"}
    line["best"] = float(known.max())
    if percentiles:
        line |= {"percentile": float(np.mean(percentiles)), "best_rank": float(np.nanmin([one.rank for one in stands]))}
    return line


def _summary(known: Array, confidence: float) -> dict[str, float]:
    """Mean, deviation and interval of the mean of some scores; NaN where there are too few."""
    if len(known) < 2 or not np.isfinite(known).all():
        return {"mean": _mean(known), "std": np.nan, "mean_low": np.nan, "mean_high": np.nan}
    from scipy import stats  # takes most of a second

    mean, std = float(known.mean()), float(known.std(ddof=1))
    reach = float(stats.t.ppf((1 + confidence) / 2, len(known) - 1)) * std / math.sqrt(len(known))
    return {"mean": mean, "std": std, "mean_low": mean - reach, "mean_high": mean + reach}


def _mean(values: Any) -> float:
    """The mean of the values that are numbers; NaN if there are none."""
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else np.nan


def _sizes(target: Target, places: Any) -> dict[str, float]:
    return {name: _mean(target.sizes[places, k]) for k, name in enumerate(("params", "macs"))}


def _skips_of(df: pd.DataFrame, space: str, archs: Collection[str]) -> float:
    """The mean number of skip connections of some architectures; NaN where the rows have no graphs."""
    if "graph" not in df:
        return np.nan
    own = df[(df["space"] == space) & df["arch"].isin(archs)].drop_duplicates("arch")
    return _mean([counted(graph)["skips"] for graph in own["graph"]])


def _others(
    df: pd.DataFrame, target: Target, published: Mapping[str, str], options: Options
) -> Iterator[dict[str, Any]]:
    """The random cells, and the published ones that have been tried."""
    nothing = dict.fromkeys(["objective_dataset", "objective_task", "method", "objective_dataset_id"], "")
    values = target.random
    finite = values[np.isfinite(values)]
    if len(values):
        random = [arch for arch, control in zip(target.archs, target.controls, strict=True) if control]
        skips = _skips_of(df, target.space, random)
        line = nothing | {"kind": RANDOM, "algorithm": RANDOM, "n": len(finite), "n_missing": len(values) - len(finite)}
        line |= {"percentile": 50.0, "best_rank": np.nan, "skips": skips} | _summary(finite, options.confidence)
        line |= _sizes(target, target.controls)
        yield line | {"best": float(finite.max()) if len(finite) else np.nan, "reason": ""}
    for name, arch in published.items():
        if arch in target.archs:
            line = nothing | {"kind": PUBLISHED, "algorithm": name, "skips": _skips_of(df, target.space, [arch])}
            yield line | _reached(target, [arch], options)
