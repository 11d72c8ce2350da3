"""One panel of a scatter figure: points, limits, trend, and the text in it."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from scipy import stats

from analysis.comparison.chance import widened
from analysis.comparison.units import Scale
from analysis.drawing.palette import MUTED
from analysis.names import with_interval

_INK = "#222222"

_LINE = 0.105  # of the panel's height: one line of text
# size, opacity and rim of the points, by how many there are at most
_LOOKS = ((99, 17.0, 0.9, 0.5), (1500, 7.0, 0.5, 0.0), (math.inf, 2.0, 0.25, 0.0))
_RASTER = 3000  # from here on a PDF holds the points as pixels, else it becomes slow to turn pages
_FAR = 5.0  # interquartile ranges beyond the quartiles that the axes still follow


@dataclass(frozen=True)
class Numbers:
    """What `correlate` says about the pair."""

    rho: float
    low: float
    high: float
    n: int
    reason: str = ""  # why rho is not defined
    no_signal: str = ""  # why it is no finding


@dataclass(frozen=True)
class _Line:
    """A line of text inside the panel."""

    text: str
    size: float
    weight: str = "normal"

    @property
    def width(self) -> float:
        """How much of the panel's width it takes, with the margin and the radius of a point."""
        wide = 0.72 if self.weight == "bold" else 0.62
        return len(self.text) * self.size * wide / 95 + 0.06  # a panel is about 95 points wide


def draw(
    ax: Axes,
    values: Any,
    scales: list[Scale],
    numbers: Numbers,
    shade: str,
    trend: bool,
    chance: Sequence[float | None] = (None, None),
) -> bool:
    """Fills the axes with the points of values (n, 2), x first; -inf is drawn on the lower edge.

    `chance` is the score of guessing on x and on y: dotted lines where they lie inside the axes, which are extended to
    hold them as far as the points then still fill most of the panel. Returns whether there is such a line.
    """
    points = np.column_stack([s.apply(values[:, i]) for i, s in enumerate(scales)])
    shade = MUTED if numbers.no_signal else shade
    limits = np.array([_limits(points[:, i]) for i in (0, 1)])
    guessed = [None if level is None else level * s.factor for level, s in zip(chance, scales, strict=True)]
    for i, level in enumerate(guessed):
        if level is not None:
            limits[i] = widened(limits[i, 0], limits[i, 1], level)
    lines = _lines(numbers)
    while (corner := _free_corner(points, limits, lines)) is None:
        limits[1, 1] += 0.04 * (limits[1, 1] - limits[1, 0])  # headroom for the text, no more than it takes
    _points(ax, points, limits, shade)
    dotted = False
    for line, level, (low, high) in zip((ax.axvline, ax.axhline), guessed, limits, strict=True):
        if level is not None and low <= level <= high:
            dotted = True
            line(level, color=_INK, linewidth=0.7, linestyle=(0, (1, 2)), alpha=0.8, zorder=1.5)
    if trend and not numbers.no_signal:
        _trend(ax, points, limits)
    _say(ax, lines, corner)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], min_n_ticks=3))
        axis.set_major_formatter(ScalarFormatter(useOffset=False))
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(length=2.5, width=0.6, color=_INK)
    ax.grid(linewidth=0.4, color="#E6E8EA")
    ax.set_axisbelow(True)
    return dotted


def _points(ax: Axes, points: Any, limits: Any, shade: str) -> None:
    """The points, those beyond the limits as hollow triangles on the edge."""
    inside = ((points >= limits[:, 0]) & (points <= limits[:, 1])).all(axis=1)
    size, alpha, rim = next(look for most, *look in _LOOKS if len(points) <= most)
    ax.scatter(
        points[inside, 0],
        points[inside, 1],
        s=size,
        alpha=alpha,
        color=shade,
        edgecolors="white",
        linewidths=rim,
        rasterized=len(points) > _RASTER,
        zorder=2,
    )
    reach = (limits[:, 1] - limits[:, 0]) * 0.025
    edge = points[~inside].clip(limits[:, 0] + reach, limits[:, 1] - reach)
    sideways = points[~inside][:, 0] < limits[0, 0]
    for chosen, marker in ((sideways, "<"), (~sideways, "v")):
        ax.scatter(
            edge[chosen, 0],
            edge[chosen, 1],
            s=9,
            marker=marker,
            facecolors="white",
            edgecolors=shade,
            linewidths=0.6,
            zorder=3,
        )


def _limits(values: Any) -> tuple[float, float]:
    """The range of the values with a margin; from 20 values on, lone ones far from all others are left
    outside."""
    finite = np.sort(values[np.isfinite(values)])
    if len(finite) == 0:
        return 0.0, 1.0
    if len(finite) >= 20:
        low, high = np.quantile(finite, [0.25, 0.75])
        reach = _FAR * (high - low)
        near = finite[(finite >= low - reach) & (finite <= high + reach)]
        # A large part far away is not a few outliers but the shape of the data.
        if reach > 0 and len(near) >= 0.95 * len(finite):
            finite = near
    width = finite[-1] - finite[0]
    margin = 0.06 * width if width > 0 else max(abs(finite[0]) * 0.01, 0.5)
    return float(finite[0] - margin), float(finite[-1] + margin)


def _free_corner(points: Any, limits: Any, lines: list[_Line]) -> tuple[int, int] | None:
    """A corner (right?, top?) that has no point where the text would be; None if there is no such corner."""
    place = ((points - limits[:, 0]) / (limits[:, 1] - limits[:, 0])).clip(0, 1)
    for right, top in ((0, 1), (1, 0), (1, 1), (0, 0)):
        inwards = 1 - place[:, 0] if right else place[:, 0]
        down = 1 - place[:, 1] if top else place[:, 1]
        if not any(
            ((inwards < line.width) & (down < (k + 1) * _LINE + 0.05)).any()
            for k, line in enumerate(lines if top else lines[::-1])
        ):
            return right, top
    return None


def _lines(numbers: Numbers) -> list[_Line]:
    """rho, interval and n."""
    value, bounds = with_interval(numbers.rho, numbers.low, numbers.high)
    rho = "ρ not defined" if math.isnan(numbers.rho) else f"ρ = {value}"
    interval = [] if math.isnan(numbers.low) else [_Line(bounds, 6.5)]
    # Without the side: a panel's x may be the y of the table.
    whys = dict.fromkeys(part.rpartition(": ")[2] for part in numbers.reason.split("; ") if part)
    reasons = [_Line(line, 6.5) for why in whys for line in textwrap.wrap(why, 26)]
    if numbers.no_signal:
        return [_Line("no signal", 7.5, "bold"), _Line(f"({rho})", 6.5), *reasons, _Line(f"n = {numbers.n}", 6.5)]
    return [_Line(rho, 7.5, "bold"), *interval, *reasons, _Line(f"n = {numbers.n}", 6.5)]


def _say(ax: Axes, lines: list[_Line], corner: tuple[int, int]) -> None:
    """The lines into the corner."""
    right, top = corner
    for k, line in enumerate(lines if top else lines[::-1]):
        label = ax.annotate(
            line.text,
            (0.97 if right else 0.03, 0.98 if top else 0.03),
            xytext=(0, (-9.0 if top else 9.0) * k),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right" if right else "left",
            va="top" if top else "bottom",
            fontsize=line.size,
            weight=line.weight,
            color=_INK,
            zorder=5,
        )
        label.set_in_layout(False)  # it lies inside the axes, which need not make room for it


def _trend(ax: Axes, points: Any, limits: Any) -> None:
    """A Theil-Sen line over the points inside the axes; none for fewer than 5 or a single x."""
    inside = points[((points >= limits[:, 0]) & (points <= limits[:, 1])).all(axis=1)]
    inside = inside[:: max(1, len(inside) // 1000)]  # all pairs of slopes: more points would only take time
    if len(inside) < 5 or np.ptp(inside[:, 0]) == 0:
        return
    slope, intercept = stats.theilslopes(inside[:, 1], inside[:, 0])[:2]
    ends = np.array([inside[:, 0].min(), inside[:, 0].max()])
    ax.plot(ends, intercept + slope * ends, color=_INK, linewidth=0.8, alpha=0.7, zorder=4, scalex=False, scaley=False)
