"""The report's sections: what each says of the rows, as HTML, and nothing where there is nothing to say."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import names
from analysis.comparison import recipes
from analysis.comparison.cells import Comparison
from analysis.comparison.keys import KEY, SCORE, columns
from analysis.comparison.options import Options
from analysis.comparison.units import scale
from analysis.drawing import files
from analysis.drawing.palette import Looks
from analysis.page.line_charts import Chart, Series, charts
from analysis.statistics import counts
from analysis.statistics.bootstrap import DEGENERATE
from analysis.tables import text

_RULES = {
    "score_best": "its best epoch on the test split, as in UnNAS, which is slightly optimistic",
    "score_final": "its last epoch on the test split",
    "all": "Compared: architectures that succeeded, with every seed, in every cell of their space (UnNAS's rule).",
    "pair": "Compared: architectures that succeeded, with every seed, in both cells of the pair.",
    "worst": "A trial without a finite score (it diverged before its first evaluation) makes its architecture rank "
    "below all others, tied with others of that kind; one that diverged later counts with the score it has.",
    "drop": "An architecture with a trial without a finite score (it diverged before its first evaluation) is not "
    "compared; one that diverged later counts with the score it has.",
}
_MOST_PAIRS = 200  # in the page
_MANY = 2000  # architectures


def fewer(comparison: Comparison) -> int:
    """Resamples for what is computed besides rho: fewer for thousands of architectures, which would take minutes and
    whose intervals are narrow."""
    resamples = comparison.options.resamples
    return resamples if comparison.rows["arch"].nunique() <= _MANY else min(resamples, 500)


def lead(df: pd.DataFrame, planned: pd.DataFrame, unplanned: int) -> str:
    """One sentence: how much of the plan is done and how far the rows reach."""
    ok = df.loc[df["status"] == "ok", "trial_id"]
    many = planned["trial_id"].nunique()
    done = f"{ok.nunique():,} of {many:,} planned trials done"
    done = done if many else f"{names.many(ok.nunique(), 'trial')} with a result"
    attempts = names.many(len(df), "attempt")
    if unplanned:
        attempts += f" ({unplanned:,} of trials no longer planned are left out)"
    until = df["finished_at"].max()
    return f"{done}, {attempts}" + ("." if pd.isna(until) else f", the last on {until:%Y-%m-%d %H:%M} UTC.")


def partial(df: pd.DataFrame, planned: pd.DataFrame) -> str:
    """A banner while trials of the plan are missing."""
    many, done = planned["trial_id"].nunique(), df.loc[df["status"] == "ok", "trial_id"].nunique()
    if done >= many:
        return ""
    says = f"Not complete: {done:,} of {many:,} planned trials are done ({100 * done / many:.0f} %)."
    more = (
        "Every number below is of those and may still move; only architectures that have all their trials are compared."
    )
    return f'<p class="partial"><b>{says}</b> {more}<progress value="{done}" max="{many}"></progress></p>'


def graphs(df: pd.DataFrame, planned: pd.DataFrame | None) -> dict[tuple[str, str], str]:
    """The graph of each space's architectures, from the plan and from rows that others measured."""
    found: dict[tuple[str, str], str] = {}
    for table in (planned, df):
        if table is not None and "graph" in table:
            known = table.dropna(subset=["graph"]).drop_duplicates(["space", "arch"])
            found |= dict(zip(zip(known["space"], known["arch"], strict=True), known["graph"], strict=True))
    return found


def linked(data: Mapping[str, Any]) -> str:
    """Where the script puts the panels of each space, and how to use them."""
    if not data["spaces"]:
        return ""
    guessed = any("chance" in axis for space in data["spaces"] for axis in space["axes"])
    parts = [
        '<p class="note screen">Drag over points to select architectures in all panels of their space; click one, or '
        "step with the arrow keys, to see its cell and its numbers; Escape clears.</p>",
        '<p class="note">Hollow points are not among the architectures compared; triangles lie beyond the axes or '
        f"diverged.{' Dashed lines: the score of guessing, where it lies inside a panel.' * guessed}</p>",
        "<noscript><p>The panels need JavaScript. The figures at the end show the same without.</p></noscript>",
    ]
    for k, space in enumerate(data["spaces"]):
        drawn, of = len(space["archs"]), space["of"]
        all_of = names.many(of, "architecture")
        few = f", {drawn:,} of {all_of} drawn" if drawn < of else f", {all_of}"
        parts.append(f"<h3>{html.escape(space['title'])}{few}</h3>")
        first = html.escape(space["axes"][space["first"]]["name"])
        notes = [f"Drawn are those at even steps along the ranking by {first}; tables are of all."] * (drawn < of)
        left_out = names.many(space["left_out"], "further cell")
        notes += [f"Left out here: {left_out}; the tables have all."] * (space["left_out"] > 0)
        parts += [f'<p class="note">{" ".join(notes)}</p>'] * bool(notes)
        parts.append(f'<div data-space="{k}"></div>')
    return "\n".join(parts)


def no_pairs(df: pd.DataFrame, planned: pd.DataFrame | None) -> str:
    """Why there is no pair of cells, and whether one is still to come."""
    one = "a correlation is between two cells of one space (datasets, tasks or recipes)"
    cell = [c for c in KEY if c in df]
    given = [t for t in (df, planned) if t is not None and len(t) and {"space", *cell} <= set(t.columns)]
    tables = [recipes.merged(t) for t in given]
    if not tables:
        return f"no results yet; {one}"
    coming = any(t.groupby("space")[cell].apply(lambda cells: len(cells.drop_duplicates())).gt(1).any() for t in tables)
    return f"{'no two cells of one space have results yet' if coming else 'one cell only in each space'}; {one}"


def folded(title: str, table: pd.DataFrame, empty: str) -> str:
    """A table behind a line to click at, or the text for an empty one."""
    if table.empty:
        return f"<p>{html.escape(empty[:1].upper() + empty[1:])}.</p>"
    return f"<details><summary>{html.escape(title)}</summary>\n{text.html_table(table)}</details>"


def pairs(pretty: pd.DataFrame, found: pd.DataFrame, empty: str) -> str:
    """The pairs as a folded table: all, or those with a training where there are too many scores without."""
    trained = (found["y_method"] != SCORE).to_numpy(bool)
    if len(pretty) <= _MOST_PAIRS or not trained.any():
        return folded("All pairs as a table", pretty, empty)
    return folded("Pairs with a training as a table", pretty[trained], empty)


def experiments(table: pd.DataFrame, looks: Looks) -> str:
    """UnNAS, figure 5, of what `random_experiment` gives: one chart per (space, target), as `curves` draws it for a
    paper."""
    panels = []
    proxies, targets, _ = text.brief_names(text.as_pairs(table)) if len(table) else ([], [], "")
    called = pd.DataFrame({"proxy": proxies, "target": targets}, index=table.index)
    for (space, *_), lines in table.groupby(["space", *columns("target")], sort=False):
        shown = scale(lines[["mean", "expected"]].to_numpy(float), str(lines["target_metric"].iloc[0]))
        series = []
        for cell, one in lines.groupby(columns("proxy"), sort=False):
            middle, low, high, dots = (
                one[c].to_numpy(float) * shown.factor for c in ("expected", "best_low", "best_high", "mean")
            )
            name = called["proxy"][one.index[0]]
            series.append(Series(name, looks.cell(space, *cell), one["m"], middle, low, high, dots))
        title = f"{names.space_name(str(space))}: {called['target'][lines.index[0]]}"
        panels.append(Chart(title, "architectures in the experiment", f"best by proxy{shown.brief}", series, log=2))
    note = (
        '<h3>Small experiments</h3>\n<p class="note">If only m architectures are trained on the proxy and the best of '
        "them is taken: its score on the target. Lines: expected over all draws of m; bands: from the 10th to the 90th "
        "percentile of the draws; dots: the mean of the draws that were made.</p>"
    )
    return note + drawn if (drawn := charts(panels)) else ""


def failures(df: pd.DataFrame) -> str:
    """Failed attempts by cause; nothing for results of others, of which no failure is known."""
    if "status" not in df or not (df["status"] == "failed").any():
        return "<p>No attempt has failed.</p>" if "status" in df and _own(df).any() else ""
    table = counts.failures(df).drop(columns="trial_ids")
    return text.html_table(table.assign(text=table["text"].map(lambda words: names.short(words, 90))))


def ran(df: pd.DataFrame, score: str, parts_of: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """The counts of each cell, and how recipes with the same name differ: `parts_of` is that of
    `recipes.differences`, by recipe_id."""
    if df.empty:
        return "<p>No attempt has ended yet.</p>"
    table = counts.cells(df, score=score)
    parts = [text.html_table(counts.spelled(table))]
    called = table.drop_duplicates("recipe_id").set_index("recipe_id")["recipe"]
    for recipe_id, (_, own) in parts_of.items():
        words = ", ".join(f"{key} = {json.dumps(value, default=str)}" for key, value in own.items()) or "no part known"
        line = f"{called.get(recipe_id, '')}: recipe {recipe_id}; {words}."
        parts.append(f'<p class="note">{html.escape(line)}</p>')
    return "\n".join(parts)


def _own(df: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows are of trainings of this project: these know their epochs, if they did not fail."""
    known = df["epochs"].notna() if "epochs" in df else pd.Series(False, index=df.index)
    return known | (df["status"] == "failed") if "status" in df else known


def scored(df: pd.DataFrame, score: str) -> list[str]:
    """What a trial's score is: of imported results nothing is known of split, epoch or metric but what they say."""
    own, lines = _own(df), []
    if own.any() or df.empty:
        whose = "a trial" if own.all() else "a trial of our own"
        lines.append(f"Score of {whose}: {_RULES.get(score, score)}.")
    if not own.all():
        many = names.many(int((~own).sum()), "imported result")
        lines.append(
            f"The scores of {many} are taken as given ({score}): by which metric, on which split and after which epoch "
            "they were measured is for their source to say."
        )
    return lines


def rules(comparison: Comparison, found: pd.DataFrame) -> str:
    """Methods, as a list."""
    used, few = comparison.options, fewer(comparison)
    lines = [
        *scored(comparison.rows, used.score),
        "Scores are averaged over seeds before ranking; different recipes and datasets are never averaged.",
        _RULES[used.common],
        "Ties get the average of their ranks; tau-b corrects for ties.",
        _RULES[used.diverged],
        *_at_chance(used),
        f"Intervals: {_kinds(found)} bootstrap over architectures, {used.resamples} resamples, seed {used.seed}, "
        f"{used.confidence * 100:g} % each, not corrected for the number of pairs.",
        *([f"Intervals of other numbers than ρ: {few} resamples."] if few < used.resamples else []),
        "ρ: Spearman; τ: Kendall's tau-b; p: two-sided, of ρ.",
    ]
    for space, pairs in found.groupby("space"):
        counted = f"{pairs['n'].min():,}" + (f" to {pairs['n'].max():,}" if pairs["n"].nunique() > 1 else "")
        space, most = names.space_name(str(space)), pairs["n_dropped"].max()
        what = "architecture" if counted == "1" else "architectures"
        lines.append(f"{space}: {counted} {what} compared per pair, at most {most:,} dropped.")
    return "<ul>\n" + "\n".join(f"<li>{html.escape(line)}</li>" for line in lines) + "\n</ul>"


def _at_chance(used: Options) -> list[str]:
    levels = ", ".join(f"{level:g} ({task})" for task, level in used.levels.items())
    return [f"A score that is not above chance, {levels}, counts as none."] if levels else []


def _kinds(found: pd.DataFrame) -> str:
    """The kinds of intervals in the table, as they are called."""
    kinds = sorted({kind.split(",")[0] for kind in found["interval_method"] if kind and kind != DEGENERATE})
    return " or ".join({"bca": "BCa"}.get(kind, kind) for kind in kinds) or "no"


def provenance(df: pd.DataFrame, planned: pd.DataFrame | None) -> str:
    """Which runs, which code, which machines."""
    if df.empty:
        return ""
    parts = []
    if "run" in df:
        runs = ", ".join(dict.fromkeys(df["run"].dropna().astype(str)))
        parts.append(f'<p class="note">{html.escape(f"Runs: {runs}.")}</p>' if runs else "")
    parts.append(text.html_table(counts.builds(df)))
    return "\n".join(parts)


def paper(drawn: Sequence[files.Drawing], folder: Path, room: int, formats: Sequence[str]) -> str:
    """Writes each figure's files; shows the pictures as far as there is room in the page."""
    shown = []
    for one in drawn if formats else ():
        paths = files.save(one.figure, folder / "figures", one.name, formats)
        where = html.escape(", ".join([f"figures/{paths[0].name}", *(path.name for path in paths[1:])]))
        caption = html.escape(f"{one.caption}. {one.note}")
        picture = paths[0].read_bytes()
        image = ""
        if len(picture) <= room:
            room -= len(picture)
            width = round(one.figure.get_figwidth() * 120)
            data = base64.b64encode(picture).decode()
            image = f'<img width="{width}" alt="{html.escape(one.caption)}" src="data:image/png;base64,{data}">\n'
        shown.append(f"<figure>{image}<figcaption>{caption} <code>{where}</code></figcaption></figure>\n")
    if not shown:
        return ""
    named = [name.upper() for name in formats]
    kinds = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
    many = f"{len(shown)} figures as {kinds} beside this page" if len(shown) > 1 else f"One figure as {kinds}"
    return f'<details class="paper"><summary>{many}</summary>\n{"".join(shown)}</details>'
