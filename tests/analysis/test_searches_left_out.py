"""Rows of searches, whose architecture is `*`, take no part in comparisons of architectures."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
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


def test_recipes_that_had_another_name_are_shown_under_todays(tmp_path: Path) -> None:
    """`unnas_search` named trainings before it named searches, which were `unnas_supernet`."""
    old = [
        row(trial_id="a", arch="a0", recipe="unnas_search"),
        row(trial_id="b", arch="*", method="darts", recipe="unnas_supernet"),
        row(trial_id="c", arch="*", method="darts", recipe="unnas_search"),
        row(trial_id="d", arch="a0", recipe="demo"),
    ]
    (tmp_path / "rows").mkdir()
    pq.write_table(table(old), tmp_path / "rows" / "part-0.parquet")
    for columns in (None, ["trial_id", "recipe"]):
        df = analysis.load(tmp_path, columns=columns)
        found = dict(zip(df["trial_id"], df["recipe"], strict=True))
        assert found == {"a": "unnas_small", "b": "unnas_search", "c": "unnas_search", "d": "demo"}
        assert columns is None or list(df.columns) == columns
