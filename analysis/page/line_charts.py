"""Line charts as SVG inside the page: sharp in print, in the page's colours by light and by dark, without a script."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from analysis.comparison.chance import widened
from analysis.drawing.palette import Look

_WIDTH, _HEIGHT = 340.0, 236.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 8.0, 8.0, 36.0
_MOST_POINTS = 160  # of a line: one every two pixels
_END = ' text-anchor="end"'
_MOST_THIN = 48  # of a thin line, of which there are many


@dataclass(frozen=True)
class Series:
    """A line: its name and look, points, and a band around it where `low` and `high` are given."""

    name: str  # in the key; "": not there
    look: Look
    x: Any
    y: Any
    low: Any = None
    high: Any = None
    dots: Any = None  # heights of dots beside the line; by default they lie on it
    steps: bool = False  # the line holds its value until the next point
    thin: bool = False  # one of many, whose name is shown when it is pointed at
    called: Sequence[str] = ()  # the name of each point, shown when it is pointed at; then there are points, no line


@dataclass(frozen=True)
class Mark:
    """A dashed line across the panel, at a value of x or of y, with its label."""

    at: float
    axis: Literal["x", "y"]
    label: str


@dataclass(frozen=True)
class Chart:
    """One panel. `log` is the base of a logarithmic x, 0 for none; `whole` is for an x of whole numbers.

    An axis is extended to hold a mark as far as the lines then still fill most of it; a mark that stays outside is
    named at the edge.
    """

    title: str
    x: str
    y: str
    series: Sequence[Series]
    log: int = 0
    low: float | None = None
    high: float | None = None
    marks: Sequence[Mark] = ()
    whole: bool = False


def charts(panels: Sequence[Chart]) -> str:
    """The panels side by side as far as there is room, with one key for all; lines without a point are not listed,
    and of panels without lines."""
    drawable = [replace(panel, series=[s for s in panel.series if _drawn(s)]) for panel in panels]
    panels = [panel for panel in drawable if panel.series]
    if not panels:
        return ""
    key = {(s.name, s.look): None for panel in panels for s in panel.series if s.name and not s.thin}
    entries = "".join(
        '<span><svg class="line" viewBox="0 0 30 8" aria-hidden="true">'
        f'<path style="{_stroke(look)}" d="M0 4H30"/></svg>{html.escape(name)}</span>'
        for name, look in key
    )
    drawn = "".join(f'<figure class="chart">{_chart(panel)}</figure>' for panel in panels)
    return f'<p class="key">{entries}</p>' * bool(key) + f'<div class="charts">{drawn}</div>'


def _drawn(series: Series) -> bool:
    """Whether a line has a point that can be drawn."""
    return bool((np.isfinite(np.asarray(series.x, float)) & np.isfinite(np.asarray(series.y, float))).any())


def _stroke(look: Look) -> str:
    dashes = f";stroke-dasharray:{' '.join(f'{v:g}' for v in look.dashes)}" if look.dashes else ""
    return f"stroke:var(--hue-{look.hue}){dashes}"


def _chart(panel: Chart) -> str:
    xs = np.concatenate([np.asarray(s.x, float) for s in panel.series])
    low_x, high_x = _range(_logged(xs, panel.log), 0.02)
    heights = [np.asarray(v, float) for s in panel.series for v in (s.y, s.low, s.high, s.dots) if v is not None]
    low_y, high_y = _range(np.concatenate(heights), 0.04)
    low_y = low_y if panel.low is None else panel.low
    high_y = high_y if panel.high is None else panel.high
    for mark in panel.marks:
        if mark.axis == "x":
            low_x, high_x = widened(low_x, high_x, mark.at)
        else:
            low_y, high_y = widened(low_y, high_y, mark.at)

    def across(values: Any) -> Any:
        share = (_logged(np.asarray(values, float), panel.log) - low_x) / (high_x - low_x)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def up(values: Any) -> Any:
        share = (np.asarray(values, float) - low_y) / (high_y - low_y)
        return _HEIGHT - _BOTTOM - share.clip(-0.02, 1.02) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f"<figcaption>{html.escape(panel.title)}</figcaption>"]
    parts.append(f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{html.escape(panel.title)}">')
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for value, label in ticks(low_y, high_y):
        y = float(up(value))
        parts.append(f'<path class="grid" d="M{_LEFT:g} {y:.1f}H{right:g}"/>')
        parts.append(f'<text x="{_LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for value, label in ticks(low_x, high_x, whole=panel.whole) if not panel.log else powers(xs, panel.log):
        x = float(across(value))
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP:g}V{bottom:g}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14:g}" text-anchor="middle">{label}</text>')
    parts += [_series(series, across, up) for series in panel.series]
    for mark in panel.marks:
        if mark.axis == "x":
            parts.append(_upright(mark, float(across(mark.at)), low_x <= mark.at <= high_x))
        else:
            parts.append(_level(mark, float(up(mark.at)), low_y <= mark.at <= high_y))
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle:g}" y="{_HEIGHT - 4:g}" text-anchor="middle">{html.escape(panel.x)}</text>')
    turned = f'transform="rotate(-90 10 {(_TOP + bottom) / 2:g})"'
    parts.append(
        f'<text x="10" y="{(_TOP + bottom) / 2:g}" text-anchor="middle" {turned}>{html.escape(panel.y)}</text>'
    )
    return "".join([*parts, "</svg>"])


def _upright(mark: Mark, x: float, inside: bool) -> str:
    """The line at a value of x; its label lies in the corner that a rising line leaves free."""
    right, top, bottom = _WIDTH - _RIGHT, _TOP + 9, _HEIGHT - _BOTTOM - 5
    left_half = x < (_LEFT + right) / 2
    y = top if left_half else bottom
    label = html.escape(mark.label)
    if not inside:
        label = f"{label} {mark.at:.3g}"
        told, place = (f"← {label}", _LEFT + 3) if left_half else (f"{label} →", right - 3)
        return f'<text class="mark" x="{place:g}" y="{y:g}"{"" if left_half else _END}>{told}</text>'
    place = x + 4 if left_half else x - 4
    line = f'<path class="refer" d="M{x:.1f} {_TOP:g}V{_HEIGHT - _BOTTOM:g}"/>'
    return f'{line}<text class="mark" x="{place:.1f}" y="{y:g}"{"" if left_half else _END}>{label}</text>'


def _level(mark: Mark, y: float, inside: bool) -> str:
    """The line at a value of y; its label lies at its right end, where rising lines have left it."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    low_half = y > (_TOP + bottom) / 2
    label = html.escape(mark.label)
    if not inside:
        label = f"{label} {mark.at:.3g}"
        told, place = (f"{label} ↓", bottom - 4) if low_half else (f"{label} ↑", _TOP + 9)
        return f'<text class="mark" x="{right - 3:g}" y="{place:g}"{_END}>{told}</text>'
    place = y - 4 if y > _TOP + 14 else y + 12
    line = f'<path class="refer" d="M{_LEFT:g} {y:.1f}H{right:g}"/>'
    return f'{line}<text class="mark" x="{right - 3:g}" y="{place:.1f}"{_END}>{label}</text>'


def _thin(series: Series, across: Any, up: Any) -> str:
    """A line with its name inside, to be shown where it is pointed at."""
    known = np.flatnonzero(np.isfinite(np.asarray(series.y, float)))
    keep = known[np.unique(np.linspace(0, len(known) - 1, min(len(known), _MOST_THIN)).round().astype(int))]
    x, y = across(np.asarray(series.x, float)[keep]), up(np.asarray(series.y, float)[keep])
    if len(keep) == 1:  # has a length as well, so that it shows
        x, y = np.append(x, x + 2), np.append(y, y)
    line = " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    name = html.escape(series.name)
    return f'<path class="thin" style="{_stroke(series.look)}" d="M{line}"><title>{name}</title></path>'


def _named_points(series: Series, across: Any, up: Any) -> str:
    """Points without a line, each with its name inside."""
    x, y = across(np.asarray(series.x, float)), up(np.asarray(series.y, float))
    style = f'style="fill:var(--hue-{series.look.hue})"'
    return "".join(
        f'<circle class="named" cx="{a:.1f}" cy="{b:.1f}" r="4" {style}><title>{html.escape(name)}</title></circle>'
        for a, b, name in zip(x, y, series.called, strict=True)
        if math.isfinite(a) and math.isfinite(b)
    )


def _series(series: Series, across: Any, up: Any) -> str:
    """The band first, the line upon it."""
    if series.thin:
        return _thin(series, across, up)
    if series.called:
        return _named_points(series, across, up)
    keep = np.unique(np.linspace(0, len(series.x) - 1, min(len(series.x), _MOST_POINTS)).round().astype(int))
    x, y = across(np.asarray(series.x, float)[keep]), up(np.asarray(series.y, float)[keep])
    colour = f"var(--hue-{series.look.hue})"
    parts = []
    if series.low is not None and series.high is not None:
        low, high = (up(np.asarray(v, float)[keep]) for v in (series.low, series.high))
        known = np.isfinite(low) & np.isfinite(high)
        edge = [*_points(x[known], low[known], series.steps), *_points(x[known], high[known], series.steps)[::-1]]
        if edge:
            parts.append(f'<path class="band" style="fill:{colour}" d="M{"L".join(edge)}Z"/>')
    known = np.isfinite(y)
    if known.any():
        line = "L".join(_points(x[known], y[known], series.steps))
        parts.append(f'<path class="series" style="{_stroke(series.look)}" d="M{line}"/>')
        if known.sum() < 30 and not series.steps:
            heights = y if series.dots is None else up(np.asarray(series.dots, float)[keep])
            dots = [(a, b) for a, b in zip(x[known], heights[known], strict=True) if math.isfinite(b)]
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.4" style="fill:{colour}"/>' for a, b in dots]
    return "".join(parts)


def _points(x: Any, y: Any, steps: bool) -> list[str]:
    found = []
    for k, (a, b) in enumerate(zip(x, y, strict=True)):
        if steps and k:
            found.append(f"{a:.1f} {y[k - 1]:.1f}")
        found.append(f"{a:.1f} {b:.1f}")
    return found


def _logged(values: Any, base: int) -> Any:
    return np.log(values) / math.log(base) if base else values


def _range(values: Any, margin: float) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    wide = (high - low) * margin if high > low else max(abs(low) * 0.01, 0.5)
    return low - wide, high + wide


def ticks(low: float, high: float, most: int = 5, whole: bool = False) -> list[tuple[float, str]]:
    """Round values between low and high; whole ones where only those have a meaning."""
    rough = max((high - low) / most, 1.0) if whole else (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    digits = min(max(0, -math.floor(math.log10(step) + 1e-9)), 12)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [(k * step, f"{k * step:z.{digits}f}".replace("-", "−")) for k in range(first, last + 1)]


def powers(values: Any, base: int) -> list[tuple[float, str]]:
    """Powers of the base within the values, every one, second, third ... so that about six stay."""
    low, high = (math.log(v) / math.log(base) for v in (np.min(values), np.max(values)))
    powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    step = max(1, math.ceil(len(powers) / 6))
    return [(float(base**k), f"{float(base**k):g}") for k in powers[::step]]
