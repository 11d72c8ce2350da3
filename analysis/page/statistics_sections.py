"""The report's sections on how sure the findings are: noise of seeds, size, budget, picks, distributions of scores.

Each is HTML of one or two tables of `analysis`, and nothing where they have no lines.
"""

import html
import math

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.chance import Levels
from analysis.comparison.keys import SCORE, columns
from analysis.comparison.units import scale
from analysis.drawing.palette import AT_RANDOM, Looks
from analysis.page.line_charts import Chart, Mark, Series, charts
from analysis.tables import text

_TARGET = ["space", *columns("target")]
_PROXY = columns("proxy")
_SCORES = 6  # without training, of which the regret is drawn


def signal(table: pd.DataFrame) -> str:
    """Which rankings are more than luck, of `signal`."""
    if table.empty:
        return ""
    shown = pd.DataFrame({"space": table["space"].map(names.space_name)})
    pairs = zip(table["dataset"], table["task"], strict=True)
    shown["cell"] = [f"{names.dataset_name(str(dataset))} {names.task_name(str(task))}" for dataset, task in pairs]
    if table["recipe"].nunique() > 1:
        shown["recipe"] = table["recipe"]
    shown["n"], shown["seeds"] = table["n"], table["n_seeds"]
    for name in ("chance", "score_min", "score_median", "score_max"):
        ends = zip(table[name], table["score_min"], table["score_max"], table["metric"], strict=True)
        shown[name.removeprefix("score_")] = [
            names.fixed(value * scale(np.array([low, high]), str(metric)).factor) for value, low, high, metric in ends
        ]
    shown["p (above chance)"] = table["chance_p"].map(text.p_value)
    shown["p (differences)"] = table["difference_p"].map(text.p_value)
    shown["reliability"] = table["reliability"].map(names.fixed)
    shown["at most"] = table["reliability_most"].map(names.fixed)
    shown["signal"] = ["not known" if pd.isna(found) else "yes" if found else "no" for found in table["signal"]]
    shown["reason"] = table["reason"]
    return _note(
        "A ranking is signal where the scores are above chance and the architectures differ by more than the choice of "
        "the test images (one seed) or the seeds explain, both at 5 %. Reliability: measured between two seeds, and "
        "at most what the sampling of the test images leaves of one seed's ranking. Accuracies in percent."
    ) + text.html_table(shown)


def noise(ceiling: pd.DataFrame) -> str:
    """What the noise of seeds allows, of `ceiling`: rho beside its highest expectation and what it would be without."""
    known = ceiling[ceiling["ceiling"].notna()]
    if known.empty:
        return ""
    table = _pairs(known)
    table["ρ"] = _intervals(known, "rho", "rho_low", "rho_high")
    for side in "xy":
        seeds = known[f"{side}_n_seeds"].astype(int)
        values = known[f"{side}_reliability"].map(names.fixed)
        table[f"reliability of {side}"] = [f"{v} ({s} seeds)" for v, s in zip(values, seeds, strict=True)]
    table["highest expected ρ"] = known["ceiling"].map(names.fixed)
    table["ρ without noise"] = _intervals(known, "rho_corrected", "corrected_low", "corrected_high")
    missing = len(ceiling) - len(known)
    more = f" {missing} pairs are left out, as a cell of theirs has one seed only." if missing else ""
    return _note(
        "Seeds disagree, so no two rankings can agree fully. The reliability of a cell is ρ between its mean over "
        "seeds and that over as many others; the root of two reliabilities is the highest ρ to expect, and ρ divided "
        f"by it is what two noiseless rankings would have.{more}"
    ) + text.html_table(table)


def budget(early: pd.DataFrame, cheapest: pd.DataFrame, looks: Looks) -> str:
    """How early a proxy's ranking is final, of `early`: rho against what the proxy's training has cost so far."""
    panels, called = [], _sides(early)
    for (space, *_), lines in early.groupby(_TARGET, sort=False):
        timed = lines["seconds"].notna().all() and (lines["seconds"] > 0).all()
        series = []
        for cell, one in lines.groupby(_PROXY, sort=False):
            x = one["seconds"] if timed else one["epoch"]
            name = called["x"][one.index[0]]
            look = looks.cell(space, *cell)
            series.append(Series(name, look, x, one["rho"], one["rho_low"], one["rho_high"]))
        cost = "training of an architecture so far, all seeds (s)" if timed else "epochs so far"
        title = f"{names.space_name(str(space))}: ρ with final {called['y'][lines.index[0]]}"
        panels.append(Chart(title, cost, "ρ", series, log=2 if timed else 0, high=1.0))
    parts = charts(panels)
    if not parts:
        return ""
    key = [*_TARGET, *_PROXY]
    last = early[early["epoch"] == early["epochs"]]
    agree = (last["rho_low"] > 0) | (last["rho"] == 1)  # of no agreement there is no 95 %
    clear = pd.MultiIndex.from_frame(last.loc[agree, key])
    cheapest = cheapest[pd.MultiIndex.from_frame(cheapest[key]).isin(clear)]
    if len(cheapest):
        table = _pairs(text.as_pairs(cheapest), x="proxy", y="target")
        both = zip(cheapest["epoch"], cheapest["epochs"], strict=True)
        table["enough after"] = [f"epoch {epoch} of {of}" for epoch, of in both]
        table["of the training"] = cheapest["share"].map(lambda v: "" if math.isnan(v) else f"{100 * v:.0f} %")
        table["ρ then"] = _intervals(cheapest, "rho", "rho_low", "rho_high")
        table["ρ in the end"] = cheapest["rho_full"].map(names.fixed)
        parts += _note("The cheapest budget from which on ρ stays above 95 % of that of the whole training:")
        parts += text.html_table(table)
    return _note("ρ between a proxy stopped early and the target in the end; bands are the intervals.") + parts


def size(effect: pd.DataFrame, alone: pd.DataFrame) -> str:
    """Whether agreement is more than both ranking large networks first, of `size_effect` and `size_proxies`."""
    parts = []
    known = effect[effect["rho_given_params"].notna()]
    if len(known):
        table = _pairs(known)
        table["ρ"] = _intervals(known, "rho", "rho_low", "rho_high")
        for name, words in (("params", "parameters"), ("macs", "multiply-adds")):
            columns = [f"rho_given_{name}{end}" for end in ("", "_low", "_high")]
            table[f"ρ given {words}"] = _intervals(known, *columns)
        for third in ("small", "medium", "large"):
            table[f"ρ of the {third} third"] = _intervals(
                known, *(f"rho_{third}{end}" for end in ("", "_low", "_high"))
            )
        parts.append(text.html_table(table))
    ranked = alone[alone["rho_params"].notna()]
    if len(ranked):
        table = pd.DataFrame({"space": ranked["space"].map(names.space_name)})
        table["cell"] = [
            f"{names.dataset_name(str(line.dataset))} {names.task_name(str(line.task))}" for line in text.each(ranked)
        ]
        table["n"] = ranked["n"]
        for name, words in (("params", "parameters"), ("macs", "multiply-adds")):
            table[f"ρ of {words}"] = _intervals(ranked, *(f"rho_{name}{end}" for end in ("", "_low", "_high")))
        parts.append(_note("How well size alone, without training, ranks by each score:") + text.html_table(table))
    return "\n".join(parts)


def picked(picks: pd.DataFrame, looks: Looks) -> str:
    """What picking by a proxy costs, of `picks`: the regret of the best of its k best."""
    panels, called = [], _sides(picks)
    for (space, *_), lines in picks.groupby(_TARGET, sort=False):
        shown = scale(lines[["best", "chosen"]].to_numpy(float), str(lines["target_metric"].iloc[0]))
        series = []
        for cell, one in _few(lines).groupby(_PROXY, sort=False):
            name = called["x"][one.index[0]]
            series.append(Series(name, looks.cell(space, *cell), one["k"], one["regret"] * shown.factor))
        one = lines.drop_duplicates("k").sort_values("k")
        chance = one["regret_random"] * shown.factor
        series.append(Series("drawn at random", AT_RANDOM, one["k"], chance))
        title = f"{names.space_name(str(space))}: {called['y'][lines.index[0]]}"
        percent = shown.brief.replace("%", "points")
        panels.append(Chart(title, "architectures picked, k", f"regret{percent}", series, log=2, low=0.0))
    note = "Of the k best by a proxy the best is taken: by how much the target's best of all architectures beats it."
    note += f" Of scores without training the {_SCORES} with the least regret." * (len(_few(picks)) < len(picks))
    return _note(note) + drawn if (drawn := charts(panels)) else ""


def _few(picks: pd.DataFrame) -> pd.DataFrame:
    """The picks of trainings, and of the scores without training with the least mean regret for their target."""
    scores = picks[picks["proxy_method"] == SCORE]
    mean = scores.groupby([*_TARGET, *_PROXY], sort=False)["regret"].mean().sort_values(kind="stable")
    kept = set(mean.groupby(_TARGET, sort=False).head(_SCORES).index)
    keys = picks[[*_TARGET, *_PROXY]].itertuples(index=False, name=None)
    found: pd.DataFrame = picks[(picks["proxy_method"] != SCORE) | np.array([key in kept for key in keys], bool)]
    return found


def distributions(table: pd.DataFrame, looks: Looks, chance: Levels) -> str:
    """What the spaces hold, of `distributions`: the share of architectures up to each score, one line per space.

    `chance` is the score of guessing, which a dashed line shows."""
    panels = []
    for (_, task), lines in table.groupby(["dataset_id", "task"], sort=False):
        shown = scale(lines["score"].to_numpy(float), str(lines["metric"].iloc[0]))
        series, levels = [], {}
        for (space, recipe), one in lines.groupby(["space", "recipe_id"], sort=False):
            recipes = list(dict.fromkeys(lines.loc[lines["space"] == space, "recipe_id"]))
            name = names.space_name(str(space)) + (f" ({one['recipe'].iloc[0]})" if len(recipes) > 1 else "")
            look = looks.space(space, recipes.index(recipe))
            score = one["score"].to_numpy(float) * shown.factor
            series.append(Series(name, look, score, one["edf"], one["edf_low"], one["edf_high"], steps=True))
            level = chance.get((str(space), str(one["dataset_id"].iloc[0]), str(task), str(recipe)))
            if level is not None:
                levels[f"{level * shown.factor:.6g}"] = level * shown.factor
        title = f"{names.dataset_name(str(lines['dataset'].iloc[0]))} {names.task_name(str(task))}"
        unit = shown.unit.strip(" ,") or "score"
        marks = [Mark(level, "x", "chance") for level in levels.values()]
        panels.append(Chart(title, unit, "share of architectures", series, low=0.0, high=1.0, marks=marks))
    dashed = " Dashed: the score of guessing." * any(panel.marks for panel in panels)
    note = (
        "The share of architectures that score at most so much. Bands hold the whole curve of the space, if the "
        f"architectures are a random sample of it.{dashed}"
    )
    return _note(note) + drawn if (drawn := charts(panels)) else ""


def differences(table: pd.DataFrame) -> str:
    """Which of two proxies is better, of `differences`."""
    known = table[table["difference"].notna()]
    if known.empty:
        return ""
    sided, third = text.as_pairs(known, x="a", y="b"), text.as_pairs(known, x="a", y="target")
    shown = pd.DataFrame(
        {
            "space": known["space"].map(names.space_name),
            "target": text.cell_names(third, "y"),
            "proxy": text.cell_names(sided, "x"),
            "other proxy": text.cell_names(sided, "y"),
            "n": known["n"],
            "ρ": known["a_rho"].map(names.fixed),
            "ρ of the other": known["b_rho"].map(names.fixed),
            "difference": _intervals(known, "difference", "difference_low", "difference_high"),
            "p (Holm)": known["p_holm"].map(text.p_value),
        }
    )
    return (
        "<details><summary>Which of two proxies agrees better</summary>\n"
        + _note("Differences of ρ with the same target over the same architectures, by a paired bootstrap.")
        + text.html_table(shown)
        + "</details>"
    )


def pooled(table: pd.DataFrame) -> str:
    """One rho for all spaces, of `pooled`."""
    known = table[table["rho"].notna()]
    if known.empty:
        return ""
    sides = [
        [
            f"{names.dataset_name(str(d))} {names.task_name(str(t))}"
            for d, t in zip(known[f"{s}_dataset"], known[f"{s}_task"], strict=True)
        ]
        for s in "xy"
    ]
    shown = pd.DataFrame({"x": sides[0], "y": sides[1], "spaces": known["spaces"], "n": known["n"]})
    shown["fixed-effect ρ"] = _intervals(known, "rho_fixed", "fixed_low", "fixed_high").to_numpy()
    shown["random-effects ρ"] = _intervals(known, "rho", "rho_low", "rho_high").to_numpy()
    shown["p (Cochran's Q)"] = known["q_p"].map(text.p_value).to_numpy()
    shown["I²"] = known["i2"].map(lambda v: f"{100 * v:.0f} %").to_numpy()
    return (
        "<details><summary>All spaces together</summary>\n"
        + _note(
            "The fixed-effect ρ describes these spaces alone. The random-effects ρ describes spaces in general, of "
            "which few spaces say little, so its interval is wide. I²: the share of the scatter beyond chance."
        )
        + text.html_table(shown)
        + "</details>"
    )


def _pairs(table: pd.DataFrame, x: str = "x", y: str = "y") -> pd.DataFrame:
    """The columns that name a pair."""
    return pd.DataFrame(
        {
            "space": table["space"].map(names.space_name),
            x: text.cell_names(table, "x"),
            y: text.cell_names(table, "y"),
            "n": table["n"],
        }
    )


def _sides(lines: pd.DataFrame) -> dict[str, pd.Series]:
    """Names of the proxies and of the targets of some lines, by their index, without a dataset that all share."""
    x, y, _ = text.brief_names(text.as_pairs(lines))
    return {"x": pd.Series(x, index=lines.index), "y": pd.Series(y, index=lines.index)}


def _intervals(table: pd.DataFrame, value: str, low: str, high: str) -> pd.Series:
    """ "0.87 [0.84, 0.90]" of each line."""
    both = [names.with_interval(*line) for line in zip(table[value], table[low], table[high], strict=True)]
    words = [number if interval == "–" else f"{number} {interval}" for number, interval in both]
    return pd.Series(words, index=table.index, dtype="str")


def _note(words: str) -> str:
    return f'<p class="note">{html.escape(words)}</p>\n'
