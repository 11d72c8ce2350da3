"""Rank correlation with network size held constant."""

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


def two_tasks(x: list[float], y: list[float], params: list[int], macs: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            row(task=task, arch=f"a{k:02d}", score_best=scores[k], params=params[k], macs=macs[k])
            for task, scores in (("rot", x), ("cls", y))
            for k in range(len(x))
        ]
    )


def residual(values: np.ndarray, given: list[np.ndarray]) -> np.ndarray:
    """What is left of ranks once those of others are regressed out."""
    design = np.column_stack([np.ones(len(values)), *(stats.rankdata(g) for g in given)])
    ranks = stats.rankdata(values)
    return ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]


@settings(max_examples=10)
@given(st.integers(8, 30), st.integers(0, 999))
def test_partial_rho_is_that_between_residuals_of_ranks(n: int, rng: int) -> None:
    draw = np.random.default_rng(rng)
    params = draw.integers(1, 9, n)  # many ties
    macs = params + draw.integers(0, 6, n)
    x, y = params + draw.normal(0, 2, n), macs + draw.normal(0, 2, n)
    got = analysis.size_effect(two_tasks(list(x), list(y), list(params), list(macs)), resamples=0).iloc[0]
    for name, given_ in {"params": [params], "macs": [macs], "both": [params, macs]}.items():
        r = stats.pearsonr(residual(x, given_), residual(y, given_)).statistic
        assert got[f"rho_given_{name}"] == pytest.approx(r, abs=1e-6)
    assert got["rho"] == pytest.approx(stats.spearmanr(x, y).statistic)
    alone = analysis.size_proxies(two_tasks(list(x), list(y), list(params), list(macs)), resamples=0)
    assert alone["rho_params"].tolist() == pytest.approx([stats.spearmanr(v, params).statistic for v in (x, y)])
    assert alone["rho_macs"].tolist() == pytest.approx([stats.spearmanr(v, macs).statistic for v in (x, y)])


def test_thirds_hold_each_architecture_once_and_equal_sizes_together() -> None:
    params = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    x, y = [1, 2, 3, 1, 2, 3, 1, 2, 3], [1, 2, 3, 3, 2, 1, 1, 2, 3]
    got = analysis.size_effect(two_tasks(x, y, params, params), resamples=50).iloc[0]
    assert got[["rho_small", "rho_medium", "rho_large"]].tolist() == [1, -1, 1]
    assert got[["n_small", "n_medium", "n_large"]].tolist() == [3, 3, 3]
    ten = analysis.size_effect(two_tasks([*x, 4], [*y, 4], [*params, 10], [*params, 10]), resamples=0).iloc[0]
    assert ten[["n_small", "n_medium", "n_large"]].tolist() == [3, 4, 3]
    tied = analysis.size_effect(two_tasks(x, y, [1, 1, 1, 1, 1, 1, 1, 8, 9], params), resamples=0).iloc[0]
    assert tied[["n_small", "n_medium", "n_large"]].sum() == 9
    assert tied[["n_small", "n_medium", "n_large"]].max() == 7


def test_the_truth_of_a_known_study_is_found() -> None:
    known = Known()
    df = known.rows(1500, np.random.default_rng(0))
    got = analysis.size_effect(df, resamples=100).iloc[0]
    for name, given_ in {"params": [2], "macs": [3], "both": [2, 3]}.items():
        assert got[f"rho_given_{name}"] == pytest.approx(known.partial(0, 1, given_), abs=0.04)
        assert got[f"rho_given_{name}_low"] < got[f"rho_given_{name}"] < got[f"rho_given_{name}_high"]
    alone = analysis.size_proxies(df, resamples=100).set_index("task")
    assert alone.loc["cls", "rho_params"] == pytest.approx(known.matrix(0, 1)[1, 2], abs=0.05)
    assert alone.loc["cls", "rho_macs"] == pytest.approx(known.matrix(0, 1)[1, 3], abs=0.05)


def test_where_size_explains_everything_nothing_is_left() -> None:
    draw = np.random.default_rng(2)
    size = draw.permutation(900)
    x, y = (size + draw.normal(0, 240, 900) for _ in range(2))
    got = analysis.size_effect(two_tasks(list(x), list(y), list(size), list(size + 1)), resamples=50).iloc[0]
    assert got["rho"] > 0.5
    assert abs(got["rho_given_params"]) < 0.1
    assert np.isnan(got["rho_given_both"])
    assert got["reason"] == "params and MACs rank alike"


def test_sizes_that_are_unknown_or_all_equal_are_said_so() -> None:
    df = pd.DataFrame(population(9, tasks=("rot", "cls")))
    same = analysis.size_effect(df).iloc[0]
    assert same["reason"] == "all of one size"
    assert np.isfinite(same["rho_low"])
    assert np.isnan(same["rho_given_params"])
    none = analysis.size_effect(df.drop(columns=["params", "macs"])).iloc[0]
    assert (none["reason"], none["n"]) == ("sizes unknown", 9)
    assert none["rho"] == same["rho"]
    assert none[["n_small", "n_medium", "n_large"]].tolist() == [0, 0, 0]
    sized = df.assign(params=range(18), macs=range(18)).astype({"params": "Int64"})
    sized.loc[sized["arch"] == "darts0003", "params"] = None
    part = analysis.size_effect(sized).iloc[0]
    assert (part["n"], part["n_dropped"]) == (8, 1)
    assert set(analysis.size_proxies(sized)["n"]) == {8}
    long = pd.DataFrame({"net": list("abcdef"), "acc": [1.0, 2, 3, 4, 5, 6]})
    table = analysis.from_table(long, space="s", arch="net", dataset="d", task="cls", value="acc")
    assert analysis.size_proxies(table)["reason"].tolist() == ["sizes unknown"]
