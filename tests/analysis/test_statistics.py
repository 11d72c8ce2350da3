"""Properties of all statistics: columns do not depend on the data, and the rule is stated."""

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import failed, population, row

import analysis

pytestmark = pytest.mark.filterwarnings("error")
EVERY = (
    analysis.correlate,
    analysis.reliability,
    analysis.noise_ceiling,
    analysis.rho_by_seeds,
    analysis.size_effect,
    analysis.size_proxies,
    analysis.early_stopping,
    analysis.cheapest,
    analysis.top_k,
    analysis.compare_proxies,
    analysis.pool_spaces,
    analysis.distributions,
    analysis.random_search,
)
NOTHING = pd.DataFrame(population(0), columns=list(row()))
FRAMES = {
    "one cell": pd.DataFrame(population(6, tasks=("cls",))),
    "failures alone": pd.DataFrame([failed(arch=a, task=t) for a in "abc" for t in ("cls", "rot")]),
    "no cls": pd.DataFrame(population(6, tasks=("rot", "jig", "col"), spaces=("a", "b"))),
    "diverged alone": pd.DataFrame(population(6, tasks=("cls", "rot"))).assign(score_best=np.nan),
    "no curves": pd.DataFrame(population(6)).assign(curve_test_score=None, curve_seconds=None),
}


@pytest.mark.parametrize("function", EVERY)
def test_columns_and_their_types_are_always_the_same(function: Callable[..., pd.DataFrame]) -> None:
    types = function(NOTHING).dtypes
    for name, df in FRAMES.items():
        pd.testing.assert_series_equal(function(df).dtypes, types, obj=name)


@pytest.mark.parametrize("function", [one for one in EVERY if one is not analysis.cheapest])
def test_the_rule_stands_beside_every_figure(function: Callable[..., pd.DataFrame]) -> None:
    df = pd.DataFrame(population(6, spaces=("a", "b"), seeds=(1, 2)))
    found = function(df, common="pair", diverged="drop", chance=0.1)
    assert len(found)
    for words in ("score_best", "every seed succeeded in the", "left out", "0.1"):
        assert found["rule"].str.replace("both", "the").str.contains(words).all()
    with pytest.raises(ValueError, match="common"):
        function(df, common="some")


def test_the_options_of_every_function_are_those_of_the_page() -> None:
    """docs/statistics.md lists what a function does not take; all else it takes."""
    text = (Path(__file__).parents[2] / "docs/statistics.md").read_text(encoding="utf-8")
    options = {"common", "score", "diverged", "chance", "resamples", "confidence", "seed"}
    lacks = {
        "means": options - {"score"},
        "random_experiment": {"resamples", "confidence"},
        "top_k": {"resamples", "confidence", "seed"},
        "random_search": {"resamples", "seed"},
        "distributions": {"resamples", "seed"},
        "pool_spaces": {"resamples", "seed"},
    }
    assert all(f"`{name}`" in text.split("| function | does not take |")[1] for name in lacks)
    for function in (*EVERY, analysis.means, analysis.random_experiment, analysis.report):
        first, *others = inspect.signature(function).parameters.values()
        keywords = [one for one in others if (function, one.name) != (analysis.report, "out")]
        assert all(one.kind is one.KEYWORD_ONLY for one in keywords), f"{function.__name__}: all but {first.name}"
        taken = options & {one.name for one in others}
        assert options - taken == lacks.get(function.__name__, set()), function.__name__


def test_all_names_of_the_package_are_there_and_only_those() -> None:
    """They are imported at their first use."""
    assert all(getattr(analysis, name) is not None and name in dir(analysis) for name in analysis.__all__)
    with pytest.raises(AttributeError, match="no attribute 'correlations'"):
        analysis.correlations  # noqa: B018
