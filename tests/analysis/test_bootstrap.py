"""Bootstrap intervals: ranks of resamples without sorting, bounds equal to those of SciPy, coverage."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics import bootstrap, ranks

pytestmark = pytest.mark.filterwarnings("error")
RHO = bootstrap.of_pairs([(0, 1)])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=3, max_size=12))
def test_ranks_of_a_resample_are_those_of_its_rows(rows: list[tuple[int, int, int]]) -> None:
    x, y, counts = np.array(rows).T
    got = ranks.Ranked(np.column_stack([x, y, -y]).astype(float)).matrices(counts[None])[0]
    picked = [np.repeat(column, counts) for column in (x, y)]
    if min(len(set(column)) for column in picked) < 2:
        assert np.isnan(got[0, 1])
    else:
        assert got[0, 1] == pytest.approx(stats.spearmanr(*picked).statistic)
        assert got[0, 2] == pytest.approx(-got[0, 1])


@settings(max_examples=15)
@given(st.integers(6, 14), st.integers(0, 99), st.sampled_from([0.5, 0.9]))
def test_bounds_are_those_of_the_formula(n: int, rng: int, confidence: float) -> None:
    values = np.random.default_rng(rng).integers(0, 4, (n, 2)).astype(float)  # resamples often give rho itself
    values[:, 1] += values[:, 0]
    found = bootstrap.estimate(values, RHO, bootstrap.Resampling(300, confidence))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        without = np.array([stats.spearmanr(*np.delete(values, k, axis=0).T).statistic for k in range(n)])
    if found.method != ["bca"] or np.isnan(without).any():
        return
    drawn, rho = found.drawn[0][np.isfinite(found.drawn[0])], stats.spearmanr(*values.T).statistic
    assert found.value[0] == pytest.approx(rho)
    apart = without.mean() - without
    a = (apart**3).sum() / (6 * max((apart**2).sum(), 1e-12) ** 1.5)
    below = np.mean([d < rho - 1e-10 for d in drawn]) + np.mean([abs(d - rho) < 1e-10 for d in drawn]) / 2
    z0 = stats.norm.ppf(below)
    tails = [z0 + stats.norm.ppf(t) for t in ((1 - confidence) / 2, (1 + confidence) / 2)]
    wanted = [np.quantile(drawn, stats.norm.cdf(z0 + t / (1 - a * t))) for t in tails]
    assert [found.low[0], found.high[0]] == pytest.approx(wanted, abs=1e-6)


def test_the_interval_is_that_of_ranking_every_resample_anew() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 12, 30).astype(float)  # many ties
    y = x + rng.normal(0, 4, 30)
    ranked = np.r_[[-np.inf] * 3, y[3:]]
    some = rng.integers(0, 30, (50, 30))
    anew = [stats.spearmanr(x[p], stats.rankdata(ranked[p]))[0] for p in some]
    assert ranks.resampled(np.stack([x, ranked], 1), [(0, 1)], some)[0] == pytest.approx(np.array(anew))
    wanted = stats.bootstrap(
        (x, ranked), lambda a, b: stats.spearmanr(a, b)[0], paired=True, vectorized=False, n_resamples=2000,
        confidence_level=0.9, rng=rng,
    ).confidence_interval  # fmt: skip
    got = bootstrap.estimate(np.column_stack([x, ranked]), RHO, bootstrap.Resampling(4000, 0.9))
    assert got.method == ["bca"]
    assert [got.low[0], got.high[0]] == pytest.approx(list(wanted), abs=0.03)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    pearson, n, repeats = 0.85, 60, 150
    truth = 6 / np.pi * np.arcsin(pearson / 2)  # Spearman's rho of a bivariate normal distribution
    covered = 0
    for _ in range(repeats):
        x, noise = rng.normal(size=(2, n))
        values = np.column_stack([x, pearson * x + np.sqrt(1 - pearson**2) * noise])
        found = bootstrap.estimate(values, RHO, bootstrap.Resampling(400, 0.9, 0))
        covered += found.low[0] <= truth <= found.high[0]
    assert 0.83 <= covered / repeats <= 0.97


def test_many_architectures_are_left_out_in_groups() -> None:
    rng = np.random.default_rng(3)
    x = rng.exponential(size=5200)
    values = np.column_stack([x, x + rng.exponential(size=5200)])
    found = bootstrap.estimate(values, RHO, bootstrap.Resampling(1500))
    assert found.method == ["bca, grouped jackknife"]
    assert (found.value[0] - found.low[0]) / found.drawn.std() == pytest.approx(1.96, abs=0.25)
    assert (found.high[0] - found.value[0]) / found.drawn.std() == pytest.approx(1.96, abs=0.25)


def test_an_interval_that_cannot_be_is_not_given() -> None:
    values = np.column_stack([np.arange(12.0), np.arange(12.0)])
    sure = bootstrap.estimate(values, RHO, bootstrap.Resampling(50))
    assert (sure.value[0], sure.method) == (1, ["degenerate"])
    assert np.isnan([sure.low[0], sure.high[0]]).all(), "every resample of two equal rankings says 1, whatever is true"
    for few in (values[:4], values * [1, 0], values * [1, np.nan]):
        assert bootstrap.estimate(few, RHO, bootstrap.Resampling(50)).method == [""]
    rare = np.column_stack([values[:, 0], np.arange(12) == 3])  # constant in a third of the resamples
    assert np.isnan(bootstrap.estimate(rare, RHO, bootstrap.Resampling(200)).low[0])
    with pytest.raises(ValueError, match=r"confidence.*95"):
        bootstrap.Resampling(confidence=95)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap.Resampling(-1)
