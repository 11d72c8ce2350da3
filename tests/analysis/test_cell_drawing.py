"""Drawings of cells: nothing overlaps, nothing is missing, and invalid graphs are not drawn."""

import json
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

import spaces
from analysis.drawing.cells import drawing, files, terminal
from analysis.drawing.cells.drawing import HEIGHT, draw, operation
from analysis.rows.graph import operations, read


def cells(name: str) -> list[dict[str, Any]]:
    space = spaces.get(name)
    return [cell for arch in spaces.sample(space, 12, 3).archs for cell in space.graph(arch)["cells"]]


@pytest.mark.parametrize("name", spaces.names())
def test_boxes_keep_apart_and_lines_run_down_between_them(name: str) -> None:
    for cell in cells(name):
        (drawn,) = draw([cell])
        for a, b in combinations(drawn.boxes, 2):
            assert abs(a.y - b.y) >= HEIGHT or abs(a.x - b.x) >= (a.width + b.width) / 2, "boxes overlap"
        for line in drawn.lines():
            assert all(y < below for (_, y), (_, below) in pairwise(line))
            for (x, y), (to, below) in pairwise(line[1:-1]):
                upright = [b for b in drawn.boxes if b.y - HEIGHT / 2 >= y and b.y + HEIGHT / 2 <= below]
                assert all(abs(b.x - x) > b.width / 2 for b in upright if x == to), "a line runs through a box"
        assert all(b.width / 2 <= b.x + 1e-9 and b.x + b.width / 2 <= drawn.width + 1e-9 for b in drawn.boxes)


@pytest.mark.parametrize("name", spaces.names())
def test_a_drawing_has_every_operation_and_connection_of_its_graph(name: str) -> None:
    for cell in cells(name):
        (drawn,) = draw([cell])
        real = [e for e in cell["edges"] if not e[2] or operation(e[2]).label != "none"]
        on_edges = [operation(op).label for *_, op in real if op]
        labels = [box.label for box in drawn.boxes]
        assert sorted(labels[len(cell["nodes"]) :]) == sorted(on_edges)
        assert len(drawn.edges) == len(real) + len(on_edges)
        assert sorted(operation(op).label for op in operations([cell])) == sorted(
            on_edges or [box.label for box in drawn.boxes if box.colour != drawing.PLAIN]
        )


@pytest.mark.parametrize(
    "graph",
    [
        None,
        float("nan"),
        "[" * 100_000,
        '{"cells": 3}',
        {"cells": [{"nodes": ["a"], "edges": [[0, 1, ""]]}]},
        {"cells": [{"nodes": ["a", "b"], "edges": [[0, True, ""]]}]},
        {"cells": [{"nodes": ["a"] * 10_000, "edges": []}]},
        {"cells": [{"nodes": ["a", "b"], "edges": [[0, 1, ""], [1, 0, ""]]}]},
    ],
)
def test_what_is_no_graph_is_not_drawn(graph: Any, tmp_path: Path) -> None:
    assert draw(read(graph)) == []
    with pytest.raises(ValueError, match="no cell to draw"):
        files.save(graph, tmp_path / "x.svg")


def test_names_in_a_drawing_are_text_not_markup(tmp_path: Path) -> None:
    cell = {"name": "<b>&", "nodes": ['"<i>', "b\\"], "edges": [[0, 1, "<script>"]]}
    svg = files.save(json.dumps({"cells": [cell]}), tmp_path / "x.svg", "<title>").read_text()
    assert "&lt;script&gt;" in svg
    assert not any(tag in svg for tag in ("<b>", "<i>", "<script>", "<title><"))
    dot = files.save({"cells": [cell]}, tmp_path / "x.dot").read_text()
    assert '[label="\\"<i>"' in dot
    assert '[label="b\\\\"' in dot


def test_the_terminal_shows_which_vertex_feeds_which() -> None:
    cell = {"name": "c", "nodes": ["in", "a", "b", "out"], "edges": [[0, 1, "x"], [0, 3, ""], [1, 2, ""], [2, 3, ""]]}
    assert terminal.lines(cell) == [
        "in  ─╮",
        "a   ─●─╮    ← x of in",
        "b   ─┼─┴─╮  ← a",
        "out ─┴───╯  ← in, b",
    ]
