"""The report's part on how alike the cells of independent searches are."""

import html
import math

import pandas as pd

from analysis import names
from analysis.statistics.similarity import ALGORITHMS, OBJECTIVES, SEEDS
from analysis.tables import text
from analysis.tables.search_matrix import objectives

_KINDS = {SEEDS: "other seeds", ALGORITHMS: "other algorithms", OBJECTIVES: "other objectives"}


def similar(table: pd.DataFrame) -> str:
    """The agreement of searches beside that of random cells."""
    if table.empty:
        return ""
    rows = []
    for line in text.each(table):
        pair = f"{names.task_name(line.objective_task)}, {line.algorithm}" if line.algorithm else "all searches"
        name = f"{pair}: {_KINDS[line.between]}" if not line.algorithm else pair
        value = names.fixed(line.agreement)
        value += "" if math.isnan(line.agreement_p) else f", p {text.p_value(line.agreement_p)}"
        rows.append(_row(name, line) + f'<span class="value">{html.escape(value)}</span>')
    ticks = "".join(f'<span style="left:{100 * v:.0f}%">{names.fixed(v)}</span>' for v in (0, 0.25, 0.5, 0.75, 1))
    rows.append(f'<span class="name soft">share of equal edges</span><span class="scale">{ticks}</span><span></span>')
    note = (
        "The mean share of equal edges of two found cells: dot and interval (jackknife over searches). Grey: where as "
        "many random cells lie; mark: their mean. p is that of random cells being as much alike, not corrected for the "
        "number of lines. Between algorithms and objectives single random cells stand for all searches that share one."
    )
    shown = pd.DataFrame({"space": table["space"].map(names.space_name), "between": table["between"]})
    shown["objective"], shown["algorithm"] = objectives(table, spelled=True), table["algorithm"]
    shown["searches"], shown["distinct cells"], shown["pairs"] = table["n"], table["distinct"], table["pairs"]
    for name, words in (("agreement", "equal edges"), ("edits", "edits")):
        ends = zip(*(table[f"{name}{end}"] for end in ("", "_low", "_high")), strict=True)
        both = [names.with_interval(*line) for line in ends]
        shown[words] = [v if bounds == names.NONE else f"{v} {bounds}" for v, bounds in both]
        ends = zip(*(table[f"{name}_random{end}"] for end in ("", "_low", "_high")), strict=True)
        shown[f"{words}, random"] = [" ".join(names.with_interval(*line)) for line in ends]
        shown["p" if name == "agreement" else "p (edits)"] = table[f"{name}_p"].map(text.p_value)
    shown["p (Holm)"] = table["agreement_p_holm"].map(text.p_value)
    shown["note"] = [", ".join(filter(None, both)) for both in zip(table["reason"], table["rule"], strict=True)]
    whole = f"<details><summary>All numbers</summary>\n{text.html_table(shown)}</details>"
    return f'{_note(note)}<div class="forest similar">{"".join(rows)}</div>{whole}'


def _row(name: str, line: object) -> str:
    value, low, high, mean, first, last = (
        getattr(line, f"agreement{end}") for end in ("", "_low", "_high", "_random", "_random_low", "_random_high")
    )
    marks = "".join(f'<s style="left:{tick}%"></s>' for tick in (25, 50, 75))
    if not math.isnan(first):
        marks += f'<em style="left:{100 * first:.1f}%;width:{100 * (last - first):.1f}%"></em>'
    if not math.isnan(mean):
        marks += f'<u style="left:{100 * mean:.1f}%"></u>'
    if not math.isnan(low):
        marks += f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    marks += f'<b style="left:{100 * value:.1f}%"></b>'
    return (
        f'<span class="name">{html.escape(name)}</span><span class="track" style="--hue:var(--accent)">{marks}</span>'
    )


def _note(words: str) -> str:
    return f'<p class="note">{html.escape(words)}</p>\n'
