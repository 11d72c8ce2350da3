"""Does a score without training need labels?  The same score under each task, against a trained target."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Cells, Comparison, by_architectures, compare, frame, sides, why_no_rho
from analysis.comparison.keys import NAMES, SCORE
from analysis.comparison.options import Chance, Common, Diverged, Options, Resampling
from analysis.statistics.bootstrap import Estimate, estimate
from analysis.statistics.proxy_differences import all_overlapping, p_of_none

LABELLED = "cls"  # the task that reads labels
_RHOS = ("rho", "rho_with_labels", "agreement", "difference")
_TYPES = (
    dict.fromkeys(["space", "proxy_dataset", "proxy_task", "target_dataset", "target_task"], "str")
    | {"n": "int64", "n_dropped": "int64"}
    | dict.fromkeys([f"{name}{end}" for name in _RHOS for end in ("", "_low", "_high")], "float64")
    | {"p": "float64", "seconds": "float64"}
    | {f"{side}_{name}": "str" for name in NAMES[2:] for side in ("proxy", "target")}
    | dict.fromkeys(["interval_method", "reason", "left_out", "rule"], "str")
)


def label_free(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    target: Mapping[str, str] | None = None,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether a score without training needs labels: one row per (score, task that it is computed under, target).

    `rho` is that of the score under the task with the trained target, `rho_with_labels` that of the same score under
    `cls`, `agreement` the rank correlation between the two, `difference` = `rho` - `rho_with_labels` with its paired
    interval and `p`, as in `compare_proxies`. All four are over the same architectures. In the rows of `cls` itself,
    and of scores that were not computed under it, only `rho` is given. The same score is that of one name, recipe name
    and dataset; only scores computed under two tasks or more have rows. Targets are those of `early_stopping`; where
    some are on the dataset of a score, only these. The correlation of a score between any two tasks is in `correlate`.
    """
    options = Options(common, score, diverged, chance, resamples, confidence, seed)
    return label_free_of(compare(df, options), target)


def label_free_of(comparison: Comparison, target: Mapping[str, str] | None = None) -> pd.DataFrame:
    """`label_free` of a comparison."""
    how, expanded = comparison.options.resampling(), comparison.options.resampling(expanded=True)
    lines: list[dict[str, Any]] = []
    for cells, _, targets in sides(comparison.spaces, None, target):
        for threes in _threes(cells, targets):
            lines += _lines(cells, threes, how, expanded)
    return frame(lines, _TYPES)


def _threes(cells: Cells, targets: list[int]) -> Iterator[list[tuple[int, int, int]]]:
    """Of each score and target: the score under a task, under `cls` (itself where there is none), and the target."""
    labels = cells.labels
    scores = labels[labels["method"] == SCORE]
    for (dataset_id, *_), same in scores.groupby(["dataset_id", "metric", "recipe"], sort=False):
        if same["task"].nunique() < 2:
            continue
        with_labels = same.index[same["task"] == LABELLED]
        near = [t for t in targets if labels["dataset_id"].iloc[t] == dataset_id and cells.trained_cells[t]]
        for t in near or [t for t in targets if cells.trained_cells[t]]:
            yield [(int(p), int(with_labels[0] if len(with_labels) else p), t) for p in same.index]


def _lines(
    cells: Cells, threes: list[tuple[int, int, int]], how: Resampling, expanded: Resampling
) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{} for _ in threes]
    for used, places in by_architectures(cells, threes):
        columns = sorted({c for k in places for c in threes[k]})
        each = [tuple(columns.index(c) for c in threes[k]) for k in places]
        values = cells.values[used][:, columns]
        plain, wide = (estimate(values, all_overlapping(each), one) for one in (how, expanded))
        for k, place in enumerate(places):
            some = slice(4 * k, 4 * k + 4)
            line = _line(cells, threes[place], used, plain.part(some), wide.part(some))
            a, _, t = each[k]
            lines[place] = line | {"reason": why_no_rho(proxy=values[:, a], target=values[:, t])}
    return lines


def _line(cells: Cells, three: tuple[int, int, int], used: Any, plain: Estimate, wide: Estimate) -> dict[str, Any]:
    p, labelled, t = three
    line: dict[str, Any] = {"space": cells.space, "n": int(used.sum()), "rule": cells.rule}
    line["n_dropped"] = int((cells.seen[:, three].any(axis=1) & ~used).sum())
    for side, c in (("proxy", p), ("target", t)):
        line |= {f"{side}_{name}": cells.labels[name].iloc[c] for name in NAMES}
    line |= dict.fromkeys([f"{name}{end}" for name in _RHOS for end in ("", "_low", "_high")], np.nan)
    line |= {"p": np.nan, "interval_method": plain.method[0], "seconds": cells.labels["seconds"].iloc[p]}
    for k, name in enumerate(_RHOS if p != labelled else _RHOS[:1]):
        found = wide if name == "difference" else plain
        line |= {name: found.value[k], f"{name}_low": found.low[k], f"{name}_high": found.high[k]}
    if p != labelled:
        line["p"] = p_of_none(wide, line["n"])
    whys = {"proxy": cells.why_missing(p), "with labels": cells.why_missing(labelled) if p != labelled else ""}
    return line | {"left_out": "; ".join(f"{side}: {why}" for side, why in whys.items() if why)}
