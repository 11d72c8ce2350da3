"""How good a proxy's best architectures are on the target, and comparison of two proxies."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import Known, spearman
from made_up import population, row
from scipy import stats

import analysis
from analysis.statistics.proxy_differences import holm, meng

pytestmark = pytest.mark.filterwarnings("error")
SCORES = st.integers(0, 4).map(float)  # few values: ties are the hard part


def tasks(**scores: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [row(task=t, arch=f"a{k:02d}", score_best=v) for t, values in scores.items() for k, v in enumerate(values)]
    )


def orders(scores: list[float], k: int) -> list[tuple[int, ...]]:
    """Every set of k best that breaking ties at random can give, each as likely as the others."""
    n = len(scores)
    every = itertools.permutations(range(n))
    return list({tuple(sorted(sorted(range(n), key=lambda i: (-scores[i], turn[i]))[:k])) for turn in every})


@settings(max_examples=20)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=6))
def test_picks_are_the_mean_over_all_ways_to_break_ties(pairs: list[tuple[float, float]]) -> None:
    proxy, target = map(list, zip(*pairs, strict=True))
    n = len(pairs)
    found = analysis.top_k(tasks(rot=proxy, cls=target), k=range(1, n + 1), top=0.4).set_index("k")
    good = orders(target, math.ceil(0.4 * n))
    for k in range(1, n + 1):
        mine, theirs, drawn = orders(proxy, k), orders(target, k), list(itertools.combinations(range(n), k))
        shared = [len(set(a) & set(b)) / k for a in mine for b in theirs]
        assert found.loc[k, "overlap"] == pytest.approx(np.mean(shared))
        assert found.loc[k, "precision"] == pytest.approx(
            np.mean([len(set(a) & set(b)) / k for a in mine for b in good])
        )
        assert found.loc[k, "chosen"] == pytest.approx(np.mean([max(target[i] for i in a) for a in mine]))
        assert found.loc[k, "regret"] == pytest.approx(max(target) - found.loc[k, "chosen"])
        assert found.loc[k, "regret_random"] == pytest.approx(
            max(target) - np.mean([max(target[i] for i in a) for a in drawn])
        )
        place = [stats.percentileofscore([*target[:i], *target[i + 1 :]], target[i], "mean") for i in range(n)]
        best = np.mean([place[max(a, key=lambda i: target[i])] for a in mine])
        assert found.loc[k, "percentile"] == pytest.approx(best)


def test_a_perfect_proxy_and_one_that_knows_nothing() -> None:
    scores = [float(k) for k in range(40)]
    same = analysis.top_k(tasks(rot=scores, cls=scores), k=(1, 10, 999)).set_index("k")
    assert list(same.index) == [1, 10], "no k beyond n"
    assert (same[["overlap", "regret", "percentile"]] == [1, 0, 100]).all(axis=None)
    assert same["precision"].tolist() == [1, 0.4]
    flat = analysis.top_k(tasks(rot=[0.5] * 40, cls=scores), k=(1, 10))
    for name in ("overlap", "precision", "regret", "percentile"):
        assert flat[name].tolist() == pytest.approx(flat[f"{name}_random"].tolist())
    with pytest.raises(ValueError, match="at least 1"):
        analysis.top_k(tasks(rot=scores, cls=scores), k=(0,))


def test_the_truth_of_a_known_study_is_found() -> None:
    known = Known(in_quality=(0.9, 0.95))
    found = analysis.top_k(known.rows(2000, np.random.default_rng(0)), k=(200,)).iloc[0]
    r, q = known.between(0, 1), stats.norm.ppf(0.1)
    both = stats.multivariate_normal(cov=[[1, r], [r, 1]]).cdf([q, q])  # in the best tenth of proxy and target
    assert found[["overlap", "precision"]].tolist() == pytest.approx([both / 0.1] * 2, abs=0.1)
    assert found["overlap_random"] == 0.1


def test_a_target_that_diverged_cannot_be_regretted() -> None:
    got = analysis.top_k(tasks(rot=[1, 2, 3, 4], cls=[math.nan, 3, 2, 1]), k=[1]).iloc[0]
    assert got[["n", "n_dropped", "regret", "percentile"]].tolist() == [3, 1, 2, 0]


def test_the_difference_of_two_proxies_of_one_target() -> None:
    known = Known(in_quality=(0.95, 0.9, 0.6))
    df = known.rows(900, np.random.default_rng(0))
    (got,) = analysis.compare_proxies(df, resamples=300).itertuples()
    assert (got.a_task, got.b_task, got.target_task) == ("jig", "rot", "cls")
    truth = spearman(known.between(2, 1)) - spearman(known.between(0, 1))
    assert got.difference == pytest.approx(got.a_rho - got.b_rho) == pytest.approx(truth, abs=0.05)
    assert got.difference_low < truth < got.difference_high < 0
    assert got.p < 1e-6
    assert got.p_mrr < 1e-6
    alike = Known(in_quality=(0.8, 0.9, 0.8)).rows(900, np.random.default_rng(1))
    none = analysis.compare_proxies(alike).iloc[0]
    assert none["p"] == pytest.approx(none["p_mrr"], abs=0.07)
    assert none["difference_low"] < 0 < none["difference_high"]


def test_holm_and_meng_by_hand() -> None:
    corrected = holm(np.array([0.01, 0.04, np.nan, 0.03, 0.5]))
    assert corrected.tolist() == pytest.approx([0.04, 0.09, np.nan, 0.09, 0.5], nan_ok=True)
    # The example of their paper has z = 1.68 with the variance of Pearson's r and the normal distribution.
    ranked = 1.68 / math.sqrt(1 + (0.63**2 + 0.03**2) / 4)
    assert meng(0.63, -0.03, -0.19, 15) == pytest.approx(2 * stats.t.sf(ranked, 12), abs=0.001)
    three = pd.DataFrame(population(30, tasks=("cls", "rot", "col", "jig"), agreement=0.6))
    table = analysis.compare_proxies(three, resamples=200)
    assert len(table) == 3
    assert table["p_holm"].tolist() == pytest.approx(holm(table["p"].to_numpy()).tolist())
    assert (table["p_holm"] >= table["p"]).all()


def test_a_proxy_is_not_told_from_itself() -> None:
    df = tasks(rot=[1, 3, 2, 5, 4, 6], jig=[1, 3, 2, 5, 4, 6], cls=[1, 2, 3, 4, 5, 6])
    got = analysis.compare_proxies(df, resamples=100).iloc[0]
    assert (got["difference"], got["interval_method"]) == (0, "degenerate")
    assert got[["difference_low", "difference_high", "p"]].isna().all()


def test_spaces_are_pooled_and_their_disagreement_is_measured() -> None:
    sizes, rhos, parts = (30, 50, 80), [], []
    for k, n in enumerate(sizes):
        rows = population(n, spaces=(f"s{k}",), tasks=("rot", "cls"), agreement=0.5 + 0.2 * k, rng=k)
        parts += rows
        rhos.append(analysis.correlate(pd.DataFrame(rows), resamples=0)["rho"].iloc[0])
    got = analysis.pool_spaces(pd.DataFrame(parts)).iloc[0]
    z, v = np.arctanh(rhos), (1 + np.square(rhos) / 2) / (np.array(sizes) - 3)
    fixed = np.average(z, weights=1 / v)
    q = np.sum((z - fixed) ** 2 / v)
    tau2 = (q - 2) / (np.sum(1 / v) - np.sum(1 / v**2) / np.sum(1 / v))
    assert tau2 > 0
    assert (got["spaces"], got["n"]) == (3, 160)
    assert got["q"] == pytest.approx(q)
    assert got["q_p"] == pytest.approx(stats.chi2.sf(q, 2))
    assert got["i2"] == pytest.approx(1 - 2 / q)
    assert got["tau2"] == pytest.approx(tau2)
    assert got["rho_fixed"] == pytest.approx(np.tanh(fixed))
    assert got["rho"] == pytest.approx(np.tanh(np.average(z, weights=1 / (v + tau2))))
    w = 1 / (v + tau2)
    scatter = max(1, np.sum(w * (z - np.average(z, weights=w)) ** 2) / 2)
    half = 4.302653 * np.sqrt(scatter / np.sum(w))  # Student's t with 2 degrees of freedom
    common = fixed - 1.959964 / np.sqrt(np.sum(1 / v))
    assert got["fixed_low"] == pytest.approx(np.tanh(common))
    assert got["rho_high"] == pytest.approx(np.tanh(np.arctanh(got["rho"]) + half))
    alone = analysis.pool_spaces(pd.DataFrame(parts[: 2 * sizes[0]]))
    assert alone.empty
    sure = [row(space=s, task=t, arch=f"a{k}", score_best=k) for s in "ab" for t in ("rot", "cls") for k in range(6)]
    nothing = analysis.pool_spaces(pd.DataFrame(sure)).iloc[0]
    assert np.isnan(nothing["rho"])
    assert "2 of 2 spaces" in nothing["reason"]
