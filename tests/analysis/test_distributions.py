"""Distributions of scores, and what random search finds in them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import Known
from made_up import population, row
from scipy import stats

import analysis

pytestmark = pytest.mark.filterwarnings("error")


def cell(scores: list[float]) -> pd.DataFrame:
    return pd.DataFrame([row(arch=f"a{k:04d}", score_best=s) for k, s in enumerate(scores)])


@settings(max_examples=6)
@given(st.lists(st.integers(0, 5).map(float), min_size=1, max_size=7))
def test_each_figure_by_counting(scores: list[float]) -> None:
    found = analysis.distributions(cell(scores))
    counted = stats.ecdf(scores).cdf
    assert found["score"].tolist() == counted.quantiles.tolist()
    assert found["edf"].tolist() == pytest.approx(counted.probabilities.tolist())
    random = analysis.random_search(cell(scores), sizes=range(1, len(scores) + 1), confidence=0.8).set_index("m")
    for m in range(1, len(scores) + 1):
        bests = np.sort([max(draw) for draw in itertools.combinations(scores, m)])
        assert random.loc[m, "expected"] == pytest.approx(bests.mean())
        assert random.loc[m, "std"] == pytest.approx(bests.std(), abs=1e-7)
        wanted = np.quantile(bests, [0.1, 0.5, 0.9], method="inverted_cdf")
        assert random.loc[m, ["best_low", "best_median", "best_high"]].tolist() == wanted.tolist()


def test_the_band_holds_the_whole_distribution_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(20):
        found = analysis.distributions(cell(list(rng.uniform(size=50))), confidence=0.8)
        before = np.r_[0, found["edf"].to_numpy()[:-1]]  # just below a score the function is that of the score before
        reach = (found["edf"] - found["edf_low"]).max()
        inside += bool(((found["edf_low"] <= found["score"]) & (found["score"] <= before + reach)).all())
    assert inside >= 12  # 80 % of 20 is 16; fewer than 12 has a chance of 1 in 100


def test_the_truth_of_a_known_study_is_found() -> None:
    known = Known()
    df = known.rows(1500, np.random.default_rng(0))
    spread = np.sqrt(1 + known.noise**2 / known.seeds)
    found = analysis.distributions(df)
    truth = stats.norm(scale=spread).cdf(found["score"])
    assert (found["edf_low"] < truth).all()
    assert (truth < found["edf_high"]).all()
    best = analysis.random_search(df, sizes=[1, 4]).groupby("m")["expected"].mean()
    assert best.tolist() == pytest.approx([0, 1.02938 * spread], abs=0.05)  # the largest of four normal numbers


def test_many_scores_are_thinned_and_keep_the_last() -> None:
    scores = np.random.default_rng(0).normal(size=3000)
    found = analysis.distributions(cell(list(scores)), points=100)
    assert len(found) == 100
    assert found.iloc[-1][["score", "edf"]].tolist() == [scores.max(), 1]
    assert found["edf"].diff().max() < 0.011
    assert len(analysis.distributions(cell(list(scores)), points=None)) == 3000


def test_what_diverged_lies_below_every_score() -> None:
    df = cell([np.nan, 0.2, 0.4, np.nan])
    found = analysis.distributions(df)
    assert found[["score", "edf"]].values.tolist() == [[0.2, 0.75], [0.4, 1]]
    assert analysis.distributions(df, diverged="drop")["edf"].tolist() == [0.5, 1]
    random = analysis.random_search(df, sizes=[1, 3]).set_index("m")
    assert np.isnan(random.loc[1, "expected"])
    assert random.loc[1, "best_low"] == -np.inf
    assert random.loc[3, "expected"] == pytest.approx(0.4 * 3 / 4 + 0.2 / 4)
    empty = pd.DataFrame(population(0), columns=list(row()))
    for function in (analysis.distributions, analysis.random_search):
        assert list(function(empty)) == list(function(df))
