"""Single paths through the supernet of NAS-Bench-201, and the weights on them, by the release of RLNAS."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from spaces._paths import Rows, counts
from spaces.nasbench201.cell import EDGES, NODES, OPS, Cell
from spaces.nasbench201.choices import CELL

NONE = OPS.index("none")


def draw_path(rng: np.random.Generator, cells: Mapping[str, int]) -> Rows:
    """Operations of every cell, drawn independently of the other cells.

    Those of the edges that enter a node are drawn again until one of them is not `none`, so a draw is not uniform over
    the 15,625 cells.
    """
    return {CELL: [_cell(rng) for _ in range(cells[CELL])]}


def _cell(rng: np.random.Generator) -> list[int]:
    found: list[int] = []
    for node in range(1, NODES):
        drawn = [NONE]
        while all(op == NONE for op in drawn):
            drawn = rng.integers(len(OPS), size=node).tolist()
        found += drawn
    return found


def uses(cell: Cell) -> dict[str, NDArray[np.int64]]:
    """How many of the four paths from input to output use an operation, without paths that contain `none`."""
    found = np.zeros((len(EDGES), len(OPS)), dtype=np.int64)
    for k, count in enumerate(counts(EDGES, [op != "none" for op in cell], {0}, {NODES - 1})):
        found[k, OPS.index(cell[k])] = count
    return {CELL: found}


def constant(op: str, channels: int, stride: int) -> float:
    """An average pooling counts as `channels` x 9 values of 1/9, a skip connection as nothing."""
    return channels / 9 if op == "avg_pool_3x3" else 0.0


def vector(op: str | None, module: nn.Module, faithful: bool) -> Sequence[Tensor]:
    """All parameters; the release takes the same."""
    return list(module.parameters())
