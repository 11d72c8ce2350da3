"""The correlation matrix of a space's cells as an HTML table: rho, its interval, and how well a cell repeats itself."""

import html
import math
from typing import Any

import pandas as pd

from analysis import names
from analysis.comparison.keys import SCORE, cell_keys
from analysis.tables import text

_MOST_ROWS = 20  # scores without training; more are folded
_MOST_PAIRS = 91  # of scores without training, of 14, that are drawn where there is no training


def matrices(found: pd.DataFrame, reliability: pd.DataFrame) -> str:
    """One table per space of what `correlate` gives; `reliability` may be empty."""
    own: dict[Any, float] = {}
    if len(reliability):
        single = reliability[reliability["k"] == 1]
        cells = zip(single["space"], cell_keys(single), single["reliability"], strict=True)
        own = {(space, *key): value for space, key, value in cells}
    parts, scores = [], False
    for space, lines in found.groupby("space", sort=True):
        untrained = lines["x_method"] == SCORE
        trained = lines[~untrained]
        shown = [(trained, "", _matrix)] if len(trained) else []
        if untrained.any():
            against = lines[untrained & (lines["y_method"] != SCORE)]
            few = lines[untrained & (lines["y_method"] == SCORE)]
            scores |= len(against) > 0
            shown += [(against, ": scores against trainings", _against)] if len(against) else []
            shown += [(few, ": scores", _matrix)] if len(against) == 0 and len(few) <= _MOST_PAIRS else []
        for some, what, draw in shown:
            n = sorted({*some["n"]})
            counted = f"n = {n[0]:,}" if len(n) == 1 else f"n = {n[0]:,} to {n[-1]:,}"
            dataset = text.brief_names(some)[2]
            title = names.space_name(str(space)) + (f" on {dataset}" if dataset else "") + what
            parts.append(f"<div><h3>{html.escape(title)}, {counted}</h3>\n{draw(str(space), some, own)}</div>")
    note = "ρ with its interval; the stronger the colour, the closer to 1 (or, in the other colour, to −1)."
    if (found["no_signal"] != "").any():
        note += " Without colour: one of the two rankings is no more than luck (section Signal)."
    if any(not math.isnan(value) for value in own.values()):
        note += " On the diagonal: ρ between two seeds of the same cell."
    if scores:
        note += " Pairs of two scores without training are in correlations.csv."
    return f'<div class="matrices">{"".join(parts)}</div>\n<p class="note">{note}</p>' if parts else ""


def _against(space: str, lines: pd.DataFrame, own: dict[Any, float]) -> str:
    """Scores without training as rows, trainings as columns."""
    sides = [cell_keys(lines, side) for side in "xy"]
    xs, ys, _ = text.brief_names(lines)
    rows, columns = (dict(zip(keys, called, strict=True)) for keys, called in zip(sides, (xs, ys), strict=True))
    values = dict(zip(zip(*sides, strict=True), text.each(lines), strict=True))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns.values())
    body = "\n".join(
        f"<tr><th>{html.escape(name)}</th>{''.join(_cell(values.get((row, column))) for column in columns)}</tr>"
        for row, name in rows.items()
    )
    table = f"<thead><tr><th></th>{head}</tr></thead>\n<tbody>{body}</tbody>"
    drawn = f'<div class="table"><table class="matrix">\n{table}</table></div>'
    few = len(rows) <= _MOST_ROWS
    return drawn if few else f"<details><summary>All {len(rows)} scores</summary>\n{drawn}</details>"


def _matrix(space: str, lines: pd.DataFrame, own: dict[Any, float]) -> str:
    called: dict[Any, str] = {}
    values: dict[Any, Any] = {}
    sides = [cell_keys(lines, side) for side in "xy"]
    for cells, brief in zip(sides, text.brief_names(lines), strict=False):
        called |= dict(zip(cells, brief, strict=True))
    for line, *pair in zip(text.each(lines), *sides, strict=True):
        values[frozenset(pair)] = line
    # x comes before y in the order of a space's cells.
    order = list(dict.fromkeys([*sides[0], *sides[1]]))
    diagonal = any(not math.isnan(own.get((space, *key), math.nan)) for key in order)
    head = "".join(f"<th>{html.escape(called[key])}</th>" for key in (order if diagonal else order[:-1]))
    rows = []
    for k, row in enumerate(order):
        shown = [_cell(values.get(frozenset((row, column)))) for column in order[:k]]
        shown += [_own(own.get((space, *row), math.nan))] * diagonal
        if shown:
            rows.append(f"<tr><th>{html.escape(called[row])}</th>{''.join(shown)}</tr>")
    return f'<div class="table"><table class="matrix">\n<thead><tr><th></th>{head}</tr></thead>\n<tbody>' + (
        "\n".join(rows) + "</tbody></table></div>"
    )


def _cell(line: Any) -> str:
    if line is None or math.isnan(line.rho):
        return "<td>–</td>"
    kind = "agree" if line.rho >= 0 else "against"
    value, bounds = names.with_interval(line.rho, line.rho_low, line.rho_high)
    if line.no_signal:
        return f'<td class="muted" title="{html.escape(line.no_signal)}"><b>{value}</b><small>no signal</small></td>'
    interval = "" if math.isnan(line.rho_low) else f"<small>{bounds}</small>"
    much = round(abs(line.rho) ** 1.5 * 60)
    return f'<td class="{kind}" style="--much:{much}%"><b>{value}</b>{interval}</td>'


def _own(value: float) -> str:
    return f'<td class="own">{"" if math.isnan(value) else f"<b>{names.fixed(value)}</b><small>two seeds</small>"}</td>'
