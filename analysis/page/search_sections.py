"""The report's section on searches: what they found, how good that is, how it formed, and how alike it is."""

import html
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.units import scale
from analysis.drawing.palette import AT_RANDOM, Look
from analysis.drawing.search_looks import SearchLooks
from analysis.page.cell_svg import cells_svg
from analysis.page.line_charts import Chart, Series, charts
from analysis.page.similarity_section import similar
from analysis.rows.graph import read
from analysis.statistics.search_curves import skips_of
from analysis.statistics.search_targets import TargetScores
from analysis.tables import text
from analysis.tables.search_matrix import cells_called, objectives, search_matrix

_MOST_CELLS = 12  # that are drawn
_MOST_LINES = 24  # of single searches in a chart
_MOST_PANELS = 12
_MOST_ROWS = 40  # of the table of searches that is open


@dataclass(frozen=True)
class SearchTables:
    """The tables of the section, of one set of searches."""

    searches: pd.DataFrame
    targets: pd.DataFrame
    scores: list[TargetScores]  # of random cells and found ones, by target
    curves: pd.DataFrame
    similarity: pd.DataFrame
    graphs: dict[str, str]  # of the found cells, by text


def searches(tables: SearchTables) -> str:
    """All of it; nothing where the rows have no search."""
    if tables.searches.empty:
        return ""
    looks = SearchLooks(tables.searches)
    parts = [
        ("", _targets(tables.targets) + _at_chance(tables.searches)),
        ("Among random cells", _among_random(tables.scores, looks)),
        ("The searches", _lines(tables.searches)),
        ("Cells that were found", _cells(tables)),
        ("How the architectures formed", _formed(tables.curves, looks)),
        ("Do independent searches agree?", similar(tables.similarity)),
    ]
    return "\n".join(f"<h3>{html.escape(title)}</h3>" * bool(title) + part for title, part in parts if part)


def _targets(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    note = (
        "Rows: objective and algorithm of the search; columns: where what was found has been trained, or looked up. "
        "Mean ± standard deviation over searches; of random cells over cells. In parentheses: how many, where some "
        "have no score."
    )
    return _note(note) + text.html_table(search_matrix(table, spelled=True)) + _means(table)


def _at_chance(table: pd.DataFrame) -> str:
    """A note on objectives with labels that cannot be learned: how to read what their searches found."""
    own = table.drop_duplicates(["space", "trial_id"])
    own = own[own.groupby(["objective_dataset_id", "objective_task"])["at_chance"].transform("all")]
    if own.empty:
        return ""
    which = ", ".join(dict.fromkeys(_objectives(own)))
    return _note(
        f"Labels that cannot be learned: {which}. Where the label of an image does not depend on it, those of the "
        "images that train the architecture weights cannot be predicted from the others. The loss there cannot fall "
        "below ln K in expectation (K classes), and its gradient rewards low confidence, not fit. Compare such "
        "searches with ones that use all images for both (portion = 1), and with random cells."
    )


def _means(table: pd.DataFrame) -> str:
    """The intervals of the means, and how large the cells are."""
    shown = pd.DataFrame({"objective": objectives(table, spelled=True), "algorithm": table["algorithm"]})
    if table["space"].nunique() > 1:
        shown.insert(0, "space", table["space"].map(names.space_name))
    if len(table[["target_dataset_id", "target_task", "target_recipe_id"]].drop_duplicates()) > 1:
        shown["target"] = cells_called(table, "target", spelled=True)
    shown["n"] = table["n"]
    factors = [scale(np.array([line.mean], float), line.target_metric).factor for line in text.each(table)]
    shown["mean"] = [names.fixed(mean * f) for mean, f in zip(table["mean"], factors, strict=True)]
    ends = zip(table["mean_low"], table["mean_high"], factors, strict=True)
    shown["interval"] = [names.bounds(names.fixed(low * f), names.fixed(high * f)) for low, high, f in ends]
    shown["percentile"] = [names.fixed(v, 1) for v in table["percentile"]]
    shown["parameters"] = [names.NONE if pd.isna(v) else f"{v:,.0f}" for v in table["params"]]
    shown["skips"] = [names.fixed(v, 1) for v in table["skips"]]
    note = (
        "Means over searches, and over random cells: the interval of the mean (Student's t), the percentile among "
        "random cells, parameters and skip connections of the cells."
    )
    return _note(note) + text.html_table(shown)


def _among_random(scores: list[TargetScores], looks: SearchLooks) -> str:
    """The distribution of random cells on each target, and on it the cells that were found."""
    panels = []
    for one in scores[:_MOST_PANELS]:
        known = np.sort(one.random[np.isfinite(one.random)])
        if not len(known):
            continue
        shown = scale(np.r_[known, one.lines["score"].to_numpy(float)], one.label["metric"])
        share = np.arange(1, len(known) + 1) / len(one.random) + (len(one.random) - len(known)) / len(one.random)
        series = [Series("random cells", Look(AT_RANDOM.hue), known * shown.factor, share, steps=True)]
        for (_, task), lines in one.lines.groupby(["objective_dataset_id", "objective_task"], sort=False):
            called = [
                f"{_named(line)}: {names.fixed(line.score * shown.factor)}, percentile {line.percentile:.0f}"
                for line in text.each(lines)
            ]
            height = lines["percentile"].to_numpy(float) / 100
            look = looks.task(str(task))
            series.append(
                Series(names.task_name(str(task)), look, lines["score"] * shown.factor, height, called=called)
            )
        label = f"{names.dataset_name(one.label['dataset'])} {names.task_name(one.label['task'])}"
        title = f"{names.space_name(one.space)}: {label}, {names.many(len(one.random), 'random cell')}"
        unit = shown.unit.strip(" ,") or "score"
        panels.append(Chart(title, unit, "share of random cells", series, low=0.0, high=1.0))
    note = (
        "Line: the share of random cells that score at most so much. Dots: cells that were found, by the objective of "
        "the search, at the share of random cells below them."
    )
    return _note(note) + drawn if (drawn := charts(panels)) else ""


def _lines(table: pd.DataFrame) -> str:
    shown = pd.DataFrame({"space": table["space"].map(names.space_name)}) if table["space"].nunique() > 1 else None
    shown = pd.DataFrame(index=table.index) if shown is None else shown
    shown["objective"] = _objectives(table)
    shown["algorithm"], shown["seed"] = table["algorithm"], table["seed"]
    if len(table[["target_dataset_id", "target_task", "target_recipe_id"]].drop_duplicates()) > 1:
        shown["target"] = cells_called(table, "target", spelled=True)
    each = list(text.each(table))
    factors = [scale(np.array([line.score], float), line.target_metric).factor for line in each]
    both = [(names.fixed(line.score * f), names.fixed(line.std * f)) for line, f in zip(each, factors, strict=True)]
    shown["score"] = [value if deviation == names.NONE else f"{value} ± {deviation}" for value, deviation in both]
    shown["seeds"] = table["n_seeds"]
    shown["percentile"] = [names.fixed(v, 1) for v in table["percentile"]]
    ends = zip(table["percentile_low"], table["percentile_high"], strict=True)
    shown["interval"] = [names.bounds(names.fixed(low, 1), names.fixed(high, 1)) for low, high in ends]
    shown["rank"] = [names.NONE if pd.isna(line.rank) else f"{line.rank} of {line.n + 1}" for line in each]
    shown["parameters"] = [names.NONE if pd.isna(line.params) else f"{line.params:,}" for line in each]
    shown["MACs, M"] = [names.NONE if pd.isna(line.macs) else names.significant(line.macs / 1e6) for line in each]
    shown["skips"] = [names.NONE if pd.isna(v) else str(v) for v in table["skips"]]
    shown["entropy"] = table["entropy"].map(names.fixed)
    if (table["reason"] != "").any():
        shown["note"] = table["reason"]
    note = (
        "Score and standard deviation are over the seeds of the found cell. Percentile: the share of random cells "
        "below it, with the exact binomial interval; random cells are those that no search found. Entropy: of the "
        "architecture weights after the last epoch, in nats per edge; equal weights have "
        f"{names.fixed(table['entropy_most'].max())}. Rank: among the random cells and itself."
    )
    if len(shown) <= _MOST_ROWS:
        return _note(note) + text.html_table(shown)
    return f"<details><summary>{len(shown)} lines</summary>\n{_note(note)}{text.html_table(shown)}</details>"


def _cells(tables: SearchTables) -> str:
    """Each distinct cell once, those of the most searches first."""
    found = tables.searches[tables.searches["found"].notna()].drop_duplicates(["space", "trial_id"])
    parts = []
    groups = sorted(found.groupby(["space", "found"], sort=False), key=lambda one: -len(one[1]))
    for (_, arch), lines in groups[:_MOST_CELLS]:
        if drawn := cells_svg(read(tables.graphs.get(str(arch)))):
            by = "; ".join(_named(line) for line in text.each(lines))
            parts.append(f"<figure><figcaption>{html.escape(names.short(by, 160))}</figcaption>{drawn}</figure>")
    if not parts:
        return ""
    some = (
        f"{len(parts)} of {names.many(len(groups), 'cell')}"
        if len(groups) > len(parts)
        else names.many(len(parts), "cell")
    )
    return f'<details><summary>{some}</summary>\n<div class="found">{"".join(parts)}</div></details>'


def _formed(curves: pd.DataFrame, looks: SearchLooks) -> str:
    """Entropy, skip connections, and the weights of operations."""
    panels = [*_entropy(curves, looks), *_skips(curves, looks)]
    parts = []
    if drawn := charts(panels):
        parts.append(
            _note(
                "After each epoch: the entropy of an edge's architecture weights (at the top: equal weights), and the "
                "skip connections of the cell that would have been found. Thick: means over seeds; thin: single "
                "searches."
            )
            + drawn
        )
    weighed = curves[curves["weight"].notna()]
    if drawn := charts(list(_weights(weighed))[:_MOST_PANELS]):
        parts.append(_note("The weight of each operation, the mean over edges and searches:") + drawn)
    return "\n".join(parts)


def _entropy(curves: pd.DataFrame, looks: SearchLooks) -> Iterator[Chart]:
    known = curves[curves["entropy"].notna()].drop_duplicates(["space", "trial_id", "epoch", "cell"])
    known = known.groupby([*_SEARCH, "epoch"], as_index=False, sort=False)[["entropy", "entropy_most"]].mean()
    for space, lines in known.groupby("space", sort=False):
        series = _by_group(lines, "entropy", looks)
        most = float(lines["entropy_most"].max())
        title = f"{names.space_name(str(space))}: entropy"
        yield Chart(title, "epoch", "entropy (nats)", series, high=most * 1.03, whole=True)


def _skips(curves: pd.DataFrame, looks: SearchLooks) -> Iterator[Chart]:
    for space, lines in skips_of(curves).groupby("space", sort=False):
        series = _by_group(lines, "skips", looks)
        yield Chart(
            f"{names.space_name(str(space))}: skip connections",
            "epoch",
            "skip connections",
            series,
            low=0.0,
            whole=True,
        )


_SEARCH = ["space", "objective_dataset_id", "objective_dataset", "objective_task", "algorithm", "seed", "trial_id"]


def _by_group(lines: pd.DataFrame, value: str, looks: SearchLooks) -> list[Series]:
    """A thin line per search, and a thick one per objective and algorithm."""
    thin, thick = [], []
    for (dataset_id, dataset, task, algorithm), group in lines.groupby(_SEARCH[1:5], sort=False):
        look, name = looks.group(dataset_id, task, algorithm), f"{looks.called(dataset, task)}, {algorithm}"
        for seed, one in group.groupby("seed", sort=False):
            thin.append(Series(f"{name}, seed {seed}", look, one["epoch"], one[value], thin=True))
        mean = group.groupby("epoch")[value].mean()
        thick.append(Series(name, look, mean.index.to_numpy(), mean.to_numpy()))
    return [*(thin if len(thin) <= _MOST_LINES else []), *thick]


def _weights(curves: pd.DataFrame) -> Iterator[Chart]:
    """One panel per objective and algorithm, one line per operation."""
    ops = list(dict.fromkeys(curves["operation"]))
    for (space, dataset, task, algorithm), lines in curves.groupby(
        ["space", "objective_dataset", "objective_task", "algorithm"], sort=False
    ):
        series = []
        for op, one in lines.groupby("operation", sort=False):
            mean = one.groupby("epoch")["weight"].mean()
            series.append(Series(str(op), Look(ops.index(op) % 10, ops.index(op) // 10), mean.index, mean.to_numpy()))
        where = f"{names.dataset_name(str(dataset))} {names.task_name(str(task))}"
        title = f"{names.space_name(str(space))}: {algorithm} on {where}"
        yield Chart(title, "epoch", "weight", series, whole=True)


def _objectives(table: pd.DataFrame) -> list[str]:
    return objectives(table, spelled=True)


def _named(line: object) -> str:
    task, algorithm, seed = (getattr(line, name) for name in ("objective_task", "algorithm", "seed"))
    return f"{names.task_name(task)}, {algorithm}, seed {seed}"


def _note(words: str) -> str:
    return f'<p class="note">{html.escape(words)}</p>\n'
