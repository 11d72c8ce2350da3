"""The report's sections: what each says of the rows, as HTML, and nothing where there is nothing to say."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import figures, names, summary, text
from analysis.charts import Chart, Series, charts
from analysis.palette import hues
from analysis.panel import scale

_RULES = {
    "score_best": "Score of a trial: its best epoch on the test split, as in UnNAS, which is slightly optimistic.",
    "score_final": "Score of a trial: its last epoch on the test split.",
    "all": "Compared: architectures that succeeded, with every seed, in every cell of their space (UnNAS's rule).",
    "pair": "Compared: architectures that succeeded, with every seed, in both cells of the pair.",
    "worst": "A trial that never had a finite score makes its architecture rank below all others, level with its like.",
    "drop": "An architecture with a trial that never had a finite score is not compared.",
}
_MANY = 2000  # architectures


@dataclass(frozen=True)
class Rules:
    """What the numbers were computed with."""

    common: str
    score: str
    diverged: str
    resamples: int
    confidence: float
    seed: int

    def fewer(self, df: pd.DataFrame) -> int:
        """Resamples for what is computed besides rho: fewer for thousands of architectures, which would take minutes
        and whose intervals are narrow."""
        return self.resamples if df["arch"].nunique() <= _MANY else min(self.resamples, 500)


def lead(df: pd.DataFrame, planned: pd.DataFrame, unplanned: int) -> str:
    """One sentence: how much of the plan is done and how far the rows reach."""
    ok = df.loc[df["status"] == "ok", "trial_id"]
    many = planned["trial_id"].nunique()
    done = f"{ok.nunique():,} of {many:,} planned trials done" if many else f"{ok.nunique():,} trials done"
    attempts = f"{len(df):,} attempts"
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
    parts = [
        '<p class="note screen">Drag over points to select architectures in all panels of their space; click one, or '
        "step with the arrow keys, to see its cell and its numbers; Escape clears.</p>",
        '<p class="note">Hollow points are not among the architectures compared; triangles lie beyond the axes or '
        "diverged.</p>",
        "<noscript><p>The panels need JavaScript. The figures at the end show the same without.</p></noscript>",
    ]
    for k, space in enumerate(data["spaces"]):
        drawn, of = len(space["archs"]), space["of"]
        few = f", {drawn:,} of {of:,} architectures drawn" if drawn < of else f", {of:,} architectures"
        parts.append(f"<h3>{html.escape(space['title'])}{few}</h3>")
        first = html.escape(space["axes"][space["first"]]["name"])
        notes = [f"Drawn are those at even steps along the ranking by {first}; tables are of all."] * (drawn < of)
        notes += [f"{space['left_out']} more cells are left out here; the tables have them."] * (space["left_out"] > 0)
        parts += [f'<p class="note">{" ".join(notes)}</p>'] * bool(notes)
        parts.append(f'<div data-space="{k}"></div>')
    return "\n".join(parts)


def folded(title: str, table: pd.DataFrame) -> str:
    """A table behind a line to click at."""
    if table.empty:
        return "<p>There are not yet two cells of one space to compare.</p>"
    return f"<details><summary>{html.escape(title)}</summary>\n{text.html_table(table)}</details>"


def experiments(table: pd.DataFrame) -> str:
    """UnNAS, figure 5, of what `random_experiment` gives: a chart a space and target."""
    panels = []
    proxies, targets, _ = text.brief_names(text.as_pairs(table)) if len(table) else ([], [], "")
    called = pd.DataFrame({"proxy": proxies, "target": targets}, index=table.index)
    shades = hues(proxies, table["proxy_task"])
    keys = ["space", "target_dataset_id", "target_task", "target_recipe_id"]
    for (space, *_), lines in table.groupby(keys, sort=False):
        shown = scale(lines[["mean", "expected"]].to_numpy(float), str(lines["target_metric"].iloc[0]))
        series = []
        for _, one in lines.groupby(["proxy_dataset_id", "proxy_task", "proxy_recipe_id"], sort=False):
            middle, spread = (one[c].to_numpy(float) * shown.factor for c in ("expected", "expected_std"))
            name = called["proxy"][one.index[0]]
            series.append(Series(name, shades[name], one["size"], middle, middle - spread, middle + spread))
        title = f"{names.space_name(str(space))}: {called['target'][lines.index[0]]}"
        panels.append(Chart(title, "architectures in the experiment", f"best by proxy{shown.brief}", series, log=2))
    note = (
        '<h3>Small experiments</h3>\n<p class="note">If only m architectures are trained on the proxy and the best of '
        "them is taken: its expected score on the target, over all draws of m, and one standard deviation on either "
        "side.</p>"
    )
    return note + charts(panels) if panels else ""


def failures(df: pd.DataFrame) -> str:
    """Failed attempts by cause."""
    if "status" not in df or not (df["status"] == "failed").any():
        return "<p>No attempt has failed.</p>" if "status" in df and len(df) else ""
    return text.html_table(summary.failures(df))


def rules(df: pd.DataFrame, found: pd.DataFrame, used: Rules) -> str:
    """How the numbers came, as a list."""
    fewer = used.fewer(df)
    lines = [
        _RULES.get(used.score, f"Score of a trial: {used.score}."),
        "Scores are averaged over seeds before ranking; different recipes and datasets are never averaged.",
        _RULES[used.common],
        "Ties get the average of their ranks; tau-b corrects for ties.",
        _RULES[used.diverged],
        f"Intervals: {_kinds(found)} bootstrap over architectures, {used.resamples} resamples, seed {used.seed}, "
        f"{used.confidence * 100:g} % each, not corrected for the number of pairs.",
        *([f"Intervals of other numbers than ρ: {fewer} resamples."] if fewer < used.resamples else []),
        "ρ: Spearman; τ: Kendall's tau-b; p: two-sided, of ρ.",
    ]
    for space, pairs in found.groupby("space"):
        counted = f"{pairs['n'].min():,}" + (f" to {pairs['n'].max():,}" if pairs["n"].nunique() > 1 else "")
        space, most = names.space_name(str(space)), pairs["n_dropped"].max()
        lines.append(f"{space}: {counted} architectures compared a pair, at most {most:,} dropped.")
    return "<ul>\n" + "\n".join(f"<li>{html.escape(line)}</li>" for line in lines) + "\n</ul>"


def _kinds(found: pd.DataFrame) -> str:
    """The kinds of intervals in the table, as they are called."""
    kinds = sorted({kind.split(",")[0] for kind in found["interval"] if kind})
    return " or ".join({"bca": "BCa"}.get(kind, kind) for kind in kinds) or "no"


def provenance(df: pd.DataFrame, planned: pd.DataFrame | None) -> str:
    """Which runs, which code, which machines."""
    if df.empty:
        return ""
    parts = []
    if "run" in df:
        runs = ", ".join(dict.fromkeys(df["run"].dropna().astype(str)))
        parts.append(f'<p class="note">{html.escape(f"Runs: {runs}.")}</p>' if runs else "")
    parts.append(text.html_table(summary.builds(df)))
    return "\n".join(parts)


def paper(drawn: Sequence[figures.Drawing], folder: Path, room: int) -> str:
    """Writes each figure's files; shows the pictures as far as there is room in the page."""
    shown, named = [], []
    for one in drawn:
        png, pdf, svg = figures.save(one.figure, folder / "figures", one.name)
        where = html.escape(f"{png.parent.name}/{png.name}, {pdf.name}, {svg.name}")
        caption = html.escape(f"{one.caption}. {one.note}")
        picture = png.read_bytes()
        image = ""
        if len(picture) <= room:
            room -= len(picture)
            width = round(one.figure.get_figwidth() * 120)
            data = base64.b64encode(picture).decode()
            image = f'<img width="{width}" alt="{html.escape(one.caption)}" src="data:image/png;base64,{data}">\n'
        shown.append(f"<figure>{image}<figcaption>{caption} <code>{where}</code></figcaption></figure>\n")
        named.append(one.name)
    if not shown:
        return ""
    many = (
        f"{len(shown)} figures as PNG, PDF and SVG beside this page"
        if len(shown) > 1
        else "One figure as PNG, PDF and SVG"
    )
    return f'<details class="paper"><summary>{many}</summary>\n{"".join(shown)}</details>'
