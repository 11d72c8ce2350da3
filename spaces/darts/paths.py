"""Single paths through the supernet of DARTS, and the weights on them, by the release of RLNAS."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from spaces._paths import Rows, counts
from spaces.darts.choices import CODES, EDGES, NONE, one_hot
from spaces.darts.genotype import NODES, Genotype
from spaces.darts.ops import Dilated

INPUTS = 2  # operations that a node keeps
ENDS = frozenset(range(2, 2 + NODES))  # the output of a cell consists of all its nodes


def draw_path(rng: np.random.Generator, cells: Mapping[str, int]) -> Rows:
    """One normal and one reduction cell, the same for all cells of their kind."""
    return {kind: [repaired(rng.integers(len(CODES), size=len(EDGES)), rng)] * cells[kind] for kind in cells}


def repaired(ops: NDArray[np.int64], rng: np.random.Generator) -> list[int]:
    """The operations (edges,) with exactly two of every node other than `none`.

    Where there are more, randomly chosen ones become `none`; where there are fewer, randomly chosen `none` become
    another operation, drawn uniformly.
    """
    found = ops.copy()
    for node in sorted(ENDS):
        incoming = np.array([k for k, (_, target) in enumerate(EDGES) if target == node])
        kept, empty = incoming[found[incoming] != NONE], incoming[found[incoming] == NONE]
        if (more := len(kept) - INPUTS) > 0:
            found[rng.choice(kept, more, replace=False)] = NONE
        elif more < 0:
            others = [k for k in range(len(CODES)) if k != NONE]
            found[rng.choice(empty, -more, replace=False)] = rng.choice(others, -more)
    return [int(op) for op in found]


def uses(genotype: Genotype) -> dict[str, NDArray[np.int64]]:
    """How many of the 30 paths from the two inputs of a cell to any of its nodes use an operation, without paths that
    contain `none`."""
    found = {}
    for kind, chosen in one_hot(genotype).items():
        ops = chosen.argmax(1)
        times = counts(EDGES, (ops != NONE).tolist(), {0, 1}, ENDS)
        found[kind] = np.where(chosen > 0, np.array(times)[:, None], 0)
    return found


def constant(op: str, channels: int, stride: int) -> float:
    """A pooling counts as `channels` x 9 values of 1/9, a skip connection of stride 1 as the identity matrix."""
    if op in ("mp", "ap"):
        return channels / 9
    return float(channels) if op == "sk" and stride == 1 else 0.0


def vector(op: str | None, module: nn.Module, faithful: bool) -> Sequence[Tensor]:
    """All parameters.

    `faithful`: as in the release, of a dilated convolution the scale of batch norm enters twice and its bias does not,
    and of the classifier the bias does not (its code for CIFAR-10).
    """
    found = list(module.parameters())
    if not faithful:
        return found
    if isinstance(module, Dilated):
        *others, scale, _ = found
        return [*others, scale, scale]
    if isinstance(module, nn.Linear):
        return [module.weight]
    return found
