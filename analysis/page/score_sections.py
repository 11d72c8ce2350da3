"""The report's sections on scores without training: what they cost, and whether they say more than the size of the
networks, need labels, or are better together."""

import html
import math
from typing import Any

import pandas as pd

from analysis import names
from analysis.comparison.keys import SCORE, cell_keys, columns
from analysis.drawing.palette import Looks
from analysis.page.cost_chart import cost
from analysis.statistics.combine import LINEAR
from analysis.tables import text
from analysis.tables.brief import own_dataset

_NAMED = 6  # scores in a sentence
_WORDS = {"params": "parameters", "macs": "multiply-adds"}


def scores(tables: dict[str, pd.DataFrame], found: pd.DataFrame, looks: Looks) -> str:
    """All of it, of the tables `beyond_size`, `agreement_cost`, `label_free` and `combine_proxies`, and of what
    `correlate` gives; nothing where the rows have no score without training."""
    parts: list[tuple[str, str]] = [
        ("Agreement against cost", cost(tables["agreement_cost"], looks)),
        ("Beyond the size of the networks", beyond_size(tables["beyond_size"])),
        ("Under label-free tasks", label_free(tables["label_free"], found)),
        ("Together", combined(tables["combine_proxies"])),
    ]
    sections = (f"<h3>{html.escape(title)}</h3>\n{content}" for title, content in parts if content)
    return _missing(tables["agreement_cost"]) + "\n".join(sections)


def _missing(table: pd.DataFrame) -> str:
    """Which scores are missing for how many architectures, and why."""
    table = table[(table["proxy_method"] == SCORE) & (table["left_out"] != "")]
    if table.empty:
        return ""
    xs, _, _ = text.brief_names(text.as_pairs(table))
    whys = (words.removeprefix("proxy: ") for words in table["left_out"])
    each = dict.fromkeys(f"{name}, {why}" for name, why in zip(xs, whys, strict=True))
    if len(each) <= _NAMED:
        return _note(f"Missing, so left out where they are compared: {'; '.join(each)}.")
    lines = "".join(f"<li>{html.escape(words)}</li>" for words in each)
    summary = f"{len(each)} cells lack scores, which are left out where they are compared"
    return f"<details><summary>{summary}</summary>\n<ul>{lines}</ul></details>\n"


def beyond_size(table: pd.DataFrame) -> str:
    """One sentence for each target, and the table."""
    table = own_dataset(table[(table["proxy_method"] == SCORE) & table["rho_params"].notna()])
    if table.empty:
        return ""
    parts = []
    for _, lines in table.groupby(["space", *columns("target")], sort=False):
        parts.append(f"<p>{html.escape(no_better(lines))}</p>")
    xs, ys, _ = text.brief_names(text.as_pairs(table))
    shown = pd.DataFrame({"space": table["space"].map(names.space_name), "proxy": xs, "target": ys, "n": table["n"]})
    shown["s per arch."] = table["proxy_seconds"].map(names.significant)
    shown["ρ"] = _intervals(table, "rho")
    for size, words in _WORDS.items():
        shown[f"ρ given {words}"] = _intervals(table, f"rho_given_{size}")
        shown[f"ρ less that of {words}"] = _intervals(table, f"difference_{size}")
    shown["p (Holm)"] = table["p_params_holm"].map(text.p_value)
    note = (
        "ρ given parameters: the partial rank correlation, what a score says beyond them. ρ less that of parameters: "
        "which of the two predicts better, over the same architectures, by a paired bootstrap; p is that of the "
        "difference to parameters, corrected for all lines. Intervals are not corrected for the number of lines."
    )
    return (
        "".join(parts)
        + f"<details><summary>All scores as a table</summary>\n{_note(note)}{text.html_table(shown)}</details>"
    )


def no_better(lines: pd.DataFrame) -> str:
    """Which scores are not shown to predict one target better than counting parameters, in one sentence."""
    xs, ys, dataset = text.brief_names(text.as_pairs(lines))
    lines = lines.assign(called=xs)
    target = ys[0] + (f" on {dataset}" if dataset else "")
    space = names.space_name(str(lines["space"].iloc[0]))
    lines = lines[~lines["reason"].str.contains("ranks as")]  # the number of parameters itself
    sorted_ = lines.sort_values("difference_params", ascending=False)
    clear = sorted_["difference_params_low"] > 0
    better, other = sorted_[clear], sorted_[~clear]
    alone, macs = (names.fixed(lines[f"rho_{size}"].median()) for size in ("params", "macs"))
    many = names.many(len(lines), "score")
    says = f"{space}: {len(other)} of {many} without training are not better than the number of parameters "
    says += f"(ρ = {alone}) as predictors of {target}"
    says += f": {_listed(other)}" if len(other) else ""
    says += f"; better are {_listed(better)}" if len(better) else "; none is better"
    if lines["rho_macs"].notna().any():
        below = int((~(lines["difference_macs_low"] > 0)).sum())
        says += f". Not better than multiply-adds (ρ = {macs}) are {below}"
    return f"{says}. In brackets: intervals of the difference of ρ."


def _listed(lines: pd.DataFrame) -> str:
    """ "nwot +0.08 [0.05, 0.11], ... and 3 more"."""
    words = []
    for line in text.each(lines.head(_NAMED)):
        ends = (line.difference_params, line.difference_params_low, line.difference_params_high)
        value, bounds = names.with_interval(*ends)
        value = f"+{value}" if line.difference_params > 0 and not value.startswith("−") else value
        words.append(f"{line.called} {value}" + ("" if math.isnan(ends[1]) else f" {bounds}"))
    more = len(lines) - len(words)
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")


def label_free(table: pd.DataFrame, found: pd.DataFrame) -> str:
    """rho of a score under each task with each target, and of the score between its tasks, both coloured."""
    if table.empty:
        return ""
    parts = []
    for (space, *_), lines in table.groupby(["space", *columns("target"), "proxy_dataset_id"], sort=False):
        target = text.brief_names(text.as_pairs(lines))[1][0]
        tasks = _in_order(lines["proxy_task"])
        heads = [names.task_name(task) for task in tasks]
        rows: dict[str, list[Any]] = {}
        for line in text.each(lines):
            row = rows.setdefault(_score(line), [None] * len(tasks))
            row[tasks.index(line.proxy_task)] = (line.rho, line.rho_low, line.rho_high)
        title = f"{names.space_name(str(space))}: ρ with trained {target}, by the task of the score"
        parts.append(_coloured(title, heads, rows))
        parts.append(_between(str(space), lines, tasks, found))
    note = (
        "The same score is computed under each task, of which only classification reads labels. First: how well "
        "it ranks as the trained target does. Then: how far its rankings under two tasks agree."
    )
    labels = _labels_matter(table)
    return _note(note) + f'<div class="matrices">{"".join(parts)}</div>' + labels


def _labels_matter(table: pd.DataFrame) -> str:
    known = table[table["difference"].notna()]
    if known.empty:
        return ""
    worse, better = (known["difference_high"] < 0).sum(), (known["difference_low"] > 0).sum()
    says = (
        f"Of {names.many(len(known), 'score')} under a label-free task {worse:,} rank less well than the same score "
        f"with labels, {better:,} better, and for the others the interval of the difference holds 0, or the two rank "
        "alike."
    )
    xs, ys, _ = text.brief_names(text.as_pairs(known))
    shown = pd.DataFrame({"space": known["space"].map(names.space_name), "score": xs, "target": ys, "n": known["n"]})
    for column, words in (("rho", "ρ"), ("rho_with_labels", "ρ with labels"), ("difference", "difference")):
        shown[words] = _intervals(known, column)
    shown["ρ between the two"] = _intervals(known, "agreement")
    return f"<p>{says}</p><details><summary>With and without labels</summary>\n{text.html_table(shown)}</details>"


def _between(space: str, lines: pd.DataFrame, tasks: list[str], found: pd.DataFrame) -> str:
    """rho of a score under one task with itself under another."""
    inside = found[(found["space"] == space) & (found["x_method"] == SCORE) & (found["y_method"] == SCORE)]
    rho = {
        frozenset(pair): (line.rho, line.rho_low, line.rho_high)
        for line, *pair in zip(text.each(inside), cell_keys(inside, "x"), cell_keys(inside, "y"), strict=True)
    }
    pairs = [(a, b) for k, a in enumerate(tasks) for b in tasks[k + 1 :]]
    rows: dict[str, list[Any]] = {}
    for _, same in lines.groupby(["proxy_metric", "proxy_recipe"], sort=False):
        keys = dict(zip(same["proxy_task"], cell_keys(same, "proxy"), strict=True))
        each = [rho.get(frozenset((keys[a], keys[b]))) if a in keys and b in keys else None for a, b in pairs]
        rows[_score(next(text.each(same)))] = each
    heads = [f"{names.task_name(a)} – {names.task_name(b)}" for a, b in pairs]
    return _coloured(f"{names.space_name(space)}: ρ of a score between two tasks", heads, rows)


def _in_order(tasks: "pd.Series[Any]") -> list[str]:
    """Tasks with `cls` first, then as they come."""
    return sorted(dict.fromkeys(map(str, tasks)), key=lambda task: task != "cls")


def _score(line: Any) -> str:
    """The name of a score, and its recipe's where that has settings of its own."""
    own = str(line.proxy_recipe)
    return f"{line.proxy_metric}, {own}" if own.endswith(")") else str(line.proxy_metric)


def _coloured(title: str, heads: list[str], rows: dict[str, list[Any]]) -> str:
    head = "".join(f"<th>{html.escape(words)}</th>" for words in heads)
    body = "\n".join(
        f"<tr><th>{html.escape(name)}</th>{''.join(map(_cell, cells))}</tr>" for name, cells in rows.items()
    )
    table = f"<thead><tr><th></th>{head}</tr></thead>\n<tbody>{body}</tbody>"
    words = html.escape(title)
    return f'<div><p class="soft">{words}</p><div class="table"><table class="matrix small">{table}</table></div></div>'


def _cell(one: Any) -> str:
    if one is None or math.isnan(one[0]):
        return "<td>–</td>"
    kind, much = "agree" if one[0] >= 0 else "against", round(abs(one[0]) ** 1.5 * 60)
    interval = " ".join(names.with_interval(*one))
    return f'<td class="{kind}" style="--much:{much}%" title="{interval}"><b>{names.fixed(one[0])}</b></td>'


def combined(table: pd.DataFrame) -> str:
    """What several scores reach together, of `combine_proxies`."""
    if table.empty:
        return ""
    shown = pd.DataFrame({"space": table["space"].map(names.space_name)})
    labels = table[[f"target_{part}" for part in ("dataset", "task")]].itertuples(index=False, name=None)
    shown["target"] = [f"{names.dataset_name(str(d))} {names.task_name(str(t))}" for d, t in labels]
    shown["predictor"], shown["n"] = table["predictor"], table["n"]
    shown["ρ"] = _intervals(table, "rho")
    shown["ρ less that of the best single one"] = _intervals(table, "difference")
    shown["of"] = table["of"]
    shown["note"] = table["note"]
    folds = int(table.loc[table["predictor"] == LINEAR, "folds"].max())
    note = (
        f"Fitted or chosen without the architectures that are predicted: {folds} folds, out-of-fold predictions only. "
        "The rank average fits nothing. The best single score by all architectures is chosen on the data that judges "
        "it, so its ρ is too high. Intervals resample architectures with the predictions that they have."
    )
    left = [words for words in dict.fromkeys(table["left_out"]) if words]
    more = _note(f"Left out: {'; '.join(left)}.") if left else ""
    return _note(note) + text.html_table(shown) + more


def _intervals(table: pd.DataFrame, name: str) -> "pd.Series[Any]":
    ends = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
    both = [names.with_interval(*line) for line in ends]
    words = [value if bounds == names.NONE else f"{value} {bounds}" for value, bounds in both]
    return pd.Series(words, index=table.index, dtype="str")


def _note(words: str) -> str:
    return f'<p class="note">{html.escape(words)}</p>\n'
