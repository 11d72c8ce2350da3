"""Searches, drawn for print: entropy and skip connections by epoch, and the found cells among random ones."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import names
from analysis.comparison.options import Chance, Diverged, Options
from analysis.comparison.searches import searches_in
from analysis.comparison.units import scale
from analysis.drawing.files import STYLE, Drawing, Drawings, file_word
from analysis.drawing.search_looks import SearchLooks
from analysis.statistics.search_curves import search_curves, skips_of
from analysis.statistics.search_targets import TargetScores, target_scores

_WIDTH, _HEIGHT = 2.7, 2.2  # inches of a panel
_MOST = 12  # panels of a figure
_GREY = "#8A9199"
_FORMED = (
    "Thick lines: means over seeds; thin lines: single searches. Entropy is that of an edge's architecture weights."
)
_AMONG = (
    "Line: the share of random cells that score at most so much. Points: found cells, by the objective of the "
    "search, at the share of random cells below them."
)


def searches(
    df: pd.DataFrame,
    *,
    controls: Collection[str] | None = None,
    published: Mapping[str, str] | None = None,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
) -> Drawings:
    """The figures of the searches in the rows: how their architectures formed (one per space), and the cells that they
    found among random ones (one per space, a panel per target). `df` is `load(..., curves=True)`."""
    options = Options("pair", score, diverged, chance)
    return searches_drawn(search_curves(df), target_scores(searches_in(df), df, options, controls, published))


def searches_drawn(curves: pd.DataFrame, scores: Sequence[TargetScores]) -> Drawings:
    """The figures of what `search_curves` and `target_scores` give."""
    found = []
    with mpl.rc_context(STYLE):
        for space, lines in curves.groupby("space", sort=False):
            found += _formed(str(space), lines)
        for space in dict.fromkeys(one.space for one in scores):
            panels = [one for one in scores if one.space == space and np.isfinite(one.random).any() and len(one.lines)]
            found += [_among(space, panels[:_MOST])] if panels else []
    return Drawings(found)


def _formed(space: str, curves: pd.DataFrame) -> list[Drawing]:
    looks = SearchLooks(curves)
    same = ["objective_dataset_id", "objective_dataset", "objective_task", "algorithm", "seed", "trial_id", "epoch"]
    known = curves[curves["entropy"].notna()].drop_duplicates([*same, "cell"])
    entropy = known.groupby(same, as_index=False, sort=False)[["entropy", "entropy_most"]].mean()
    both = [(entropy, "entropy", "entropy (nats)"), (skips_of(curves), "skips", "skip connections")]
    both = [one for one in both if len(one[0])]
    if not both:
        return []
    figure = Figure(figsize=(_WIDTH * len(both) + 0.2, _HEIGHT + 0.3), layout="constrained")
    for ax, (lines, value, label) in zip(figure.subplots(1, len(both), squeeze=False).flat, both, strict=True):
        for key, group in lines.groupby(same[:4], sort=False):
            dataset_id, dataset, task, algorithm = key if isinstance(key, tuple) else (key,)
            look = looks.group(dataset_id, task, algorithm)
            style: Any = (0, look.dashes) if look.dashes else "-"
            for _, one in group.groupby("seed", sort=False):
                ax.plot(one["epoch"], one[value], color=look.colour, linewidth=0.6, alpha=0.35)
            mean = group.groupby("epoch")[value].mean()
            name = names.short(f"{looks.called(dataset, task)}, {algorithm}", 34)
            ax.plot(mean.index, mean, color=look.colour, linestyle=style, linewidth=1.3, label=name)
        if value == "entropy":
            ax.axhline(float(lines["entropy_most"].max()), color=_GREY, linewidth=0.7, linestyle=(0, (1, 2)))
        ax.set_xlabel("epoch")
        ax.set_ylabel(label)
        _plain(ax)
    legend = figure.legend(
        *ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=6
    )
    for entry in legend.get_texts():
        entry.set_parse_math(False)
    title = names.space_name(space)
    figure.suptitle(names.short(title), x=0.02, ha="left", weight="bold", fontsize=7.5, parse_math=False)
    return [Drawing(f"searches-{file_word(space)}", f"{title}: searches by epoch", _FORMED, figure)]


def _among(space: str, panels: Sequence[TargetScores]) -> Drawing:
    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    figure = Figure(figsize=(_WIDTH * across + 0.2, _HEIGHT * down), layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    looks = SearchLooks(pd.concat([one.lines for one in panels]))
    for ax, one in zip(axes, panels, strict=False):
        shown = scale(np.r_[one.random, one.lines["score"]], one.label["metric"])
        share = np.arange(1, len(one.random) + 1) / len(one.random)
        ax.plot(np.sort(one.random) * shown.factor, share, color=_GREY, linewidth=1.0, drawstyle="steps-post")
        for task, lines in one.lines.groupby("objective_task", sort=False):
            shade = looks.task(task).colour
            x, y = lines["score"] * shown.factor, lines["percentile"] / 100
            ax.plot(x, y, "o", color=shade, markersize=3.8, markeredgecolor="white", markeredgewidth=0.4)
            ax.plot([], [], "o", color=shade, markersize=3.8, label=names.task_name(str(task)))
        label = f"{names.dataset_name(one.label['dataset'])} {names.task_name(one.label['task'])}"
        ax.set_xlabel(names.wrapped(label + shown.unit, 40), parse_math=False)
        ax.set_ylabel(f"share of {len(one.random):,} random cells")
        _plain(ax)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    _key(axes[0])
    title = names.space_name(space)
    return Drawing(f"found-{file_word(space)}", f"{title}: found cells among random ones", _AMONG, figure)


def _plain(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(linewidth=0.4, color="#E6E8EA")
    ax.set_axisbelow(True)


def _key(ax: Axes) -> None:
    for entry in ax.legend(frameon=False, fontsize=6, loc="best", handlelength=2.2).get_texts():
        entry.set_parse_math(False)
