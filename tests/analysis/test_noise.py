"""The noise of seeds: reliability, the ceiling it sets, and what more seeds bring."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import Known, spearman
from made_up import population, row
from scipy import stats

import analysis

pytestmark = pytest.mark.filterwarnings("error")


def wide(df: pd.DataFrame, task: str) -> np.ndarray:
    """(architectures, seeds) of one task."""
    return df[df["task"] == task].pivot(index="arch", columns="seed", values="score_best").to_numpy()


def mean_rho(scores: np.ndarray) -> float:
    return float(np.mean([stats.spearmanr(a, b).statistic for a, b in combinations(scores.T, 2)]))


@settings(max_examples=6)
@given(st.integers(5, 12), st.integers(2, 4), st.integers(0, 99))
def test_every_figure_is_that_of_the_textbook(n: int, seeds: int, rng: int) -> None:
    df = pd.DataFrame(population(n, tasks=("rot", "cls"), seeds=range(1, seeds + 1), agreement=0.9, rng=rng))
    x, y = wide(df, "rot"), wide(df, "cls")
    found = analysis.reliability(df, resamples=0).set_index(["task", "k"])
    single = {"rot": mean_rho(x), "cls": mean_rho(y)}
    for task, r in single.items():
        assert found.loc[(task, 1), "reliability"] == pytest.approx(r)
        assert found.loc[(task, 3), "reliability"] == pytest.approx(3 * r / (1 + 2 * r))
        assert found.loc[(task, 3), "method"] == "spearman-brown"
        assert found.loc[(task, 2), "method"] == ("measured" if seeds == 4 else "spearman-brown")
    if seeds == 4:
        halves = [((0, 1), (2, 3)), ((1, 2), (3, 0))]
        measured = np.mean([stats.spearmanr(x[:, a].mean(1), x[:, b].mean(1)).statistic for a, b in halves])
        assert found.loc[("rot", 2), "reliability"] == pytest.approx(measured)
    limit = analysis.noise_ceiling(df, resamples=0).iloc[0]
    of_mean = {task: seeds * r / (1 + (seeds - 1) * r) for task, r in single.items()}
    rho = stats.spearmanr(x.mean(1), y.mean(1)).statistic
    assert limit["rho"] == pytest.approx(rho)
    if min(single.values()) > 0:
        assert limit["x_reliability"] == pytest.approx(of_mean["rot"])
        assert limit["ceiling"] == pytest.approx(np.sqrt(of_mean["rot"] * of_mean["cls"]))
        assert limit["rho_corrected"] == pytest.approx(rho / limit["ceiling"])
    else:
        assert np.isnan(limit["rho_corrected"])
        assert "do not agree" in limit["reason"]
    growing = analysis.rho_by_seeds(df, resamples=0).set_index("k")["rho"]
    assert growing[1] == pytest.approx(np.mean([stats.spearmanr(a, b).statistic for a in x.T for b in y.T]))
    if seeds == 3:
        assert growing[3] == pytest.approx(rho)
        twos = list(combinations(range(3), 2))
        both = [stats.spearmanr(x[:, a].mean(1), y[:, b].mean(1)).statistic for a in twos for b in twos]
        assert growing[2] == pytest.approx(np.mean(both))


def test_the_truth_of_a_known_study_is_found() -> None:
    known = Known(seeds=4)
    df = known.rows(1500, np.random.default_rng(0))
    found = analysis.reliability(df, resamples=100).set_index(["task", "k"])
    for k in (1, 2, 3):
        line = found.loc[("cls", k)]
        assert line["reliability"] == pytest.approx(known.reliability(k), abs=0.04)
        assert line["reliability_low"] < line["reliability"] < line["reliability_high"]
    limit = analysis.noise_ceiling(df, resamples=100).iloc[0]
    assert limit["rho"] == pytest.approx(spearman(known.between(0, 1)), abs=0.04)
    assert limit["rho_corrected"] == pytest.approx(spearman(known.between(0, 1, 0, 0)), abs=0.05)
    assert limit["ceiling"] == pytest.approx(known.reliability(4), abs=0.04)
    for line in analysis.rho_by_seeds(df, resamples=0).itertuples():
        assert line.rho == pytest.approx(spearman(known.between(0, 1, line.k, line.k)), abs=0.04)


def test_one_seed_has_no_reliability_and_the_reason_is_said() -> None:
    df = pd.DataFrame(population(12, tasks=("rot", "cls"), seeds=(1, 2, 3)))
    df = df[(df["task"] == "cls") | (df["seed"] == 2)]
    found = analysis.reliability(df).set_index("task")
    assert found.loc["rot", ["reliability", "reliability_low"]].isna().all(axis=None)
    assert set(found.loc["rot", "reason"]) == {"one seed only"}
    assert found.loc["cls", "reliability_high"].notna().all()
    limit = analysis.noise_ceiling(df).iloc[0]
    assert limit["reason"] == "x: one seed only"
    assert np.isnan(limit["ceiling"])
    assert np.isnan(limit["corrected_low"])
    assert np.isfinite(limit[["rho", "rho_low", "y_reliability"]].tolist()).all()
    growing = analysis.rho_by_seeds(df)
    assert growing[["k", "x_k", "y_k"]].values.tolist() == [[1, 1, 1], [2, 1, 2], [3, 1, 3]]


def test_a_ranking_without_noise_has_no_ceiling() -> None:
    rows = [
        row(task=t, arch=f"a{k}", seed=s, score_best=k / 10) for t in ("rot", "cls") for k in range(9) for s in (1, 2)
    ]
    limit = analysis.noise_ceiling(pd.DataFrame(rows), resamples=200).iloc[0]
    assert limit[["rho", "ceiling", "rho_corrected"]].tolist() == [1] * 3
    assert limit["interval_method"] == "degenerate"
    assert limit[["corrected_low", "corrected_high"]].isna().all()


def test_the_architectures_are_those_of_correlate_and_a_diverged_seed_ranks_last() -> None:
    df = pd.DataFrame(population(10, tasks=("rot", "cls"), seeds=(1, 2)))
    df.loc[(df["task"] == "rot") & (df["arch"] == "darts0003") & (df["seed"] == 1), "score_best"] = np.nan
    df = df[~((df["task"] == "cls") & (df["arch"] == "darts0004") & (df["seed"] == 2))]
    assert set(analysis.reliability(df, resamples=0)["n"]) == {9}
    assert set(analysis.reliability(df, resamples=0, diverged="drop")["n"]) == {8}
    alone = analysis.reliability(df, common="pair", resamples=0).drop_duplicates("task").set_index("task")
    assert alone["n"].to_dict() == {"rot": 10, "cls": 9}
    rot = df[df["task"] == "rot"].assign(score_best=lambda t: t["score_best"].fillna(-1000))
    assert alone.loc["rot", "reliability"] == pytest.approx(mean_rho(wide(rot, "rot")))
    assert alone.loc["rot", "rule"] != analysis.reliability(df, resamples=0, diverged="drop").loc[0, "rule"]


def test_nothing_and_next_to_nothing() -> None:
    empty = pd.DataFrame(population(0), columns=list(row()))
    for function in (analysis.reliability, analysis.noise_ceiling, analysis.rho_by_seeds):
        assert function(empty).empty
        few = function(pd.DataFrame(population(2, tasks=("rot", "cls"), seeds=(1, 2))))
        assert list(few) == list(function(empty))
        assert few.filter(regex="^rho|reliability|ceiling").isna().all(axis=None)
