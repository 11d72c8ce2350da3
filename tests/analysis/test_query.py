"""SQL over the rows and the plan."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up import failed, population, row, write_part, write_plan, write_run

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


def test_curves_are_a_line_an_epoch_of_every_attempt_that_has_them(tmp_path: Path) -> None:
    ended = row(
        curve_train_loss=[3.0, 2.0, 1.0], curve_test_score=[0.1, float("nan"), 0.3], curve_seconds=[1.0, 1.5, 2.0]
    )
    write_run(tmp_path / "x", [ended, failed(arch="b", task="rot", curve_seconds=None)])
    found = analysis.query(tmp_path / "x", "select * from curves order by trial_id, epoch")
    assert found["trial_id"].tolist() == [ended["trial_id"]] * 3
    assert found["epoch"].tolist() == [1, 2, 3]
    assert found["train_loss"].tolist() == [3.0, 2.0, 1.0]
    assert found["seconds"].tolist() == [1.0, 1.5, 2.0]
    assert found["test_score"].isna().tolist() == [False, True, False]
    df = analysis.load(tmp_path / "x", curves=True)
    pd.testing.assert_frame_equal(
        analysis.query(df, "select * from curves order by trial_id, epoch"), found, check_dtype=False
    )


def test_architectures_with_what_stands_in_their_cells(tmp_path: Path) -> None:
    """Operations on edges (DARTS) or in nodes (NAS-Bench-101); params of the smallest network; imported ones too."""
    edges = {"nodes": ["in", "0", "out"], "edges": [[0, 1, "skip"], [0, 1, "none"], [1, 2, ""]]}
    nodes = {
        "nodes": ["input", "c3", "c3", "pool", "output"],
        "edges": [[0, 1, ""], [1, 2, ""], [2, 3, ""], [3, 4, ""]],
    }
    planned = [
        row(arch="a", task=task, params=params, graph=json.dumps({"cells": [edges, edges]}))
        for task, params in (("cls", 30), ("rot", 20))
    ]
    write_plan(tmp_path / "x", planned)
    write_part(tmp_path / "x", planned[:1])
    write_part(
        tmp_path / "y", [row(space="nasbench101", arch="b", graph=json.dumps({"cells": [nodes]})), row(arch="c")]
    )
    runs = [tmp_path / "x", tmp_path / "y"]
    found = analysis.query(runs, "select * from architectures order by arch").set_index("arch")
    assert found["ops"].to_dict() == {"a": {"skip": 2}, "b": {"c3": 2, "pool": 1}, "c": {}}
    assert found.loc["a", ["space", "arch_id", "params"]].tolist() == ["darts", "id-a", 20]
    joined = "select sum(ops['c3']) as n from rows join architectures using (space, arch)"
    assert analysis.query(runs, joined)["n"].tolist() == [2]


EDGES = {"nodes": ["in", "0", "out"], "edges": [[0, 1, "none"], [0, 1, "sep_conv_3x3"], [1, 2, ""]]}
NODES = {
    "nodes": ["input", "conv", "7", "zero_pad", "output"],
    "edges": [[0, 1, ""], [1, 2, ""], [2, 3, ""], [3, 4, ""]],
}
LARGE = {"nodes": ["a"] + ["c3"] * 200 + ["z"], "edges": [[k, k + 1, ""] for k in range(201)]}
MALFORMED = (
    {"cells": [{"nodes": ["a"], "edges": [[0, 1]]}]},
    {"cells": [{"nodes": ["a"], "edges": [[0, 7, "x"]]}]},
    {"cells": [EDGES, {"nodes": [1], "edges": []}]},
    {"cells": [{"edges": []}]},
    {"cells": {"nodes": []}},
    {"cells": [EDGES, None]},
    {},
    [1],
    "text",
    None,
)


@pytest.mark.parametrize("broken", [*map(json.dumps, MALFORMED), "", "{", "[" * 100_000, '{"cells": [{"nodes": ["a"]'])
def test_a_malformed_graph_leaves_its_architecture_without_ops(broken: str, tmp_path: Path) -> None:
    rows = [row(arch="good", graph=json.dumps({"cells": [EDGES]})), row(arch="bad", graph=broken)]
    found = analysis.query(write_run(tmp_path / "x", rows), "select arch, ops from architectures order by arch")
    assert found["ops"].tolist() == [None, {"sep_conv_3x3": 1}]


def test_a_name_that_no_text_can_hold_breaks_no_query(tmp_path: Path) -> None:
    odd = {"nodes": ["a", "b"], "edges": [[0, 1, "\ud800x"]]}
    run = write_run(tmp_path / "x", [row(graph=json.dumps({"cells": [odd]}))])
    assert analysis.query(run, "select ops from architectures")["ops"].tolist() == [{"?x": 1}]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [(EDGES, {"sep_conv_3x3": 1}), (NODES, {"conv": 1, "zero_pad": 1}), (LARGE, {"c3": 200})],
)
def test_sql_the_page_and_files_count_the_same_operations(
    cell: dict[str, Any], expected: dict[str, int], tmp_path: Path
) -> None:
    from analysis.drawing.cells.drawing import PLAIN, draw, operation
    from analysis.drawing.cells.files import dot
    from analysis.page.data import _counts
    from analysis.rows.graph import operations, read

    graph = json.dumps({"cells": [cell]})
    run = write_run(tmp_path / "x", [row(graph=graph)])
    assert analysis.query(run, "select ops from architectures")["ops"].tolist() == [expected]
    assert Counter(operations(read(graph))) == expected
    other = json.dumps({"cells": [{"nodes": ["in", "out"], "edges": [[0, 1, "other"]]}]})
    assert {one["name"] for one in _counts([graph, other])} == {operation(op).label for op in expected} | {"other"}
    for drawn in draw([cell]):
        assert sum(box.colour != PLAIN for box in drawn.boxes) == sum(expected.values())
    coloured = [line for line in dot([cell]).decode().splitlines() if "color=" in line and f'"{PLAIN}"' not in line]
    assert len(coloured) == sum(expected.values())


def test_whole_numbers_stay_whole_where_some_are_missing(tmp_path: Path) -> None:
    write_run(tmp_path / "x", [row(seed=2**62 + 1), row(arch="b", best_epoch=None)])
    found = analysis.query(tmp_path / "x", "select seed, best_epoch from rows order by arch")
    assert found["seed"][0] == 2**62 + 1
    assert found["best_epoch"].tolist() == [2, pd.NA]
