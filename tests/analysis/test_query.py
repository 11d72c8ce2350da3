"""SQL over the rows and the plan."""

from pathlib import Path

import pytest
from made_up import population, write_part, write_plan

import analysis


def test_rows_and_plan_are_views(tmp_path: Path) -> None:
    rows = population(4, tasks=("cls", "rot"))
    write_plan(tmp_path / "x", rows)
    write_part(tmp_path / "x", rows[:6])
    left = "select task, count(*) as n from plan anti join rows using (trial_id) group by task"
    assert analysis.query(tmp_path / "x", left).values.tolist() == [["rot", 2]]
    longest = "select max(len(curve_test_score)) as n, min(run) as run from rows"
    assert analysis.query([tmp_path / "x"], longest).values.tolist() == [[2, "x"]]
    df = analysis.load(tmp_path / "x")
    best = analysis.query(df, "select max(score_best) as best from rows")["best"][0]
    assert best == df["score_best"].max()


def test_a_wrong_statement_says_what_is_wrong(tmp_path: Path) -> None:
    write_plan(tmp_path / "x", population(1))
    with pytest.raises(ValueError, match="scoer"):
        analysis.query(tmp_path / "x", "select scoer from rows")
