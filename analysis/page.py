"""The report of a study: one HTML file to send or to read offline, with figures and tables beside it."""

from collections.abc import Sequence
from os import PathLike, fspath
from os.path import expanduser
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import figures, sections, summary, text
from analysis.correlation import Common, Diverged, compared, correlate
from analysis.curves import curves
from analysis.document import document
from analysis.experiments import random_experiment
from analysis.headline import findings
from analysis.matrix import matrices
from analysis.page_data import content
from analysis.runs import Run, load, plan, study
from analysis.sections import Rules

_EMBEDDED = 600_000  # bytes of static figures that go into the page; further ones are named


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

    Beside it: figures/*.png, *.pdf and *.svg, correlations.csv (all that `correlate` gives), correlations.md, and
    where there are several datasets experiments.csv (all that `random_experiment` gives). The HTML holds
    everything that it shows and names no address; it stays below three megabytes. `out` is the folder: by default
    `report/` in the first run, or under the current folder for a run elsewhere than on this machine and for a frame.
    It may be written at any moment of a run and says what is missing. The same rows give the same files.
    """
    sources = [runs] if isinstance(runs, str | PathLike) else runs
    folder = _folder(sources, out)
    if isinstance(sources, pd.DataFrame):
        df, planned, name, lead, partial = sources, None, "Report", f"{len(sources):,} rows.", ""
    else:
        df, planned = load(*sources, curves=True), plan(*sources).to_pandas()
        name = " + ".join(dict.fromkeys(str(study(run).get("name", Path(fspath(run)).name)) for run in sources))
        lead, partial = sections.lead(df, planned, _unplanned(df, sources)), sections.partial(df, planned)
    rules = Rules(common, score, diverged, resamples, confidence, seed)
    compare: dict[str, Any] = {"common": common, "score": score, "diverged": diverged}
    found = correlate(df, resamples=resamples, confidence=confidence, seed=seed, **compare)
    folder.mkdir(parents=True, exist_ok=True)
    found.to_csv(folder / "correlations.csv", index=False)
    pretty = text.correlations(found)
    (folder / "correlations.md").write_text(text.markdown(pretty), encoding="utf-8")
    drawn = figures.scatter(df, correlations=found, **compare)
    experiments = random_experiment(df, score=score, diverged=diverged)
    if len(experiments):
        experiments.to_csv(folder / "experiments.csv", index=False)
    data = content(df, list(compared(df, **compare)), found, sections.graphs(df, planned), score)
    parts = {
        "Findings": findings(found, {}),
        "Architectures": sections.linked(data),
        "Rank correlations": matrices(found, pd.DataFrame()) + sections.folded("All pairs as a table", pretty),
        "Small experiments": sections.experiments(experiments),
        "What ran": text.html_table(summary.cells(df, score)) if len(df) else "<p>No attempt has ended yet.</p>",
        "Cost": text.html_table(summary.cost(df)) if len(df) else "",
        "Failures": sections.failures(df),
        "How the numbers came": sections.rules(found, rules),
        "Provenance": sections.provenance(df, planned),
        "Figures for a paper": sections.paper([*drawn, *curves(experiments)], folder, _EMBEDDED),
    }
    page = folder / "report.html"
    page.write_text(document(name, lead, partial, parts, data), "utf-8")
    return page


def _folder(sources: Any, out: str | PathLike[str] | None) -> Path:
    if out is not None:
        return Path(expanduser(out))
    if isinstance(sources, pd.DataFrame) or "://" in fspath(sources[0]):
        return Path("report")
    return Path(expanduser(sources[0])) / "report"


def _unplanned(df: pd.DataFrame, runs: Sequence[Run]) -> int:
    """Attempts at trials that the plan no longer holds."""
    return len(load(*runs, columns=["trial_id"], planned=False)) - len(df)
