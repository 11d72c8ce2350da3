"""Agreement against cost as SVG inside the page: one point per proxy with its interval, the Pareto front as a line."""

import html
import math
from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.keys import SCORE
from analysis.drawing.cost import NOTE, each_target, front_of, order_of
from analysis.drawing.palette import Look, Looks
from analysis.drawing.placing import placed
from analysis.page.line_charts import powers, ticks
from analysis.tables import text

_WIDTH, _HEIGHT = 430.0, 330.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 10.0, 38.0
_CHARACTER = (6.2, 10.0)  # width and height of a character of the names


def cost(table: pd.DataFrame, looks: Looks) -> str:
    """What `agreement_cost` gives, one chart per target; nothing where no seconds are known."""
    drawn: list[str] = []
    key: dict[str, Look] = {}
    for lines, called, target in each_target(table):
        drawn.append(f'<figure class="chart wide">{_chart(lines, called, target, looks)}</figure>')
        key |= {str(task): looks.task(task) for task in lines["proxy_task"]}
    if not drawn:
        return ""
    entries = [f"<span>{_sample(look)}{html.escape(names.task_name(task))}</span>" for task, look in key.items()]
    note = "Point at a mark to read its numbers. Names stand where there is room, those on the line first."
    return (
        f'<p class="note">{html.escape(NOTE)} <span class="screen">{html.escape(note)}</span></p>\n'
        f'<p class="key">{"".join(entries) * (len(entries) > 1)}</p><div class="charts">{"".join(drawn)}</div>'
    )


def _chart(lines: pd.DataFrame, called: list[str], target: str, looks: Looks) -> str:
    seconds, rho = lines["seconds"].to_numpy(float), lines["rho"].to_numpy(float)
    logs = np.log10(seconds)
    low_x, high_x = float(logs.min()), float(logs.max())
    wide = max(high_x - low_x, 0.5)
    low_x, high_x = low_x - 0.14 * wide, high_x + 0.12 * wide
    heights = lines[["rho", "rho_low", "rho_high"]].to_numpy(float)
    low_y, high_y = float(np.nanmin(heights)), float(np.nanmax(heights))
    low_y, high_y = low_y - 0.04 * (high_y - low_y or 1), high_y + 0.04 * (high_y - low_y or 1)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def across(value: float) -> float:
        return _LEFT + (math.log10(value) - low_x) / (high_x - low_x) * (right - _LEFT)

    def up(value: float) -> float:
        return bottom - (value - low_y) / (high_y - low_y) * (bottom - _TOP)

    title = f"{names.space_name(str(lines['space'].iloc[0]))}: ρ with {target}"
    parts = [f"<figcaption>{html.escape(title)}</figcaption>"]
    parts.append(f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{html.escape(title)}">')
    for value, label in ticks(low_y, high_y, 8):
        parts.append(f'<path class="grid" d="M{_LEFT:g} {up(value):.1f}H{right:g}"/>')
        parts.append(f'<text x="{_LEFT - 6:g}" y="{up(value) + 4:.1f}" text-anchor="end">{label}</text>')
    for value, label in powers(np.array([10**low_x, 10**high_x]), 10):
        parts.append(f'<path class="grid" d="M{across(value):.1f} {_TOP:g}V{bottom:g}"/>')
        parts.append(f'<text x="{across(value):.1f}" y="{bottom + 14:g}" text-anchor="middle">{label}</text>')
    best = front_of(lines)
    steps = [f"{across(s):.1f} {up(r):.1f}" for s, r in zip(best["seconds"], best["rho"], strict=True)]
    path = "".join(f"H{step.split()[0]}V{step.split()[1]}" for step in steps[1:])
    parts.append(f'<path class="front" d="M{steps[0]}{path}"/>' if steps else "")
    points = [(across(s), up(r)) for s, r in zip(seconds, rho, strict=True)]
    for k, line in enumerate(text.each(lines)):
        parts.append(_point(line, called[k], points[k], up, looks.task(line.proxy_task)))
    # Names are placed with y upwards, the page's y is downwards.
    upwards = [(x, _HEIGHT - y) for x, y in points]
    area = (_LEFT, _BOTTOM, right, _HEIGHT - _TOP)
    for name, place in zip(
        lines["brief"], placed(upwards, list(lines["brief"]), order_of(lines), _CHARACTER, area), strict=True
    ):
        if place is not None:
            parts.append(
                f'<text class="name" x="{place[0]:.1f}" y="{_HEIGHT - place[1] - 1.5:.1f}">{html.escape(name)}</text>'
            )
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle:g}" y="{_HEIGHT - 4:g}" text-anchor="middle">seconds per architecture</text>')
    height = (_TOP + bottom) / 2
    turned = f'transform="rotate(-90 10 {height:g})"'
    parts.append(f'<text x="10" y="{height:g}" text-anchor="middle" {turned}>ρ with the target</text>')
    return "".join([*parts, "</svg>"])


def _point(line: Any, called: str, at: tuple[float, float], up: Any, look: Look) -> str:
    x, y = at
    value, bounds = names.with_interval(line.rho, line.rho_low, line.rho_high)
    says = f"{called}: ρ = {value} {bounds}, {names.significant(line.seconds)} s, n = {line.n:,}"
    says += f"; no signal: {line.no_signal}" if line.no_signal else ""
    bar = ""
    if not math.isnan(line.rho_low):
        bar = f'<path class="bar" d="M{x:.1f} {up(line.rho_low):.1f}V{up(line.rho_high):.1f}"/>'
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6"/>'
    square = f'<rect x="{x - 3.4:.1f}" y="{y - 3.4:.1f}" width="6.8" height="6.8"/>'
    mark = circle if line.proxy_method == SCORE else square
    muted = " muted" if line.no_signal else ""
    return (
        f'<g class="point{muted}" style="--hue:var(--hue-{look.hue})"><title>{html.escape(says)}</title>{bar}{mark}</g>'
    )


def _sample(look: Look) -> str:
    return (
        f'<svg class="dot" viewBox="0 0 8 8" aria-hidden="true"><circle cx="4" cy="4" r="3.6" '
        f'style="fill:var(--hue-{look.hue})"/></svg>'
    )
