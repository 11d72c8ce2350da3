"""Line charts as SVG inside the page: sharp in print, in the page's colours by light and by dark, without a script."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from analysis.drawing.palette import Look

_WIDTH, _HEIGHT = 340.0, 236.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 8.0, 8.0, 36.0
_MOST_POINTS = 160  # of a line: one every two pixels


@dataclass(frozen=True)
class Series:
    """A line: its name and look, points, and a band around it where `low` and `high` are given."""

    name: str
    look: Look
    x: Any
    y: Any
    low: Any = None
    high: Any = None
    dots: Any = None  # heights of dots beside the line; by default they lie on it
    steps: bool = False  # the line holds its value until the next point


@dataclass(frozen=True)
class Chart:
    """One panel. `log` is the base of a logarithmic x, 0 for none; `refer` are heights of dashed lines across."""

    title: str
    x: str
    y: str
    series: Sequence[Series]
    log: int = 0
    low: float | None = None
    high: float | None = None
    refer: Sequence[float] = field(default_factory=tuple)


def charts(panels: Sequence[Chart]) -> str:
    """The panels side by side as far as there is room, with one key for all; lines without a point are not listed,
    and of panels without lines."""
    drawable = [replace(panel, series=[s for s in panel.series if _drawn(s)]) for panel in panels]
    panels = [panel for panel in drawable if panel.series]
    if not panels:
        return ""
    key = {(s.name, s.look): None for panel in panels for s in panel.series}
    entries = "".join(
        '<span><svg class="line" viewBox="0 0 30 8" aria-hidden="true">'
        f'<path style="{_stroke(look)}" d="M0 4H30"/></svg>{html.escape(name)}</span>'
        for name, look in key
    )
    drawn = "".join(f'<figure class="chart">{_chart(panel)}</figure>' for panel in panels)
    return f'<p class="key">{entries}</p><div class="charts">{drawn}</div>'


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
    low_y, high_y = _range(np.concatenate([*heights, np.asarray(panel.refer, float)]), 0.04)
    low_y = low_y if panel.low is None else panel.low
    high_y = high_y if panel.high is None else panel.high

    def across(values: Any) -> Any:
        share = (_logged(np.asarray(values, float), panel.log) - low_x) / (high_x - low_x)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def up(values: Any) -> Any:
        share = (np.asarray(values, float) - low_y) / (high_y - low_y)
        return _HEIGHT - _BOTTOM - share.clip(-0.02, 1.02) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f"<figcaption>{html.escape(panel.title)}</figcaption>"]
    parts.append(f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{html.escape(panel.title)}">')
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for value, label in _ticks(low_y, high_y):
        y = float(up(value))
        parts.append(f'<path class="grid" d="M{_LEFT:g} {y:.1f}H{right:g}"/>')
        parts.append(f'<text x="{_LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for value, label in _ticks(low_x, high_x) if not panel.log else _powers(xs, panel.log):
        x = float(across(value))
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP:g}V{bottom:g}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14:g}" text-anchor="middle">{label}</text>')
    parts += [f'<path class="refer" d="M{_LEFT:g} {float(up(value)):.1f}H{right:g}"/>' for value in panel.refer]
    parts += [_series(series, across, up) for series in panel.series]
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle:g}" y="{_HEIGHT - 4:g}" text-anchor="middle">{html.escape(panel.x)}</text>')
    turned = f'transform="rotate(-90 10 {(_TOP + bottom) / 2:g})"'
    parts.append(
        f'<text x="10" y="{(_TOP + bottom) / 2:g}" text-anchor="middle" {turned}>{html.escape(panel.y)}</text>'
    )
    return "".join([*parts, "</svg>"])


def _series(series: Series, across: Any, up: Any) -> str:
    """The band first, the line upon it."""
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


def _ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """Round values between low and high."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    digits = min(max(0, -math.floor(math.log10(step) + 1e-9)), 12)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [(k * step, f"{k * step:z.{digits}f}".replace("-", "−")) for k in range(first, last + 1)]


def _powers(values: Any, base: int) -> list[tuple[float, str]]:
    """Powers of the base within the values, every one, second, third ... so that about six stay."""
    low, high = (math.log(v) / math.log(base) for v in (np.min(values), np.max(values)))
    powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    step = max(1, math.ceil(len(powers) / 6))
    return [(float(base**k), f"{float(base**k):g}") for k in powers[::step]]
