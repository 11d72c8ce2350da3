"""Agreement against cost, drawn: one point per proxy, the Pareto front as a line."""

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import names
from analysis.comparison.cells import compare
from analysis.comparison.keys import SCORE, columns
from analysis.comparison.options import Chance, Common, Diverged, Options
from analysis.drawing.files import STYLE, Drawing, Drawings, file_word
from analysis.drawing.palette import MUTED, Looks, looks_of
from analysis.drawing.placing import placed
from analysis.statistics.agreement_cost import agreement_cost_of, front
from analysis.tables import text
from analysis.tables.brief import own_dataset

_WIDTH, _HEIGHT = 3.5, 2.7  # inches
_INK, _SOFT = "#222222", "#8A9199"
NOTE = (
    "Each point is a proxy: circles are scores without training, squares trainings. Bars are the intervals of rho; the "
    "line joins the proxies that no other one beats in both rho and seconds."
)


def cost(
    df: pd.DataFrame,
    *,
    common: Common = "all",
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Drawings:
    """Agreement against cost, of `agreement_cost`: one figure per target, rho on y and the seconds of an architecture,
    all its seeds, on a logarithmic x."""
    comparison = compare(df, Options(common, score, diverged, chance, resamples, confidence, seed))
    return cost_of(agreement_cost_of(comparison), looks_of(comparison.spaces))


def cost_of(table: pd.DataFrame, looks: Looks) -> Drawings:
    """The figures of what `agreement_cost` gives."""
    found: dict[str, Drawing] = {}
    with mpl.rc_context(STYLE):
        for lines, _, target in each_target(table):
            one = next(text.each(lines))
            words = ["cost", *map(file_word, (str(one.space), str(one.target_dataset), str(one.target_task)))]
            name = "-".join(words)
            name = name if name not in found else f"{name}-{file_word(str(one.target_recipe_id))}"
            title = names.space_name(str(one.space))
            figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
            _panel(figure, figure.subplots(), lines, looks, title, target)
            found[name] = Drawing(name, f"{title}: agreement with {target} against cost", NOTE, figure)
    return Drawings(found.values())


def each_target(table: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, list[str], str]]:
    """The drawable lines of each target with at least two proxies, the proxies' names, and the target's: proxies on
    the target's dataset where there are such, and the front among these.

    Lines have a column `brief`: the name of a score alone, as colours say which task it is computed under.
    """
    table = own_dataset(table[table["rho"].notna() & (table["seconds"] > 0)])
    for _, lines in table.groupby(["space", *columns("target")], sort=False):
        if len(lines) > 1:
            xs, ys, dataset = text.brief_names(text.as_pairs(lines))
            pairs = zip(lines["proxy_metric"], lines["proxy_method"], xs, strict=True)
            brief = [str(metric) if method == SCORE else name for metric, method, name in pairs]
            counted = lines["rho"].where(lines["no_signal"] == "").to_numpy(float)
            on = pd.array(front(lines["seconds"].to_numpy(float), counted), dtype="boolean")
            target = ys[0] + (f" on {dataset}" if dataset else "")
            yield lines.assign(brief=brief, front=on).reset_index(drop=True), xs, target


def front_of(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines on the Pareto front, the cheapest first."""
    return lines[lines["front"].fillna(False).astype(bool)].sort_values(["seconds", "rho"])


def order_of(lines: pd.DataFrame) -> list[int]:
    """The positions of the lines that are named, the most important first: those on the front, then by rho. Of several
    points of one name, a score under several tasks, the highest has it."""
    on = lines["front"].fillna(False).astype(bool)
    order = sorted(range(len(lines)), key=lambda k: (not on.iloc[k], -lines["rho"].iloc[k]))
    return list({lines["brief"].iloc[k]: k for k in order[::-1]}.values())[::-1]


def _panel(figure: Figure, ax: Axes, lines: pd.DataFrame, looks: Looks, title: str, target: str) -> None:
    x, y = lines["seconds"].to_numpy(float), lines["rho"].to_numpy(float)
    ends = lines[["rho_low", "rho_high"]].to_numpy(float)
    for k, line in enumerate(text.each(lines)):
        shade = MUTED if line.no_signal else looks.task(line.proxy_task).colour
        mark = "o" if line.proxy_method == SCORE else "s"
        ax.plot([x[k], x[k]], ends[k], color=shade, linewidth=0.7, alpha=0.45, zorder=2)
        ax.plot(x[k], y[k], mark, color=shade, markersize=3.6, markeredgecolor="white", markeredgewidth=0.4, zorder=3)
    best = front_of(lines)
    ax.plot(best["seconds"], best["rho"], color=_SOFT, linewidth=0.9, drawstyle="steps-post", zorder=1)
    ax.set_xscale("log")
    ax.minorticks_off()
    for task in dict.fromkeys(lines["proxy_task"]):
        ax.plot([], [], "o", color=looks.task(task).colour, markersize=3.6, label=names.task_name(str(task)))
    if lines["proxy_task"].nunique() > 1:
        ax.legend(frameon=False, fontsize=6, loc="lower right", handletextpad=0.2)
    ax.set_title(names.short(title), loc="left", weight="bold", parse_math=False)
    ax.set_xlabel("seconds per architecture")
    ax.set_ylabel(names.wrapped(f"ρ with {target}", 40), parse_math=False)
    ax.margins(x=0.12, y=0.06)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(linewidth=0.4, color="#E6E8EA")
    ax.set_axisbelow(True)
    _name(figure, ax, np.column_stack([x, y]), list(lines["brief"]), order_of(lines))


def _name(figure: Figure, ax: Axes, points: Any, called: list[str], order: list[int]) -> None:
    """Names beside the points, as far as there is room."""
    figure.draw_without_rendering()
    scaled = 72 / figure.dpi
    box = ax.get_window_extent()
    area = [v * scaled for v in (box.x0, box.y0, box.x1, box.y1)]
    at = ax.transData.transform(points) * scaled
    for k, place in enumerate(placed(at, called, order, (3.2, 6.0), area)):
        if place is not None:
            offset = (place[0] - at[k][0], place[1] - at[k][1] + 1.2)
            label = ax.annotate(
                called[k], points[k], xytext=offset, textcoords="offset points", fontsize=5.8, color=_INK, zorder=4
            )
            label.set_parse_math(False)
            label.set_in_layout(False)
