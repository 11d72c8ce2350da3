"""The report of a study: one HTML file to send or to read offline, with figures and tables beside it."""

import base64
import html
from collections.abc import Sequence
from importlib.resources import files
from os import PathLike, fspath
from os.path import expanduser
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import figures, names, summary, text
from analysis.correlation import Common, Diverged, correlate
from analysis.curves import curves
from analysis.experiments import random_experiment
from analysis.runs import Run, load, plan, study


def report(
    runs: pd.DataFrame | Run | Sequence[Run],
    out: str | PathLike[str] | None = None,
    *,
    common: Common = "all",
    score: str = "score_best",
    diverged: Diverged = "worst",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Path:
    """Writes what the runs say into a folder and returns the path of its report.html.

    Beside it: figures/*.png and *.pdf, correlations.csv (all that `correlate` gives), correlations.md, and
    where there are several datasets experiments.csv (all that `random_experiment` gives). The HTML holds the
    figures and names no other file and no address. `out` is the folder: by default `report/` in the first
    run, or under the current folder for a run elsewhere than on this machine and for a frame.
    The same rows give the same files.
    """
    sources = [runs] if isinstance(runs, str | PathLike) else runs
    folder = _folder(sources, out)
    if isinstance(sources, pd.DataFrame):
        df, name, lead = sources, "Report", f"{len(sources)} rows."
    else:
        df = load(*sources)
        name = " + ".join(dict.fromkeys(str(study(run).get("name", Path(fspath(run)).name)) for run in sources))
        lead = _lead(df, sources)
    rules: dict[str, Any] = {"common": common, "score": score, "diverged": diverged}
    found = correlate(df, resamples=resamples, confidence=confidence, seed=seed, **rules)
    folder.mkdir(parents=True, exist_ok=True)
    found.to_csv(folder / "correlations.csv", index=False)
    pretty = text.correlations(found)
    (folder / "correlations.md").write_text(text.markdown(pretty), encoding="utf-8")
    drawn = "".join(_drawn(one, folder) for one in figures.scatter(df, correlations=found, **rules))
    experiments = random_experiment(df, score=score, diverged=diverged)
    if len(experiments):
        experiments.to_csv(folder / "experiments.csv", index=False)
    curved = "".join(_drawn(one, folder) for one in curves(experiments))
    sections = {
        "What ran": text.html_table(summary.cells(df, score)) if len(df) else "<p>No attempt has ended yet.</p>",
        "Rank correlations": _correlations(pretty, confidence),
        "Figures": drawn or "<p>There is no pair of cells to draw yet.</p>",
        "Random experiments with a proxy of another dataset": curved,
        "Rules and what was left out": _rules(found, rules, resamples, confidence, seed),
        "Failures": _failures(df),
        "Code and machines": text.html_table(summary.builds(df)) if len(df) else "",
    }
    body = "\n".join(f"<h2>{title}</h2>\n{content}" for title, content in sections.items() if content)
    page = folder / "report.html"
    page.write_text(_PAGE.format(title=html.escape(name), lead=html.escape(lead), style=_style(), body=body), "utf-8")
    return page


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<h1>{title}</h1>
<p class="lead">{lead}</p>
{body}
</body>
</html>
"""

_RULES = {
    "score_best": "Score of a trial: its best epoch on the test split, as in UnNAS, which is slightly optimistic.",
    "score_final": "Score of a trial: its last epoch on the test split.",
    "all": "Compared: architectures that succeeded, with every seed, in every cell of their space (UnNAS's rule).",
    "pair": "Compared: architectures that succeeded, with every seed, in both cells of the pair.",
    "worst": "A trial that never had a finite score makes its architecture rank below all others, level with its like.",
    "drop": "An architecture with a trial that never had a finite score is not compared.",
}


def _folder(sources: Any, out: str | PathLike[str] | None) -> Path:
    if out is not None:
        return Path(expanduser(out))
    if isinstance(sources, pd.DataFrame) or "://" in fspath(sources[0]):
        return Path("report")
    return Path(expanduser(sources[0])) / "report"


def _lead(df: pd.DataFrame, runs: Sequence[Run]) -> str:
    """One sentence: how much of the plan is done and how far the rows reach."""
    planned = plan(*runs)["trial_id"].to_pylist()
    ok = df.loc[df["status"] == "ok", "trial_id"]
    done = f"{ok.nunique()} of {len(set(planned))} planned trials done" if planned else f"{ok.nunique()} trials done"
    attempts = f"{len(df)} attempts"
    if unplanned := len(load(*runs, columns=["trial_id"], planned=False)) - len(df):
        attempts += f" ({unplanned} of trials no longer planned are left out)"
    until = df["finished_at"].max()
    return f"{done}, {attempts}" + ("." if pd.isna(until) else f", the last on {until:%Y-%m-%d %H:%M} UTC.")


def _correlations(pretty: pd.DataFrame, confidence: float) -> str:
    if pretty.empty:
        return "<p>There are not yet two cells of one space to compare.</p>"
    note = f"ρ: Spearman, with its {confidence * 100:g} % bootstrap interval; τ: Kendall's tau-b; p: two-sided, of ρ."
    return f"{text.html_table(pretty)}\n<p>{html.escape(note)}</p>"


def _drawn(one: figures.Drawing, folder: Path) -> str:
    """Writes the figure's files and gives its HTML, the picture inside."""
    png, pdf = figures.save(one.figure, folder / "figures", one.name)
    data = base64.b64encode(png.read_bytes()).decode()
    width = round(one.figure.get_figwidth() * 120)
    caption = html.escape(f"{one.caption}. {one.note}")
    where = html.escape(f"{png.parent.name}/{png.name}, {pdf.name}")
    return (
        f'<figure><img width="{width}" alt="{html.escape(one.caption)}" src="data:image/png;base64,{data}">\n'
        f"<figcaption>{caption} <code>{where}</code></figcaption></figure>\n"
    )


def _rules(found: pd.DataFrame, rules: dict[str, Any], resamples: int, confidence: float, seed: int) -> str:
    lines = [
        _RULES.get(rules["score"], f"Score of a trial: {rules['score']}."),
        "Scores are averaged over seeds before ranking; different recipes and datasets are never averaged.",
        _RULES[rules["common"]],
        "Ties get the average of their ranks; tau-b corrects for ties.",
        _RULES[rules["diverged"]],
        f"Intervals: BCa bootstrap over architectures, {resamples} resamples, seed {seed}, "
        f"{confidence * 100:g} % each, not corrected for the number of pairs.",
    ]
    for space, pairs in found.groupby("space"):
        used = f"{pairs['n'].min()}" + (f" to {pairs['n'].max()}" if pairs["n"].nunique() > 1 else "")
        space, most = names.space_name(str(space)), pairs["n_dropped"].max()
        lines.append(f"{space}: {used} architectures compared a pair, at most {most} dropped.")
    return "<ul>\n" + "\n".join(f"<li>{html.escape(line)}</li>" for line in lines) + "\n</ul>"


def _failures(df: pd.DataFrame) -> str:
    if "status" not in df or not (df["status"] == "failed").any():
        return ""
    return text.html_table(summary.failures(df))


def _style() -> str:
    return files("analysis").joinpath("report.css").read_text("utf-8")
