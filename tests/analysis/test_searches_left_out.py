"""Rows of searches, whose architecture is `*`, take no part in comparisons of architectures."""

from typing import Any

import pandas as pd
import pytest

import analysis
from analysis.comparison.trials import gather
from analysis.rows.schema import frame

from .made_up import row, table


def trained() -> list[dict[str, Any]]:
    scores = {"cls": [0.5, 0.6, 0.7, 0.8], "rot": [0.4, 0.6, 0.5, 0.9]}
    return [row(arch=f"a{k}", task=task, score_best=s) for task, values in scores.items() for k, s in enumerate(values)]


@pytest.mark.parametrize("common", ["pair", "all"])
def test_a_search_changes_no_correlation(common: str) -> None:
    """Under `common="all"` a cell with a search alone would leave no architecture in common."""
    which: dict[str, Any] = {"arch": "*", "method": "darts", "recipe": "darts", "found": "a1", "score_best": 0.1}
    search = [row(task=task, curve_found=["a0", "a1"], curve_arch=[[0.0], [1.0]], **which) for task in ("cls", "rot")]
    alone, both = frame(table(trained())), frame(table([*trained(), *search]))
    found = analysis.correlate(both, common=common)
    pd.testing.assert_frame_equal(found, analysis.correlate(alone, common=common))
    assert (found["n"] == 4).all()
    assert "*" not in set(gather(both)["arch"])
    assert "*" not in set(analysis.means(both)["arch"])


def test_curves_of_architectures_are_in_the_rows_but_not_among_the_curves_of_numbers() -> None:
    search = row(arch="*", method="darts", curve_found=["a0", "a1"], curve_arch=[[0.0], [1.0]])
    df = frame(table([search, row(arch="a0")]))
    curves = analysis.query(df, "select * from curves order by trial_id, epoch")
    assert set(curves.columns) >= {"arch", "epoch", "train_loss", "test_score"}
    assert len(curves) == 4
    found = analysis.query(df, "select curve_found[-1] as last from rows where arch = '*'")
    assert found["last"].tolist() == ["a1"]
