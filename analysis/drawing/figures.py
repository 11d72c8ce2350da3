"""Scatter figures of one score against another, one point per architecture, in the manner of UnNAS, figures 2 to
4.

Drawn with matplotlib's Figure alone: no pyplot, no global state, no display.
"""

import math
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from analysis import names
from analysis.comparison.cells import Cells, Comparison, compare
from analysis.comparison.chance import Levels, levels
from analysis.comparison.keys import cell_keys
from analysis.comparison.options import Chance, Common, Diverged, Options
from analysis.comparison.units import scale_of
from analysis.drawing.cost import cost
from analysis.drawing.files import STYLE, Drawing, Drawings, file_word, save
from analysis.drawing.palette import Looks, looks_of
from analysis.drawing.panel import Numbers, draw
from analysis.drawing.search_figures import searches
from analysis.statistics.correlation import correlate_of

__all__ = ["cost", "save", "scatter", "searches"]

_ACROSS = 4  # panels side by side; more go to further lines
_WIDTH, _HEIGHT = 1.75, 1.62  # inches per panel: four fill the text width of a paper
_NOTE = (
    "Each point is an architecture, its score the mean over seeds; triangles lie beyond the axes. The line is a robust "
    "trend (Theil-Sen), for the eye only."
)
_DOTTED = " Dotted lines: the score of guessing, where it lies inside a panel."
_MOST = 24  # panels of a figure
_ORDER = ("rot", "col", "jig")  # as in the paper; other tasks follow by name, cls is last


@dataclass(frozen=True)
class _Key:
    """A cell regardless of its space: the k-th recipe of a task on a dataset (recipes differ between
    spaces)."""

    dataset_id: str
    task: str
    recipe: int
    score: bool = False  # without training


def scatter(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    correlations: pd.DataFrame | None = None,
    looks: Looks | None = None,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    trend: bool = True,
    **bootstrap: Any,
) -> "Drawings":
    """Every figure the rows allow; one line of panels per space, one panel per pair of cells.

    Within each dataset: `cls` on x against every other task (UnNAS, figures 2 and 3), and, one figure for each
    task, against every score without training. Across each two datasets: `cls` of one on x against every task of the
    other (figure 4). Where a dataset has no training on `cls`, its last cell is on x. Each panel says rho, its
    interval and n, over all architectures that `correlate` compares with the same arguments; those outside the axes
    are drawn as triangles on the edge. The trend (Theil-Sen) is decoration; dotted lines are the score of guessing.
    `correlations` and `looks` spare making them again.
    """
    comparison = compare(df, Options(common, score, diverged, chance, **bootstrap))
    return scatter_of(comparison, correlate_of(comparison) if correlations is None else correlations, looks, trend)


def scatter_of(
    comparison: Comparison, correlations: pd.DataFrame, looks: Looks | None = None, trend: bool = True
) -> "Drawings":
    """`scatter` of a comparison and what `correlate` gives of it."""
    looks = looks or looks_of(comparison.spaces)
    spaces = [_Space(cells) for cells in comparison.spaces]
    numbers, guessed = _numbers(correlations), levels(comparison.rows, comparison.options.score)
    with mpl.rc_context(STYLE):
        return Drawings(_figure(x, ys, spaces, numbers, guessed, looks, trend) for x, ys in _plots(spaces))


class _Space:
    """One space's cells by key."""

    def __init__(self, cells: Cells) -> None:
        self.cells, self.keys = cells, cell_keys(cells.labels)
        scores = names.untrained(cells.labels)
        counted = cells.labels.assign(score=scores).groupby(["dataset_id", "task", "score"]).cumcount()
        self.index = {
            _Key(str(c.dataset_id), str(c.task), k, s): i
            for i, (c, k, s) in enumerate(zip(cells.labels.itertuples(), counted, scores, strict=True))
        }
        self.labels = dict(zip(self.index, names.labels(cells.labels), strict=True))


def _plots(spaces: list[_Space]) -> list[tuple[_Key, list[_Key]]]:
    """What is on x and what are the panels of each figure, within datasets first."""
    order = {key: None for space in spaces for key in space.index}
    datasets: dict[str, list[_Key]] = {}
    scores: dict[tuple[str, str], list[_Key]] = {}
    trained = {key.dataset_id for key in order if not key.score}
    for key in order:
        if key.score and key.dataset_id in trained:
            scores.setdefault((key.dataset_id, key.task), []).append(key)
        else:
            datasets.setdefault(key.dataset_id, []).append(key)
    for keys in datasets.values():
        keys.sort(key=lambda k: (k.task == "cls", (*_ORDER, k.task).index(k.task), k.task, k.recipe))
    on_x = {d: next((k for k in keys if k.task == "cls"), keys[-1]) for d, keys in datasets.items()}
    plots = [(on_x[d], [k for k in keys if k != on_x[d]][:_MOST]) for d, keys in datasets.items()]
    plots += [(on_x[d], keys) for (d, _), keys in scores.items()]
    datasets = {d: keys for d, keys in datasets.items() if d in trained}
    for first in datasets:
        for second, keys in datasets.items():
            mirrored = len(keys) == 1 == len(datasets[first]) and second < first
            if first != second and not mirrored:
                plots.append((on_x[first], keys))
    return [(x, ys) for x, ys in plots if any(x in s.index and y in s.index for y in ys for s in spaces)]


def _figure(
    x: _Key,
    ys: list[_Key],
    spaces: list[_Space],
    numbers: dict[Any, Numbers],
    guessed: Levels,
    looks: Looks,
    trend: bool,
) -> Drawing:
    spaces = [s for s in spaces if x in s.index and any(y in s.index for y in ys)]
    ys = [y for y in ys if any(y in s.index for s in spaces)]
    across, lines = min(len(ys), _ACROSS), math.ceil(len(ys) / _ACROSS)
    figure = Figure(
        figsize=(max(_WIDTH * across, 2.2) + 0.1, _HEIGHT * lines * len(spaces) + 0.2), layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.04, wspace=0.03, hspace=0.03)  # type: ignore[union-attr,call-arg]
    axes = figure.subplots(lines * len(spaces), across, squeeze=False)
    dotted = False
    for row, space in enumerate(spaces):
        for k in range(lines * across):
            ax = axes[row * lines + k // across, k % across]
            if k >= len(ys) or ys[k] not in space.index:
                ax.set_axis_off()
                continue
            pair = space.index[x], space.index[ys[k]]
            found = numbers[frozenset((space.cells.space, *space.keys[c]) for c in pair)]
            values = space.cells.values[space.cells.used((min(pair), max(pair)))][:, pair]
            scales = [scale_of(values[:, i], space.cells.labels.iloc[c]) for i, c in enumerate(pair)]
            chance = [guessed.get((space.cells.space, *space.keys[c])) for c in pair]
            dotted |= draw(ax, values, scales, found, looks.task(ys[k].task).colour, trend, chance)
            name = space.labels[ys[k]]
            if ys[k].dataset_id == x.dataset_id:
                name = name.removeprefix(names.dataset_name(space.cells.labels["dataset"].iloc[pair[1]]) + " ")
            ax.set_ylabel(names.wrapped(name + scales[1].brief, 28), parse_math=False)
            if k == 0:
                title = names.short(names.space_name(space.cells.space))
                ax.set_title(title, loc="left", weight="bold", parse_math=False)
    label = spaces[0].labels[x]
    room = int(figure.get_figwidth() * 17)  # characters
    figure.supxlabel(names.wrapped(label + scales[0].unit, room), fontsize=7, parse_math=False)
    others = ", ".join(dict.fromkeys(next(s.labels[y] for s in spaces if y in s.index) for y in ys))
    return Drawing(_slug(x, ys, spaces), f"{label} against {others}", _NOTE + _DOTTED * dotted, figure)


def _numbers(correlations: pd.DataFrame) -> dict[Any, Numbers]:
    """rho and its company of each pair of cells, whichever of the two is x."""
    cells = zip(correlations["space"], cell_keys(correlations, "x"), cell_keys(correlations, "y"), strict=True)
    pairs = [frozenset((space, *key) for key in both) for space, *both in cells]
    lines = correlations[["rho", "rho_low", "rho_high", "n", "reason", "no_signal"]].itertuples(index=False, name=None)
    return {key: Numbers(*line) for key, line in zip(pairs, lines, strict=True)}


def _slug(x: _Key, ys: list[_Key], spaces: list[_Space]) -> str:
    """within-cifar10, or across-imagenet-cifar10; ids instead of names where two datasets share a name."""
    called = {str(c.dataset_id): str(c.dataset) for s in spaces for c in s.cells.labels.itertuples()}
    plain = list(called.values())
    used = [d if plain.count(called[d]) > 1 else called[d] for d in dict.fromkeys([x.dataset_id, ys[0].dataset_id])]
    words = ["within" if len(used) == 1 else "across", *used]
    if ys[0].score and not x.score:
        words = ["scores", *used, ys[0].task]
    return "-".join(map(file_word, words))
