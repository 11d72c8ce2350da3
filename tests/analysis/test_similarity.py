"""How alike cells are, and whether independent searches agree more than random cells do."""

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import table
from searched import graph, random_cells, study

import analysis
import spaces
from analysis.comparison.options import Resampling
from analysis.rows.graph import read
from analysis.rows.schema import frame
from analysis.statistics.cell_distance import agreement, edits
from analysis.statistics.similarity import Kind, jackknife, measured

pytestmark = pytest.mark.filterwarnings("error")
BEST, OTHER = (3, 3, 3, 3, 3, 3), (1, 2, 4, 0, 1, 2)


def cells(*graphs: str) -> list[list[dict[str, Any]]]:
    return [read(one) for one in graphs]


def wired(nodes: Sequence[str], *edges: tuple[int, int, str]) -> str:
    return json.dumps({"cells": [{"name": "cell", "nodes": nodes, "edges": edges}]})


def test_edges_are_compared_one_by_one_in_a_space_of_fixed_edges() -> None:
    found = agreement(cells(*map(graph, [BEST, (3, 3, 3, 3, 3, 0), (0, 1, 2, 3, 0, 0), (0, 1, 2, 3, 0, 0)])))
    assert found.tolist() == pytest.approx(np.array([[6, 5, 1, 1], [5, 6, 2, 2], [1, 2, 6, 6], [1, 2, 6, 6]]) / 6)


def test_darts_cells_share_the_edges_with_equal_source_node_and_operation() -> None:
    of = spaces.get("darts")
    known = spaces.published("darts")["darts_v2"]
    normal, reduce = known.split(":")
    nodes = normal.split("_")
    swapped = "_".join(["+".join(nodes[0].split("+")[::-1]), *nodes[1:]]) + ":" + reduce  # the order of a sum
    one = known.replace("s3.0+s3.1", "s5.0+s3.1", 1)
    (line, *_) = agreement(cells(*(json.dumps(of.graph(arch)) for arch in (known, swapped, one))))
    assert line.tolist() == pytest.approx([1, 1, 15 / 16])


def test_edits_by_hand() -> None:
    base = wired(["input", "1", "2", "output"], (0, 1, "a"), (0, 2, "b"), (1, 3, "c"), (2, 3, "c"))
    renumbered = wired(["input", "1", "2", "output"], (0, 1, "b"), (0, 2, "a"), (1, 3, "c"), (2, 3, "c"))
    with_none = wired(
        ["input", "1", "2", "output"],
        (0, 1, "a"),
        (0, 2, "b"),
        (1, 2, "none"),
        (1, 3, "c"),
        (2, 3, "c"),
        (0, 3, "none"),
    )
    changed = wired(["input", "1", "2", "output"], (0, 1, "a"), (0, 2, "a"), (1, 3, "c"), (2, 3, "c"))
    added = wired(["input", "1", "2", "output"], (0, 1, "a"), (0, 2, "b"), (0, 3, "a"), (1, 3, "c"), (2, 3, "d"))
    twice = wired(["input", "1", "2", "output"], (0, 1, "a"), (0, 1, "b"), (0, 2, "b"), (1, 3, "c"), (2, 3, "c"))
    (line, *_) = edits(cells(base, renumbered, with_none, changed, added, twice))
    assert line.tolist() == [0, 0, 0, 1, 2, 1]


def test_edits_of_cells_with_operations_in_vertices() -> None:
    """A vertex changes its operation, or a vertex and its two edges are added in place of one."""
    base = wired(["input", "c3", "c1", "output"], (0, 1, ""), (1, 2, ""), (2, 3, ""))
    other = wired(["input", "c3", "mp", "output"], (0, 1, ""), (1, 2, ""), (2, 3, ""))
    short = wired(["input", "c1", "output"], (0, 1, ""), (1, 2, ""))
    (line, *_) = edits(cells(base, other, short))
    # Without c3: the vertex, its two edges, and the edge that replaces them.
    assert line.tolist() == [0, 1, 4]
    assert np.isnan(edits(cells(_long(7), _long(7)))).all()


def _long(n: int) -> str:
    nodes = ["input", *["c3"] * n, "output"]
    return wired(nodes, *((k, k + 1, "") for k in range(n + 1)))


@pytest.mark.parametrize("space", ["nasbench201", "nasbench101", "darts"])
def test_edits_are_a_metric(space: str) -> None:
    of = spaces.get(space)
    found = edits(cells(*(json.dumps(of.graph(arch)) for arch in spaces.sample(of, 12, 0).archs)))
    assert np.array_equal(found, found.T)
    assert not np.diag(found).any()
    assert (found[:, :, None] <= found[:, None, :] + found.T[None]).all(), "no detour is shorter"


def test_edits_are_those_of_the_best_of_all_orders_of_the_inner_nodes() -> None:
    """By trying all orders of a cell's inner nodes one by one, on cells with one operation per edge."""

    def brute(a: Sequence[int], b: Sequence[int]) -> int:
        pairs = {k: (x, y) for k, (x, y) in enumerate(((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)))}
        edges_b = {pairs[k]: op for k, op in enumerate(b) if op}
        return min(
            sum(1 for place in {*moved, *edges_b} if moved.get(place) != edges_b.get(place))
            for order in permutations((1, 2))
            for to in [{0: 0, 3: 3} | dict(zip((1, 2), order, strict=True))]
            for moved in [{(to[pairs[k][0]], to[pairs[k][1]]): op for k, op in enumerate(a) if op}]
        )

    some = random_cells(15, np.random.default_rng(3))
    found = edits(cells(*map(graph, some)))
    assert found.tolist() == [[brute(a, b) for b in some] for a in some]


def rows_of(found: dict[tuple[str, str, int], Sequence[int]], **known: Any) -> pd.DataFrame:
    return frame(table(study(found, **known)))


def test_searches_that_find_one_cell_agree_fully_and_more_than_random_cells() -> None:
    found = {(task, "darts", s): cell for task, cell in (("cls", BEST), ("rot", OTHER)) for s in (1, 2, 3, 4)}
    lines = analysis.similarity(rows_of(found), resamples=999).set_index(["between", "objective_task"])
    for task in ("cls", "rot", ""):
        line = lines.loc["seeds", task]
        assert (line["agreement"], line["edits"]) == (1.0, 0.0)
        assert line["agreement_p"] == line["edits_p"] == 1 / 1000
        assert line["agreement_p_holm"] >= line["agreement_p"]
        assert line[["agreement_low", "agreement_high"]].isna().all(), "nothing varies, so there is no interval"
    assert lines.loc[("seeds", "cls"), ["n", "distinct", "pairs", "unit"]].tolist() == [4, 1, 6, "search"]
    between = lines.loc["objectives", ""]
    assert between["pairs"] == 12, "of other seeds"
    assert between["agreement"] == agreement(cells(graph(BEST), graph(OTHER)))[0, 1]
    assert between["agreement_p"] > 0.05
    assert between["n_units"] == 2
    random = agreement(cells(*map(graph, random_cells(30, np.random.default_rng(0)))))
    assert between["agreement_random"] == pytest.approx(random[np.triu_indices(30, 1)].mean())


def test_the_test_rejects_as_often_as_it_says_where_searches_are_random_draws() -> None:
    """Of 300 groups in which nothing is true; a p of at most 0.1 in more than 45 has a probability below 1 %."""
    pairs, p = np.column_stack(np.triu_indices(4, 1)), []
    for k in range(300):
        drawn = np.random.default_rng(k).integers(5, size=(16, 6))
        equal = (drawn[:, None] == drawn[None]).mean(axis=2)
        kind = Kind({}, pairs, np.arange(4), "search")
        p.append(measured("agreement", equal, 1, kind, 4, Resampling(99, seed=k))["agreement_p"])
    assert (np.array(p) <= 0.1).sum() <= 45
    assert 0.45 < np.mean(p) < 0.6, "they are spread over [0, 1], ties upwards"


def test_more_pairs_of_the_same_searches_are_no_more_evidence() -> None:
    """Between objectives all searches of one count as one cell, however many they are."""
    few = {(task, "darts", s): cell for task, cell in (("cls", BEST), ("rot", BEST)) for s in (1, 2)}
    many = {(task, "darts", s): cell for task, cell in (("cls", BEST), ("rot", BEST)) for s in range(1, 9)}
    p = [analysis.similarity(rows_of(f)).set_index("between").loc["objectives", "agreement_p"] for f in (few, many)]
    assert p[0] == pytest.approx(p[1], abs=0.02)


def test_the_jackknife_of_a_mean_over_pairs_leaves_out_one_search_at_a_time() -> None:
    """With values that are sums of one per search, it is the interval of the mean of these, doubled (exactly)."""
    own = np.array([0.1, 0.4, 0.2, 0.8, 0.3])
    pairs = np.column_stack(np.triu_indices(5, 1))
    low, high = jackknife(own[:, None] + own[None], pairs, np.arange(5), 0.95)
    reach = 2.776445105 * own.std(ddof=1) / np.sqrt(5)
    assert (low, high) == pytest.approx((2 * (own.mean() - reach), 2 * (own.mean() + reach)))


def test_what_cannot_be_said_is_missing_for_a_reason() -> None:
    two = {("cls", "darts", 1): BEST, ("cls", "darts", 2): OTHER}
    (line,) = analysis.similarity(rows_of(two)).to_dict("records")
    assert line["reason"] == "2 searches: no interval (3 are needed)"
    assert line["agreement_p"] > 0
    (line,) = analysis.similarity(rows_of(two, n=0)).to_dict("records")
    assert "no random cells to compare with" in line["reason"]
    assert np.isnan(line["agreement_p"])
    assert analysis.similarity(rows_of({("cls", "darts", 1): BEST})).empty
    (line,) = analysis.similarity(rows_of({("cls", "darts", 1): BEST, ("rot", "darts", 1): BEST})).to_dict("records")
    assert (line["between"], line["rule"]) == ("objectives", "pairs of equal seeds")
    lost = rows_of(two | {("cls", "darts", 3): BEST}).assign(found_graph=None)
    assert len(analysis.similarity(lost)), "the graph of the row that trained it does as well"
    assert analysis.similarity(lost.assign(graph=None)).empty
    with pytest.raises(ValueError, match="random_cells must be 2 or more"):
        analysis.similarity(lost, random_cells=1)


def test_many_random_cells_are_drawn_from_and_equal_seeds_give_equal_tables() -> None:
    df = rows_of({("cls", "darts", s): BEST for s in (1, 2, 3)}, n=60)
    one, two = (analysis.similarity(df, random_cells=20, resamples=50) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert one["n_random"].tolist() == [20]
