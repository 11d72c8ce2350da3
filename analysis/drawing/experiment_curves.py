"""What an experiment of limited size finds with each proxy, drawn: UnNAS, figure 5."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import names
from analysis.comparison.keys import columns
from analysis.comparison.units import scale
from analysis.drawing.files import STYLE, Drawing, Drawings, file_word
from analysis.drawing.palette import Looks


def curves(experiments: pd.DataFrame, looks: Looks | None = None) -> Drawings:
    """One figure for each two datasets (proxy's, target's), one panel per (space, target), one line per proxy.

    `experiments` is what `random_experiment` gives. Points are the means over the repeats drawn, the line what they
    tend to with more of them, the band holds most single draws (the paper's, two deviations on either side, may reach
    beyond the best score). `looks` are those of the page; by default the table's own.
    """
    looks = looks or Looks.of(experiments, "target", "proxy")
    with mpl.rc_context(STYLE):
        both = experiments.groupby(["proxy_dataset_id", "target_dataset_id"], sort=False)
        return Drawings(_figure(lines, looks) for _, lines in both)


def _figure(lines: pd.DataFrame, looks: Looks) -> Drawing:
    panels = list(lines.groupby(["space", "target_task", "target_recipe_id"], sort=False))
    figure = Figure(figsize=(2.6 * min(len(panels), 3) + 0.2, 2.3 * -(-len(panels) // 3)), layout="constrained")
    axes = figure.subplots(-(-len(panels) // 3), min(len(panels), 3), squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, ((space, *_), inside) in zip(axes.flat, panels, strict=False):
        _panel(ax, inside, looks)
        ax.set_title(names.short(names.space_name(str(space))), loc="left", weight="bold", parse_math=False)
    datasets = [str(lines[f"{side}_dataset"].iloc[0]) for side in ("proxy", "target")]
    ids = [str(lines[f"{side}_dataset_id"].iloc[0]) for side in ("proxy", "target")]
    words = ids if datasets[0] == datasets[1] else datasets
    caption = f"The best of m architectures by a proxy on {names.dataset_name(datasets[0])}, scored on "
    return Drawing(
        "-".join(["experiment", *map(file_word, words)]), caption + names.dataset_name(datasets[1]), _NOTE, figure
    )


_NOTE = (
    "Points: m architectures drawn at random, the best by the proxy taken, averaged over repeats. Lines: "
    "the mean over all possible draws; bands: from their 10th to their 90th percentile."
)


def _panel(ax: Axes, inside: pd.DataFrame, looks: Looks) -> None:
    metric = str(inside["target_metric"].iloc[0])
    shown = scale(inside[["mean", "expected"]].to_numpy(float), metric)
    proxies = list(inside.groupby(columns("proxy"), sort=False))
    alike = pd.DataFrame([group.iloc[0] for _, group in proxies])
    labels = names.labels(alike.rename(columns=lambda name: name.removeprefix("proxy_")), dataset=False)
    for (cell, group), label in zip(proxies, map(names.short, labels), strict=True):
        look, x = looks.cell(inside["space"].iloc[0], *cell), group["m"].to_numpy(float)
        shade = look.colour
        style: Any = (0, look.dashes) if look.dashes else "-"
        middle, low, high = (group[c].to_numpy(float) * shown.factor for c in ("expected", "best_low", "best_high"))
        ax.fill_between(x, low, high, color=shade, alpha=0.10, linewidth=0)
        ax.plot(x, middle, linestyle=style, color=shade, linewidth=1.0, label=label)
        ax.plot(x, group["mean"].to_numpy(float) * shown.factor, "o", color=shade, markersize=2.4, alpha=0.8)
    target = names.short(names.task_name(str(inside["target_task"].iloc[0])))
    dataset = names.short(names.dataset_name(str(inside["target_dataset"].iloc[0])))
    recipe = _recipe(inside, "target")
    ax.set_ylabel(names.wrapped(f"{dataset} {target}{recipe}{shown.brief}", 34), parse_math=False)
    ax.set_xlabel(f"architectures in the experiment, of n = {_counts(inside)}")
    ax.set_xscale("log", base=2)
    ticks = sorted(set(inside["m"]))
    ax.set_xticks(ticks, [str(t) for t in ticks])
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(linewidth=0.4, color="#E6E8EA")
    ax.set_axisbelow(True)
    for entry in ax.legend(frameon=False, fontsize=6.5, loc="lower right", handlelength=1.6).get_texts():
        entry.set_parse_math(False)


def _recipe(inside: pd.DataFrame, side: str) -> str:
    """The recipe's name where it tells something, that is where several are compared."""
    both = {*inside["proxy_recipe"], *inside["target_recipe"]}
    return f" ({inside[f'{side}_recipe'].iloc[0]})" if len(both) > 1 else ""


def _counts(inside: pd.DataFrame) -> str:
    low, high = np.min(inside["n"]), np.max(inside["n"])
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
