"""Statistics of equal, opposite, tied, constant and short rankings: within their bounds, or missing with a reason."""

import math
import warnings
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import population, row
from scipy import stats

import analysis
from analysis import names
from analysis.statistics import ranks

pytestmark = pytest.mark.filterwarnings("error")


def seeded(**cells: Sequence[Sequence[float]]) -> pd.DataFrame:
    """Rows of tasks, each a list of architectures, each a list of scores by seed."""
    return pd.DataFrame(
        row(task=task, arch=f"a{k:02d}", seed=s, score_best=float(score))
        for task, archs in cells.items()
        for k, scores in enumerate(archs)
        for s, score in enumerate(scores, start=1)
    )


def single(**tasks: Sequence[float]) -> pd.DataFrame:
    return seeded(**{task: [[score] for score in scores] for task, scores in tasks.items()})


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_a_reliability_is_a_correlation_or_is_missing_for_a_reason(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    noise = [seeded(cls=rng.normal(size=(n, seeds))) for n in (3, 5, 8) for _ in range(4)]
    opposite = seeded(cls=[[1, 3, 2, 2][:seeds], [2, 2, 3, 1][:seeds], [3, 1, 1, 3][:seeds]])
    found = pd.concat([analysis.reliability(df, ks=(1, 2, 3, 5), resamples=60) for df in [*noise, opposite]])
    numbers = found[["reliability", "reliability_low", "reliability_high"]]
    assert ((numbers >= -1) & (numbers <= 1) | numbers.isna()).all(axis=None)
    assert (found["reliability"].isna() == (found["reason"] != "")).all()
    formula = found[found["method"] == "spearman-brown"]
    assert {"its seeds do not agree"} <= set(formula["reason"])
    assert (formula["reliability"].dropna() > 0).all()


def exact(x: Any, y: Any) -> float:
    x, y = (stats.rankdata(side) - (len(side) + 1) / 2 for side in (x, y))
    sums = np.abs(y[np.array(list(permutations(range(len(y)))))] @ x)
    return float((sums >= abs(x @ y) - 1e-9).mean())


@pytest.mark.parametrize("levels", [2, 4, 100])
def test_p_of_rho_is_exact_for_few_architectures_with_and_without_ties(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for n in (3, 5, 8, 8):
        both = rng.integers(0, levels, (n, 2)) + 0.0
        both[:2] = [[0, levels], [levels, 0]]
        p = ranks.spearman(both, [(0, 1)])[1][0]
        assert p == pytest.approx(exact(*both.T), abs=1e-12)
        assert ranks.permutation_p(both, [(0, 1)], 0, 0)[0] == p


@pytest.mark.parametrize("n", [3, 8, 9, 10, 11, 30])
def test_equal_rankings_have_the_least_p_of_all_pairings_and_no_interval(n: int) -> None:
    (line,) = analysis.correlate(single(rot=range(n), cls=range(n)), resamples=50).itertuples()
    assert (line.rho, line.p) == (1, pytest.approx(2 / math.factorial(n)))
    assert np.isnan([line.rho_low, line.rho_high]).all()
    assert line.interval_method == ("degenerate" if n >= 5 else "")


def test_eight_architectures_have_the_p_of_the_tables() -> None:
    """0.738 is the critical value of two-sided 0.05 in tables of Spearman's rho for n = 8; Student's t says 0.037."""
    p = ranks.spearman(np.array([[1, 2, 3, 4, 5, 6, 7, 8], [3, 1, 2, 5, 8, 4, 6, 7]], float).T, [(0, 1)])
    assert p[0][0] == pytest.approx(0.7381, abs=1e-4)
    assert p[1][0] == pytest.approx(0.0458, abs=1e-4)


def test_differences_of_perfect_proxies_have_a_p_above_zero_and_no_warning() -> None:
    df = single(rot=[1, 2, 3, 4, 5, 6], jig=[2, 1, 4, 3, 6, 5], cls=[1, 2, 3, 4, 5, 6])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (line,) = analysis.compare_proxies(df).itertuples()
    assert {line.a_rho, line.b_rho} == {1.0, 0.828571428571}
    assert np.isnan(line.p_mrr), "Fisher's z of 1 is infinite"
    assert 0.01 < line.p < 1
    against = single(rot=range(8), jig=[7, 6, 5, 4, 3, 2, 1, 0], cls=range(8))
    assert analysis.compare_proxies(against)["p_mrr"].isna().all()


def test_the_p_of_a_difference_says_what_its_interval_says() -> None:
    """A few rankings at high rho, where a standard error of Fisher's z is ruled by resamples next to 1."""
    rng = np.random.default_rng(0)
    clear = 0
    for own in (0.1, 0.2, 0.3):
        for _ in range(8):
            target = rng.normal(size=20)
            proxies = {"rot": target + own * rng.normal(size=20), "jig": target + 0.9 * rng.normal(size=20)}
            (line,) = analysis.compare_proxies(single(cls=target, **proxies), resamples=500).itertuples()
            excluded = line.difference_low > 0 or line.difference_high < 0
            assert excluded == (line.p < 0.05)
            clear += excluded
    assert clear >= 12, "and it finds differences that are there"


def test_equal_scores_are_named_as_the_reason_everywhere() -> None:
    df = pd.DataFrame(population(8, tasks=("cls", "rot", "jig"), seeds=(1, 2)))
    df.loc[df["task"] == "rot", ["score_best", "score_final"]] = 0.5
    df["curve_test_score"] = [[s, s] for s in df["score_best"]]
    df["curve_seconds"] = [[1.0, 1.0]] * len(df)
    df["params"] = range(len(df))
    for name in ("correlate", "rho_by_seeds", "size_effect", "size_proxies", "early_stopping", "compare_proxies"):
        table = analysis.compute(name, df, resamples=20)
        sides = [c for c in ("task", "x_task", "y_task", "proxy_task", "target_task", "a_task", "b_task") if c in table]
        constant = (table[sides] == "rot").any(axis=1)
        assert constant.any(), name
        assert table.loc[constant, "reason"].str.contains("all 8 have the same score").all(), name
        assert not table.loc[~constant, "reason"].str.contains("same score").any(), name
    lost = df.assign(score_best=df["score_best"].where(df["task"] != "rot"))
    reasons = analysis.correlate(lost, resamples=0).set_index(["x_task", "y_task"])["reason"]
    assert reasons["jig", "rot"] == "y: all 8 diverged"
    two = analysis.correlate(df[df["arch"] < "darts0002"], resamples=0)
    assert set(two["reason"]) == {"2 architectures to compare (3 are needed)"}


def test_pooled_says_what_is_wrong_with_its_spaces() -> None:
    rows = population(8, spaces=("a", "b", "c"), tasks=("cls", "rot"))
    df = pd.DataFrame(rows)
    df.loc[(df["space"] == "a") & (df["task"] == "rot"), "score_best"] = 0.5
    scores = df.loc[(df["space"] == "b") & (df["task"] == "cls"), "score_best"].to_numpy()
    df.loc[(df["space"] == "b") & (df["task"] == "rot"), "score_best"] = scores
    (line,) = analysis.pool_spaces(df).itertuples()
    assert line.reason == "1 of 3 spaces: a rho of 1 or -1; 1 of 3 spaces: equal scores, so no rho"


@pytest.mark.parametrize("m", [1, 2, 5, 20])
def test_the_band_of_small_experiments_holds_scores_that_occur(m: int) -> None:
    rng = np.random.default_rng(m)
    target = np.r_[rng.uniform(90, 94, 36), 10, 10, 10, 94.5]
    rows = single(cls=target).assign(dataset="b", dataset_id="b")
    df = pd.concat([rows, single(rot=target + rng.normal(size=40)).assign(dataset="a", dataset_id="a")])
    (line,) = analysis.random_experiment(df, sizes=[m], repeats=4000).itertuples()
    assert {line.best_low, line.best_median, line.best_high} <= set(target)
    assert line.best_low <= line.best_median <= line.best_high
    assert line.expected <= target.max()
    proxy = df[df["task"] == "rot"]["score_best"].to_numpy()
    draws = np.array([rng.choice(40, m, replace=False) for _ in range(4000)])
    best = target[np.take_along_axis(draws, proxy[draws].argmax(axis=1)[:, None], 1)[:, 0]]
    assert (best < line.best_low).mean() < 0.115
    assert (best > line.best_high).mean() < 0.115
    whole = analysis.random_experiment(df, sizes=m, band=0.999999).iloc[0]
    assert whole["best_high"] <= 94.5


@pytest.mark.parametrize("wide", [0.4, 0.05, 0.011, 0.0027, 1e-5])
def test_a_printed_interval_holds_the_printed_value(wide: float) -> None:
    rng = np.random.default_rng(0)
    for value in rng.uniform(-0.6, 0.95, 200):
        low, high = value - wide * rng.uniform(0, 1), value + wide * rng.uniform(0, 0.2)
        said, bounds = names.with_interval(value, low, high)
        first, last = (float(one.replace("−", "-")) for one in bounds.strip("[]").split(", "))
        assert first <= float(said.replace("−", "-")) <= last
        assert first < last
        table = pd.DataFrame({"rho": [value], "rho_low": [low], "rho_high": [high]})
        (shown,) = analysis.for_display(table).itertuples(index=False)
        first, last = map(float, shown.interval.strip("[]").split(", "))
        assert first <= float(shown.rho) <= last
        assert first < last


def test_a_path_or_a_text_in_the_place_of_rows_or_numbers_is_said() -> None:
    df = pd.DataFrame(population(6, tasks=("cls", "rot"), seeds=(1, 2)))
    for name in analysis.TABLES:
        for given in ("runs/x", ["runs/x"], None):
            with pytest.raises(TypeError, match=r"expected a DataFrame of rows, as `analysis.load\(run\)`"):
                analysis.compute(name, given)  # type: ignore[arg-type]
    functions: Any = [
        analysis.correlate,
        analysis.early_stopping,
        analysis.cheapest,
        analysis.means,
        analysis.random_experiment,
    ]
    for function in [*functions, analysis.top_k, analysis.for_display, analysis.figures.scatter]:
        with pytest.raises(TypeError, match="expected a DataFrame"):
            function("runs/x")
    wrong: Any
    for function, option, wrong in (
        (analysis.reliability, "ks", "12"),
        (analysis.rho_by_seeds, "ks", ["1"]),
        (analysis.top_k, "k", "5"),
        (analysis.random_search, "sizes", "8"),
        (analysis.random_experiment, "sizes", 1.5),
        (analysis.early_stopping, "epochs", "3"),
    ):
        with pytest.raises(TypeError, match=f"{option}: expected whole numbers"):
            function(df, **{option: wrong})
    with pytest.raises(TypeError, match=r"\{\"task\": \"rot\"\}, not 'rot'"):
        analysis.top_k(df, proxy="rot")  # type: ignore[arg-type]
    assert len(analysis.top_k(df, k=3)) == len(analysis.top_k(df, k=[3]))
    for nothing in (lambda: analysis.query([], "select 1"), lambda: analysis.report([])):
        with pytest.raises(ValueError, match="no run was given"):
            nothing()
