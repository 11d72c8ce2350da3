"""Kendall's tau in several forms, and one architecture for each network."""

import numpy as np
import pandas as pd
import pytest
from made_up import row
from scipy import stats

import analysis
from analysis.statistics.taus import tau_interval

pytestmark = pytest.mark.filterwarnings("error")


def pair(x: list[float], y: list[float]) -> pd.Series:
    """The line of two tasks; architectures have the order of their texts."""
    values = [("rot", x), ("cls", y)]
    df = pd.DataFrame(
        [row(task=task, arch=f"a{k:04}", score_best=v) for task, own in values for k, v in enumerate(own)]
    )
    (line,) = [found for _, found in analysis.taus(df).iterrows()]
    return line


def test_without_ties_the_forms_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    x = rng.permutation(60) / 60
    y = 0.6 * x + rng.random(60)
    line = pair(list(x), list(y))
    assert line["tau"] == pytest.approx(stats.kendalltau(x, y).statistic)
    assert line["tau_rlnas"] == line["tau"]
    assert line["tau_weighted"] == pytest.approx(stats.weightedtau(x, y).statistic)
    assert line["tau_low"] < line["tau"] < line["tau_high"]


def test_equal_scores_have_the_order_of_the_texts() -> None:
    """By hand: places 1 0 2 and 0 1 2 of the first; the two equal scores keep their order."""
    line = pair([0.5, 0.5, 0.1], [0.2, 0.3, 0.1])
    assert line["tau_rlnas"] == pytest.approx(1 / 3)
    assert pair([0.5, 0.5, 0.1], [0.3, 0.2, 0.1])["tau_rlnas"] == pytest.approx(1)
    assert line["tau"] == pytest.approx(2 / np.sqrt(2 * 3))


def test_the_release_of_rlnas_counts_ties_by_their_order() -> None:
    """Integer ranks of two stable descending sorts, written out."""
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 5, 80) / 5, rng.random(80)
    ranks = []
    for values in (x, y):
        order = sorted(range(80), key=lambda k: -values[k])
        ranks.append([order.index(k) for k in range(80)])
    assert pair(list(x), list(y))["tau_rlnas"] == pytest.approx(stats.kendalltau(*ranks).statistic)


def test_an_exchange_at_the_top_costs_more_than_one_at_the_bottom() -> None:
    best = [float(k) for k in range(20)]
    top, bottom = best.copy(), best.copy()
    top[-2:], bottom[:2] = top[:-3:-1], bottom[1::-1]
    of_top, of_bottom = pair(best, top), pair(best, bottom)
    assert of_top["tau"] == of_bottom["tau"]
    assert of_top["tau_weighted"] < of_bottom["tau_weighted"] < 1


@pytest.mark.parametrize("digits", [1, 6])
def test_the_interval_is_that_of_the_jackknife(digits: int) -> None:
    rng = np.random.default_rng(5)
    x = rng.random(150).round(digits)
    y = (0.7 * x + 0.5 * rng.random(150)).round(digits)
    tau = float(stats.kendalltau(x, y).statistic)
    without = [stats.kendalltau(np.delete(x, k), np.delete(y, k)).statistic for k in range(150)]
    error = np.sqrt(149 / 150 * ((np.array(without) - np.mean(without)) ** 2).sum()) / (1 - tau**2)
    low, high = tau_interval(x, y, tau, 0.95)
    assert np.arctanh(high) - np.arctanh(tau) == pytest.approx(1.96 * error, rel=0.03)
    assert np.arctanh(tau) - np.arctanh(low) == pytest.approx(1.96 * error, rel=0.03)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Normal pairs with r = 0.6: tau is 2 / pi * asin(r)."""
    rng, held = np.random.default_rng(7), 0
    truth = 2 / np.pi * np.arcsin(0.6)
    for _ in range(400):
        x = rng.standard_normal(60)
        y = 0.6 * x + 0.8 * rng.standard_normal(60)
        low, high = tau_interval(x, y, float(stats.kendalltau(x, y).statistic), 0.95)
        held += low <= truth <= high
    assert stats.binomtest(held, 400, 0.95).pvalue > 1e-3


def test_where_there_is_nothing_to_rank() -> None:
    line = pair([0.5, 0.5, 0.5], [0.2, 0.3, 0.1])
    assert line[["tau", "tau_low", "tau_high", "tau_rlnas", "tau_weighted"]].isna().all()
    assert line["reason"]
    assert pair([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])[["tau_low", "tau_high"]].isna().all()


def test_one_architecture_for_each_network() -> None:
    rows = [
        row(arch="b", arch_id="1", score_best=0.2),
        row(arch="a", arch_id="1", score_best=0.3),
        row(arch="c", arch_id="2", score_best=0.4),
        row(arch="d", arch_id=None, score_best=0.4),
        row(arch="b", arch_id="1", space="other", score_best=0.2),
        row(arch="*", arch_id="*", score_best=0.2),
        row(arch="*", arch_id="*", seed=2, score_best=0.2),
    ]
    found = analysis.distinct(pd.DataFrame(rows))
    assert found["arch"].tolist() == ["a", "c", "d", "b", "*", "*"]
    with pytest.raises(ValueError, match="without the column arch_id"):
        analysis.distinct(pd.DataFrame(rows).drop(columns="arch_id"))
