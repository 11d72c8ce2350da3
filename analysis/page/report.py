"""The report of a study: one HTML file to send or to read offline, with figures and tables beside it."""

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from os.path import expanduser
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import names, whole_file
from analysis.comparison import recipes
from analysis.comparison.trials import CELL, Chance
from analysis.drawing import figures
from analysis.drawing.experiment_curves import curves
from analysis.page import sections, statistics_sections
from analysis.page.data import content
from analysis.page.document import document
from analysis.page.findings import ceilings, findings
from analysis.page.matrix import matrices
from analysis.page.sections import Rules
from analysis.rows.runs import Run, load, plan, study
from analysis.statistics import counts
from analysis.statistics.correlation import Common, Diverged, compared, correlate
from analysis.statistics.distributions import distributions
from analysis.statistics.early import cheapest, early
from analysis.statistics.noise import ceiling, reliability
from analysis.statistics.proxy_differences import differences, pooled
from analysis.statistics.random_experiments import random_experiment
from analysis.statistics.size import size_effect, size_proxies
from analysis.statistics.top_k import picks
from analysis.tables import text

_EMBEDDED = 600_000  # bytes of static figures that go into the page; further ones are named


def report(
    runs: pd.DataFrame | Run | Sequence[Run],
    out: str | PathLike[str] | None = None,
    *,
    common: Common = "all",
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
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
    if not isinstance(sources, pd.DataFrame) and not sources:
        raise ValueError("no run was given: name at least one, or pass a DataFrame")
    folder = _folder(sources, out)
    if isinstance(sources, pd.DataFrame):
        df, planned, name, lead, partial = sources, None, "Report", f"{names.many(len(sources), 'row')}.", ""
    else:
        df, planned = load(*sources, curves=True), plan(*sources).to_pandas()
        name = " + ".join(dict.fromkeys(str(study(run).get("name", Path(fspath(run)).name)) for run in sources))
        lead, partial = sections.lead(df, planned, _unplanned(df, sources)), sections.partial(df, planned)
    rules = Rules(common, score, diverged, resamples, confidence, seed, chance)
    compare: dict[str, Any] = {"common": common, "score": score, "diverged": diverged, "chance": chance}
    given, df = df, recipes.named(df, recipes.told_apart(df))
    found = correlate(df, resamples=resamples, confidence=confidence, seed=seed, **compare)
    spaces = compared(df, **compare)
    looks = figures.looks_of(spaces)
    folder.mkdir(parents=True, exist_ok=True)
    whole_file.write(folder / "correlations.csv", as_given(found, given).to_csv(index=False))
    pretty = text.correlations(found)
    whole_file.write(folder / "correlations.md", text.markdown(pretty))
    drawn = figures.scatter(df, correlations=found, looks=looks, **compare)
    experiments = random_experiment(df, score=score, diverged=diverged, chance=chance)
    if len(experiments):
        whole_file.write(folder / "experiments.csv", as_given(experiments, given).to_csv(index=False))
    more = _evidence(df, compare, rules)
    data = content(df, spaces, found, sections.graphs(df, planned), score, looks)
    parts = {
        "Findings": findings(found, ceilings(more["ceiling"]), looks),
        "Architectures": sections.linked(data),
        "Rank correlations": matrices(found, more["reliability"])
        + sections.folded("All pairs as a table", pretty, sections.no_pairs(df, planned))
        + statistics_sections.differences(more["differences"])
        + statistics_sections.pooled(more["pooled"]),
        "Noise ceiling": statistics_sections.noise(more["ceiling"]),
        "Early budget": statistics_sections.budget(more["early"], cheapest(more["early"]), looks),
        "Picking by proxy": statistics_sections.picked(more["picks"], looks) + sections.experiments(experiments, looks),
        "Size": statistics_sections.size(more["size_effect"], more["size_proxies"]),
        "Distributions": statistics_sections.distributions(more["distributions"], looks),
        "What ran": sections.ran(df, score, recipes.differences(given)),
        "Cost": text.html_table(spent) if len(spent := counts.cost(df)) else "",
        "Failures": sections.failures(df),
        "How the numbers came": sections.rules(df, found, rules),
        "Provenance": sections.provenance(df, planned),
        "Figures for a paper": sections.paper([*drawn, *curves(experiments, looks)], folder, _EMBEDDED),
    }
    page = folder / "report.html"
    whole_file.write(page, document(name, lead, partial, parts, data))
    return page


def as_given(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The table with the names that recipes have in the rows."""
    if "recipe_id" not in rows or "recipe" not in rows:
        return table
    called = rows.dropna(subset=["recipe_id"]).drop_duplicates("recipe_id").set_index("recipe_id")["recipe"]
    sides = [c.removesuffix("_recipe") for c in table.columns if c.endswith("_recipe")]
    return table.assign(
        **{f"{s}_recipe": table[f"{s}_recipe_id"].map(called).fillna(table[f"{s}_recipe"]) for s in sides}
    )


def _evidence(df: pd.DataFrame, compare: dict[str, Any], rules: Rules) -> dict[str, pd.DataFrame]:
    """The tables of `evidence`, empty where the rows cannot have lines in them: some take minutes to say so."""
    drawn = compare | {"seed": rules.seed, "confidence": rules.confidence, "resamples": rules.fewer(df)}
    several = df.groupby([c for c in CELL if c in df])["seed"].nunique().gt(1).any() if "seed" in df else False
    sized = "params" in df and bool(df["params"].notna().any())
    curves = df["curve_test_score"] if "curve_test_score" in df and "curve_seconds" in df else ()
    curved = any(curve is not None and len(curve) > 1 for curve in curves)
    asked = {
        "reliability": several,
        "ceiling": several,
        "early": curved,
        "size_effect": sized,
        "size_proxies": sized,
        "differences": True,
    }
    none = df.iloc[:0].assign(curve_test_score=None, curve_seconds=None)
    found = {name: _TABLES[name](df if there else none, **drawn) for name, there in asked.items()}
    found["picks"] = picks(df, **compare)
    found["pooled"] = pooled(df, **compare, confidence=rules.confidence)
    found["distributions"] = distributions(df, **compare, confidence=rules.confidence)
    return found


_TABLES: dict[str, Callable[..., pd.DataFrame]] = {
    "reliability": reliability,
    "ceiling": ceiling,
    "early": early,
    "size_effect": size_effect,
    "size_proxies": size_proxies,
    "differences": differences,
}


def _folder(sources: Any, out: str | PathLike[str] | None) -> Path:
    if out is not None:
        return Path(expanduser(out))
    if isinstance(sources, pd.DataFrame) or "://" in fspath(sources[0]):
        return Path("report")
    return Path(expanduser(sources[0])) / "report"


def _unplanned(df: pd.DataFrame, runs: Sequence[Run]) -> int:
    """Attempts at trials that the plan no longer holds."""
    return len(load(*runs, columns=["trial_id"], planned=False)) - len(df)
