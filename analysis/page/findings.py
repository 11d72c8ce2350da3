"""What a study found, first: one sentence per space, and how far each ranking agrees with the one that matters."""

import html
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.cells import FEWEST
from analysis.comparison.keys import SCORE, columns
from analysis.drawing.palette import Looks
from analysis.statistics.bootstrap import DEGENERATE
from analysis.tables import text

_FEW = 20  # architectures, below which an interval is too wide to act on
_MOST = 12  # pairs that are drawn below a sentence

Pair = tuple[Any, ...]
Ceilings = Mapping[Pair, float]


def pair_key(line: Any) -> Pair:
    """A pair of cells, whichever of the two is x."""
    sides = [tuple(getattr(line, name) for name in columns(side)) for side in "xy"]
    return (line.space, *sorted(sides))


def ceilings(table: pd.DataFrame) -> dict[Pair, float]:
    """The ceiling of each pair, of `ceiling`."""
    return {pair_key(line): line.ceiling for line in text.each(table)}


def findings(found: pd.DataFrame, ceilings: Ceilings, looks: Looks) -> str:
    """One card per space of what `correlate` gives; `ceilings` are the rho that the noise of seeds allows, by pair."""
    cards = [_card(str(space), lines, ceilings, looks) for space, lines in found.groupby("space", sort=True)]
    return f'<div class="findings">{"".join(cards)}</div>' if cards else ""


def _card(space: str, lines: pd.DataFrame, ceilings: Ceilings, looks: Looks) -> str:
    shown = _of_interest(lines).sort_values("rho", ascending=False, kind="stable")
    scores = shown["x_method"] == SCORE
    if scores.any() and not scores.all():
        return _both(space, lines, shown, ceilings, looks)
    shown = shown.sort_values("no_signal", key=lambda why: why != "", kind="stable")  # those without signal last
    drawn = shown.head(_MOST)
    more = len(lines) - len(drawn)
    note = f'<p class="note">The matrix below has all {len(lines)} pairs.</p>' if more else ""
    if shown["rho"].notna().any():
        xs, ys, _ = text.brief_names(shown)
        each = zip(text.each(shown), xs, ys, strict=True)
        for why in dict.fromkeys(_why(line, x, y) for line, x, y in each if math.isnan(line.rho)):
            note += f'<p class="note">{html.escape(why[:1].upper() + why[1:])}.</p>'
    if absent := _absent(shown):
        note += f'<p class="note">No signal, so no finding: {html.escape("; ".join(absent))}.</p>'
    forest = _forest(drawn, ceilings, looks) if drawn["rho"].notna().any() else ""
    title = html.escape(names.space_name(space))
    return f'<section class="finding"><h3>{title}</h3><p class="says">{_sentence(shown)}</p>{forest}{note}</section>'


def _both(space: str, lines: pd.DataFrame, shown: pd.DataFrame, ceilings: Ceilings, looks: Looks) -> str:
    """The card of a space with trainings and scores without training as proxies: a sentence and a forest of each."""
    parts = []
    for scores in (False, True):
        some = shown[(shown["x_method"] == SCORE) == scores]
        some = some.sort_values("no_signal", key=lambda why: why != "", kind="stable")
        drawn = some.head(_MOST)
        forest = _forest(drawn, ceilings, looks) if drawn["rho"].notna().any() else ""
        parts.append(f'<p class="says">{_sentence(some, "scores without training" if scores else "")}</p>{forest}')
        if len(some) > len(drawn):
            parts.append(f'<p class="note">Drawn: the {len(drawn)} with the highest ρ of {len(some)}.</p>')
        if absent := _absent(some):
            parts.append(f'<p class="note">No signal, so no finding: {html.escape("; ".join(absent))}.</p>')
    parts.append(f'<p class="note">correlations.csv has all {len(lines):,} pairs.</p>')
    title = html.escape(names.space_name(space))
    return f'<section class="finding"><h3>{title}</h3>{"".join(parts)}</section>'


def _absent(lines: pd.DataFrame) -> list[str]:
    """The cells without signal, each with the reason: "jigsaw: not above chance (4.2 % on 384 test images)"."""
    xs, ys, _ = text.brief_names(lines)
    found: dict[str, None] = {}
    for line, x, y in zip(text.each(lines), xs, ys, strict=True):
        for side, colon, why in text.causes(line.no_signal):
            found[f"{x if side == 'x' else y}{colon}{why}"] = None
    return list(found)


def _of_interest(lines: pd.DataFrame) -> pd.DataFrame:
    """The pairs that a study of proxies is about: a label-free task or a score without training with a training on
    `cls`, on one dataset where there are such, else across; else all pairs with a training; else all."""
    x, y = ((lines[f"{s}_task"] == "cls") & (lines[f"{s}_method"] != SCORE) for s in "xy")
    same = lines["x_dataset_id"] == lines["y_dataset_id"]
    trained = lines["y_method"] != SCORE  # y is trained wherever one side is
    for wanted in ((x != y) & same, x != y, x | y, trained):
        if wanted.any():
            return lines[wanted]
    return lines


def _sentence(shown: pd.DataFrame, kind: str = "") -> str:
    """ "Rotation agrees well with classification on CIFAR-10, best of 3: rho = 0.87 [0.84, 0.90], n = 498." """
    sound = shown[shown["no_signal"] == ""]
    if sound.empty and shown["rho"].notna().any():
        return "Nothing was found: no pair has signal in both of its rankings."
    shown = shown if sound.empty else sound
    line = next(text.each(shown))
    xs, ys, dataset = text.brief_names(shown)
    x, y = xs[0], ys[0]
    where = f" on {dataset}" if dataset else ""
    why = _why(line, x, y)
    closest, x = x, f"The score {x}" if kind else x[:1].upper() + x[1:]
    if math.isnan(line.rho):
        return html.escape(f"{x} and {y}{where}: nothing can be said{_yet(line)}, as {why}.")
    value, bounds = names.with_interval(line.rho, line.rho_low, line.rho_high)
    numbers = f"ρ = {value}" + ("" if math.isnan(line.rho_low) else f" {bounds}")
    one_target, many = len(set(ys)) == 1, len(shown)
    best = f", the best of {many} {kind or ('proxies' if one_target else 'pairs')}" if many > 1 else ""
    says = f"{x} {_verb(line)} {y}{where}{best}: "
    if many > 1 and one_target and line.rho_low <= 0:
        says = f"None of {many} {kind or 'proxies'} agrees clearly with {y}{where}. The closest is {closest}: "
    few = "" if line.n >= _FEW else " Preliminary: few architectures."
    return f"{html.escape(says)}<b>{html.escape(numbers)}</b>, n\u00a0=\u00a0{line.n:,}.{few}"


def _verb(line: Any) -> str:
    """In words no stronger than the interval."""
    if abs(line.rho) == 1 and line.interval_method == DEGENERATE:
        return "ranks exactly as" if line.rho > 0 else "ranks exactly contrary to"
    if math.isnan(line.rho_low):
        return "goes with" if line.rho > 0 else "goes against"
    if line.rho_low > 0:
        return "agrees well with" if line.rho >= 0.7 else "agrees with" if line.rho >= 0.4 else "agrees weakly with"
    return "ranks contrary to" if line.rho_high < 0 else "shows no clear agreement with"


def _yet(line: Any) -> str:
    """Whether more architectures may help."""
    return " yet" if line.n < FEWEST else ""


def _why(line: Any, x: str, y: str) -> str:
    """Why a pair has no rho: too few architectures, or a cell in which nothing can be ranked; x and y are its names."""
    if line.n < FEWEST:
        return f"{'only ' if line.n else ''}{names.many(line.n, 'architecture')} can be compared"
    cells = {"x": x, "y": y}
    causes = text.causes(str(line.reason))
    return " and ".join(f"{cause} in {cells.get(side, side)}" for side, _, cause in causes) or "ρ is not defined"


def _forest(lines: pd.DataFrame, ceilings: Ceilings, looks: Looks) -> str:
    """rho as a point and its interval as a line, all pairs on one scale."""
    lowest = lines[["rho", "rho_low"]].min().min()
    left = 0.0 if math.isnan(lowest) or lowest >= 0 else -0.5 if lowest >= -0.5 else -1.0
    ticks = np.arange(left, 1.01, 0.25 if left == 0 else 0.5)

    def at(value: float) -> str:
        return f"{(value - left) / (1 - left) * 100:.1f}%"

    grid = "".join(f'<s style="left:{at(tick)}"></s>' for tick in ticks[1:-1])
    rows, limited = [], False
    xs, ys, _ = text.brief_names(lines)
    one_target = len(set(ys)) == 1
    for line, x, y in zip(text.each(lines), xs, ys, strict=True):
        marks, (value, bounds) = grid, names.with_interval(line.rho, line.rho_low, line.rho_high)
        if not math.isnan(most := ceilings.get(pair_key(line), math.nan)):
            marks += f'<u style="left:{at(min(most, 1.0))}"></u>'
            limited = True
        if not math.isnan(line.rho_low):
            wide = f"{(line.rho_high - line.rho_low) / (1 - left) * 100:.1f}%"
            marks += f'<i style="left:{at(line.rho_low)};width:{wide}"></i>'
            value += f" {bounds}"
        if not math.isnan(line.rho):
            marks += f'<b style="left:{at(line.rho)}"></b>'
        muted = " muted" if line.no_signal else ""
        value = "no signal" if muted else value
        task = line.x_task if line.x_task != "cls" or line.x_method == SCORE else line.y_task
        rows.append(
            f'<span class="name{muted}">{html.escape(x if one_target else f"{x} with {y}")}</span>'
            f'<span class="track{muted}" style="--hue:var(--hue-{looks.task(task).hue})">{marks}</span>'
            f'<span class="value{muted}">{html.escape(value)}</span>'
        )
    head = html.escape(f"ρ with {ys[0]}") if one_target else "ρ"
    scale = "".join(f'<span style="left:{at(tick)}">{names.fixed(tick)}</span>' for tick in ticks)
    note = (
        '<p class="note">Vertical mark: noise ceiling, the highest ρ to expect with this noise of the seeds.</p>'
        * limited
    )
    rows.append(f'<span class="name soft">{head}</span><span class="scale">{scale}</span><span></span>')
    return f'<div class="forest">{"".join(rows)}</div>{note}'
