"""The report of a study: one HTML file to send or to read offline, with figures and tables beside it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from os.path import expanduser
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from analysis import names, whole_file
from analysis.comparison import recipes
from analysis.comparison.cells import Comparison, compare
from analysis.comparison.chance import levels
from analysis.comparison.keys import CELL
from analysis.comparison.options import Chance, Common, Diverged, Options
from analysis.comparison.searches import chosen, searches_in
from analysis.drawing import files
from analysis.drawing.cost import cost_of
from analysis.drawing.experiment_curves import curves
from analysis.drawing.figures import scatter_of
from analysis.drawing.palette import looks_of
from analysis.drawing.search_figures import searches_drawn
from analysis.page import score_sections, search_sections, sections, statistics_sections
from analysis.page.data import content
from analysis.page.document import document
from analysis.page.findings import ceilings, findings
from analysis.page.matrix import matrices
from analysis.page.score_curves import score_curves
from analysis.rows.runs import Run, load, plan, study
from analysis.statistics import counts
from analysis.statistics.agreement_cost import agreement_cost_of
from analysis.statistics.beyond_size import beyond_size_of
from analysis.statistics.combine import combine_proxies_of
from analysis.statistics.correlation import correlate_of
from analysis.statistics.distributions import distributions_of
from analysis.statistics.early import cheapest_of, early_stopping_of
from analysis.statistics.label_free import label_free_of
from analysis.statistics.noise import noise_ceiling_of, reliability_of
from analysis.statistics.proxy_differences import compare_proxies_of, pool_spaces_of
from analysis.statistics.random_experiments import random_experiment_of
from analysis.statistics.search_curves import search_curves
from analysis.statistics.search_targets import search_targets_of, target_scores
from analysis.statistics.searches import searches_of
from analysis.statistics.signal import Signals, signal_of, signals
from analysis.statistics.similarity import similarity_of
from analysis.statistics.size import size_effect_of, size_proxies_of
from analysis.statistics.top_k import top_k_of
from analysis.tables import text

Figures = Literal["none", "png", "all"]
_FORMATS: dict[str, tuple[str, ...]] = {"none": (), "png": ("png",), "all": files.FORMATS}
_MOST_PROXIES = 16  # of which each two are compared in the page
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
    figures: Figures = "png",
    controls: Collection[str] | None = None,
    published: Mapping[str, str] | None = None,
) -> Path:
    """Write the report of the runs into a folder; returns the path of its report.html.

    Beside it: figures/*.png (with `figures="all"` also *.pdf and *.svg, whose fonts take most of the time; with "none"
    no figure), correlations.csv (all that `correlate` gives), correlations.md, and
    where there are several datasets experiments.csv (all that `random_experiment` gives). The HTML holds
    everything that it shows and names no address; it stays below three megabytes. `out` is the folder: by default
    `report/` in the first run, or under the current folder for a run elsewhere than on this machine and for a frame.
    It can be written while a run is in progress and then states what is missing. Equal rows give equal files.
    `controls` and `published` say with which cells those of searches are compared, as in `searches`.
    """
    sources = [runs] if isinstance(runs, str | PathLike) else runs
    if not isinstance(sources, pd.DataFrame) and not sources:
        raise ValueError("no run was given: name at least one, or pass a DataFrame")
    if figures not in _FORMATS:
        raise ValueError(f'figures is "none", "png" or "all", not {figures!r}')
    folder = _folder(sources, out)
    if isinstance(sources, pd.DataFrame):
        df, planned, name, lead, partial = sources, None, "Report", f"{names.many(len(sources), 'row')}.", ""
    else:
        df, planned = load(*sources, curves=True), plan(*sources).to_pandas()
        name = " + ".join(dict.fromkeys(str(study(run).get("name", Path(fspath(run)).name)) for run in sources))
        lead, partial = sections.lead(df, planned, _unplanned(df, sources)), sections.partial(df, planned)
    options = Options(common, score, diverged, chance, resamples, confidence, seed)
    given, df = df, recipes.merged(recipes.named(df, recipes.unique_names(df)))
    comparison = compare(df, options)
    tested = signals(comparison)
    found = correlate_of(comparison, tested)
    looks = looks_of(comparison.spaces)
    folder.mkdir(parents=True, exist_ok=True)
    whole_file.write(folder / "correlations.csv", as_given(found, given).to_csv(index=False))
    pretty = text.correlations(found)
    whole_file.write(folder / "correlations.md", text.to_markdown(pretty))
    experiments = random_experiment_of(comparison.trainings().by("pair"))
    if len(experiments):
        whole_file.write(folder / "experiments.csv", as_given(experiments, given).to_csv(index=False))
    guessed = levels(df, score)
    more = _evidence(comparison.resampled(sections.fewer(comparison)), found, tested)
    graphs = sections.graphs(df, planned)
    searched = searches_of_rows(df, graphs, options, controls, published)
    data = content(comparison, found, graphs, looks)
    formats = _FORMATS[figures]
    drawn = [*scatter_of(comparison, found, looks), *curves(experiments, looks)] if formats else []
    drawn += cost_of(more["agreement_cost"], looks) if formats else []
    drawn += searches_drawn(searched.curves, searched.scores) if formats else []
    parts = {
        "Findings": findings(found, ceilings(more["ceiling"]), looks),
        "Architectures": sections.linked(data),
        "Rank correlations": matrices(found, more["reliability"])
        + sections.pairs(pretty, found, sections.no_pairs(df, planned))
        + statistics_sections.differences(more["differences"])
        + statistics_sections.pooled(more["pooled"]),
        "Scores without training": score_sections.scores(more, found, looks),
        "Signal": statistics_sections.signal(signal_of(comparison, tested)),
        "Noise ceiling": statistics_sections.noise(more["ceiling"]),
        "Early budget": statistics_sections.budget(more["early"], cheapest_of(more["early"]), looks),
        "Picking by proxy": statistics_sections.picked(more["picks"], looks) + sections.experiments(experiments, looks),
        "Size": statistics_sections.size(more["size_effect"], more["size_proxies"]),
        "Distributions": statistics_sections.distributions(more["distributions"], looks, guessed),
        "Searches": search_sections.searches(searched),
        "Score curves": score_curves(comparison, looks, guessed),
        "What ran": sections.ran(df, score, recipes.differences(given)),
        "Cost": text.html_table(spent) if len(spent := counts.cost(df)) else "",
        "Failures": sections.failures(df),
        "Methods": sections.rules(comparison, found),
        "Provenance": sections.provenance(df, planned),
        "Figures for a paper": sections.paper(drawn, folder, _EMBEDDED, formats),
    }
    page = folder / "report.html"
    whole_file.write(page, document(name, lead, partial, parts, data))
    return page


def searches_of_rows(
    df: pd.DataFrame,
    graphs: Mapping[tuple[str, str], str],
    options: Options,
    controls: Collection[str] | None = None,
    published: Mapping[str, str] | None = None,
) -> search_sections.SearchTables:
    """The tables of the section on searches; all are empty where the rows have none."""
    found = searches_in(df)
    of_found = dict(zip(found["found"], found["found_graph"], strict=True))
    missing = {arch: graphs.get((space, arch)) for space, arch in zip(found["space"], found["found"], strict=True)}
    return search_sections.SearchTables(
        searches=searches_of(found, df, options, controls, published),
        targets=search_targets_of(found, df, options, controls, published),
        scores=target_scores(found, df, options, controls, published),
        curves=search_curves(df),
        similarity=similarity_of(found, df, graphs, options.resampling(), chosen(df, controls, published)),
        graphs={arch: graph or missing[arch] or "" for arch, graph in of_found.items() if arch is not None},
    )


def as_given(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The table with the names that recipes have in the rows."""
    if "recipe_id" not in rows or "recipe" not in rows:
        return table
    called = rows.dropna(subset=["recipe_id"]).drop_duplicates("recipe_id").set_index("recipe_id")["recipe"]
    sides = [c.removesuffix("_recipe") for c in table.columns if c.endswith("_recipe")]
    return table.assign(
        **{f"{s}_recipe": table[f"{s}_recipe_id"].map(called).fillna(table[f"{s}_recipe"]) for s in sides}
    )


def _evidence(comparison: Comparison, found: pd.DataFrame, tested: Signals) -> dict[str, pd.DataFrame]:
    """The tables of the sections, of what `correlate` and `signals` give; those that take curves, sizes or several
    seeds are empty where the rows have none, as some take minutes to find nothing."""
    df, confidence = comparison.rows, comparison.options.confidence
    several = df.groupby([c for c in CELL if c in df])["seed"].nunique().gt(1).any() if "seed" in df else False
    sized = "params" in df and bool(df["params"].notna().any())
    lists = df["curve_test_score"] if "curve_test_score" in df and "curve_seconds" in df else ()
    curved = any(one is not None and len(one) > 1 for one in lists)
    none = replace(comparison, spaces=[])
    trained = comparison.trainings()
    # Without a training there is no target: scores are compared with one another by `correlate` alone.
    targeted = replace(comparison, spaces=[cells for cells in comparison.spaces if cells.trained_cells.any()])
    scored = any(not cells.trained_cells.all() for cells in targeted.spaces)
    both = targeted if scored else none
    return {
        "reliability": reliability_of(trained if several else none),
        "ceiling": noise_ceiling_of(trained if several else none),
        "early": early_stopping_of(trained if curved else none),
        "size_effect": size_effect_of(trained if sized else none),
        "size_proxies": size_proxies_of(trained if sized else none),
        # `tested` is by the position of a cell, which is another one among the trainings alone.
        "differences": compare_proxies_of(trained)
        if many_cells(comparison)
        else compare_proxies_of(targeted, known=tested),
        "picks": top_k_of(targeted, known=tested),
        "pooled": pool_spaces_of(found, confidence),
        "distributions": distributions_of(trained),
        "agreement_cost": agreement_cost_of(both, known=tested),
        "beyond_size": beyond_size_of(both, known=tested),
        "label_free": label_free_of(both),
        "combine_proxies": combine_proxies_of(both),
    }


def many_cells(comparison: Comparison) -> bool:
    """Whether there are too many cells to compare each two proxies in the page."""
    return any(len(cells.labels) > _MOST_PROXIES for cells in comparison.spaces)


def _folder(sources: Any, out: str | PathLike[str] | None) -> Path:
    if out is not None:
        return Path(expanduser(out))
    if isinstance(sources, pd.DataFrame) or "://" in fspath(sources[0]):
        return Path("report")
    return Path(expanduser(sources[0])) / "report"


def _unplanned(df: pd.DataFrame, runs: Sequence[Run]) -> int:
    """Attempts at trials that the plan no longer holds."""
    return len(load(*runs, columns=["trial_id"], planned=False)) - len(df)
