"""Generated studies of searches: rows of searches, of what they found, and of random cells."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from made_up import row

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SPACE = "nasbench201"


def graph(ops: Sequence[int]) -> str:
    """The graph of a cell with these operations on its six edges."""
    edges = [[*edge, OPS[op]] for edge, op in zip(EDGES, ops, strict=True)]
    return json.dumps({"cells": [{"name": "cell", "nodes": ["input", "1", "2", "output"], "edges": edges}]})


def text(ops: Sequence[int]) -> str:
    """What stands for the architecture in rows."""
    return "".join(map(str, ops))


def cell_row(ops: Sequence[int], score: float, **known: Any) -> dict[str, Any]:
    """A training of a cell."""
    return row(**{"space": SPACE, "arch": text(ops), "graph": graph(ops), "score_best": score} | known)


def search_row(ops: Sequence[int] | None, weights: Any = None, **known: Any) -> dict[str, Any]:
    """A search that found a cell; `weights` (epochs, 6, 5) before the softmax, by default all equal."""
    values = np.zeros((2, 6, 5)) if weights is None else np.asarray(weights, float)
    epochs = len(values)
    found = None if ops is None else text(ops)
    line: dict[str, Any] = {
        "space": SPACE,
        "arch": "*",
        "method": "darts",
        "recipe": "darts",
        "diverged": ops is None,
        "found": found,
        "found_graph": None if ops is None else graph(ops),
        "curve_found": [found] * epochs,
        "curve_graph": [None if ops is None else graph(ops)] * epochs,
        "curve_arch": values.reshape(epochs, -1).tolist(),
        "arch_shape": json.dumps({"cell": [6, 5]}),
        "arch_ops": json.dumps({"cell": {"edges": EDGES, "ops": OPS}}),
        "epochs": epochs,
    }
    return row(**line | known)


def random_cells(n: int, rng: np.random.Generator, low: int = 0) -> list[tuple[int, ...]]:
    """n distinct cells, drawn uniformly; operations from `low` on."""
    found: dict[tuple[int, ...], None] = {}
    while len(found) < n:
        found[tuple(map(int, rng.integers(low, len(OPS), 6)))] = None
    return list(found)


def study(
    found: Mapping[tuple[str, str, int], Sequence[int]], *, n: int = 30, seeds: Sequence[int] = (1,), rng: int = 0
) -> list[dict[str, Any]]:
    """Searches by (task, algorithm, seed), n random cells, and a training of each cell with every seed."""
    draw = np.random.default_rng(rng)
    cells = [*random_cells(n, draw), *dict.fromkeys(map(tuple, found.values()))]
    scores = dict(zip(dict.fromkeys(cells), draw.uniform(0.5, 0.9, len(cells)), strict=False))
    rows = [cell_row(ops, float(score) + s / 1000, seed=s) for ops, score in scores.items() for s in seeds]
    for (task, algorithm, seed), ops in found.items():
        slope = np.linspace(0, 1, 3)[:, None, None] * np.arange(5)
        known = {"task": task, "recipe": algorithm, "method": algorithm, "seed": seed}
        rows.append(search_row(ops, np.broadcast_to(slope, (3, 6, 5)), **known))
    return rows
