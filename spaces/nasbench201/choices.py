"""From weights to NAS-Bench-201 cells and back, and small changes of cells."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spaces._search import Choices, check
from spaces.nasbench201.cell import EDGES, OPS, Cell

CELL = "cell"
SKIP = OPS.index("skip_connect")
CHOICES = {CELL: Choices(EDGES, OPS)}
Weights = Mapping[str, NDArray[np.floating]]


def discretise(weights: Weights, edges: Weights | None = None, skips: int | None = None) -> Cell:
    """The operation with the largest weight on every edge, `none` included; of equal weights the first in `OPS`.

    Weights of edges have no influence, as every edge keeps an operation.  `skips`: as `Searchable.discretise` says.
    """
    check(CHOICES, weights, edges)
    rows = np.array(weights[CELL], dtype=np.float64)
    while True:
        best = rows.argmax(1)
        placed = [k for k in range(len(EDGES)) if best[k] == SKIP]
        if skips is None or len(placed) <= skips:
            return tuple(OPS[k] for k in best.tolist())
        rows[min(placed, key=lambda k: rows[k, SKIP]), SKIP] = -1.0  # below all others


def one_hot(cell: Cell) -> dict[str, NDArray[np.float64]]:
    """The weights of a cell."""
    return {CELL: np.eye(len(OPS))[[OPS.index(op) for op in cell]]}


def mutate(cell: Cell, rng: np.random.Generator, p: float | None = None) -> Cell:
    """The cell with one other operation, or with every operation drawn anew with probability `p`."""
    found = list(cell)
    if p is None:
        place = int(rng.integers(len(found)))
        others = [op for op in OPS if op != found[place]]
        found[place] = others[int(rng.integers(len(others)))]
        return tuple(found)
    anew = rng.random(len(found)) < p
    drawn = rng.integers(len(OPS), size=len(found))
    return tuple(OPS[k] if new else op for op, k, new in zip(cell, drawn.tolist(), anew.tolist(), strict=True))


def cross(a: Cell, b: Cell, rng: np.random.Generator) -> Cell:
    """The operation of every edge from one of two cells."""
    return tuple(one if first else other for one, other, first in zip(a, b, rng.random(len(a)) < 0.5, strict=True))
