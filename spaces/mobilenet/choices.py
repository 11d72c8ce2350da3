"""From weights to MobileNet-like architectures and back, and small changes of them."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spaces._search import Choices, check
from spaces.mobilenet.blocks import BLOCKS, NAMES, OPS, SKIP, STAGES, Ops, allowed, named, staged

COLUMNS = (*OPS, SKIP)
_SKIP = COLUMNS.index(SKIP)
CHOICES = {
    name: Choices(
        tuple(pairwise(range(stage.blocks + 1))),
        COLUMNS,
        tuple(map(named, COLUMNS)),
        missing=frozenset({(0, _SKIP)}),  # the first block changes the shape
    )
    for name, stage in zip(NAMES, STAGES, strict=True)
}
Weights = Mapping[str, NDArray[np.floating]]


def discretise(weights: Weights, edges: Weights | None = None, skips: int | None = None) -> Ops:
    """The operation with the largest weight of every block, of those that it may have; of equal ones the first.

    `skips`: the most skips; while there are more, the weakest of them is excluded.
    """
    check(CHOICES, weights, edges)
    rows = np.concatenate([np.array(weights[name], dtype=np.float64) for name in NAMES])
    below = rows.min() - 1
    for block, row in enumerate(rows):
        row[[op not in allowed(block) for op in COLUMNS]] = below
    while True:
        best = rows.argmax(1)
        placed = np.flatnonzero(best == _SKIP)
        if skips is None or len(placed) <= skips:
            return tuple(COLUMNS[k] for k in best.tolist())
        rows[placed[rows[placed, _SKIP].argmin()], _SKIP] = below


def one_hot(ops: Ops) -> dict[str, NDArray[np.float64]]:
    """The weights of an architecture."""
    rows = np.eye(len(COLUMNS))
    return {name: rows[[COLUMNS.index(op) for op in stage]] for name, stage in zip(NAMES, staged(ops), strict=True)}


def mutate(ops: Ops, rng: np.random.Generator, p: float | None = None) -> Ops:
    """The architecture with one other operation, or with every operation drawn anew with probability `p`."""
    found = list(ops)
    if p is None:
        block = int(rng.integers(BLOCKS))
        others = [op for op in allowed(block) if op != found[block]]
        found[block] = others[int(rng.integers(len(others)))]
        return tuple(found)
    anew = rng.random(BLOCKS) < p
    drawn = draw(rng)
    return tuple(other if new else op for op, other, new in zip(ops, drawn, anew.tolist(), strict=True))


def cross(a: Ops, b: Ops, rng: np.random.Generator) -> Ops:
    """The operation of every block from one of two architectures."""
    return tuple(one if first else other for one, other, first in zip(a, b, rng.random(BLOCKS) < 0.5, strict=True))


def draw(rng: np.random.Generator) -> Ops:
    """Every block uniform over what it may be, all independent."""
    choices = [allowed(block) for block in range(BLOCKS)]
    drawn = rng.integers([len(ops) for ops in choices]).tolist()
    return tuple(ops[k] for ops, k in zip(choices, drawn, strict=True))
