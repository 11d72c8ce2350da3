"""The NAS-Bench-201 space: cells of four nodes and six edges, five operations (Dong & Yang 2020).

Architectures as text, their graph, cost and network.  Imports only the shared files of `spaces`, such as `_space`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from spaces._paths import Rows
from spaces._search import Choices, EdgeKind
from spaces._space import Cost, Size, Stem
from spaces.nasbench201 import cell as _cell
from spaces.nasbench201 import choices as _choices
from spaces.nasbench201 import paths as _paths
from spaces.nasbench201.cell import EDGES, NODES, OPS, parse, write
from spaces.nasbench201.cost import cost as _cost
from spaces.nasbench201.network import Trunk
from spaces.nasbench201.supernet import SuperTrunk


@dataclass(frozen=True)
class NasBench201:
    """All 15,625 cells, including the operation `none`.  `depth` is the number of cells in each of three stages.

    Architectures are spelled as in the benchmark, so they can be joined with its tables.
    """

    name: str = "nasbench201"
    cifar_size: Size = Size(width=16, depth=5)  # noqa: RUF009  (immutable)

    def sample(self, rng: np.random.Generator) -> str:
        """Uniform over all 15,625 cells, including the 2 % whose output does not depend on their input."""
        return write(tuple(OPS[k] for k in rng.integers(len(OPS), size=len(EDGES)).tolist()))

    @property
    def n_archs(self) -> int:
        """15,625: every choice of an operation for each of the six edges."""
        return int(len(OPS) ** len(EDGES))

    def archs(self) -> Iterator[str]:
        """All cells, also those that are equal by the benchmark's rule: it trained each of them separately."""
        return map(write, product(OPS, repeat=len(EDGES)))

    def normal(self, arch: str) -> str:
        """The text itself, after validation: the benchmark trained each spelling separately."""
        return write(parse(arch))

    def canonical(self, arch: str) -> str:
        """Equal for cells that are equal by the benchmark's rule; see `spaces.nasbench201.cell.formula`."""
        return write(_cell.canonical(parse(arch)))

    def arch_id(self, arch: str) -> str:
        """12 hexadecimal digits of the canonical text's SHA-256."""
        return hashlib.sha256(self.canonical(arch).encode()).hexdigest()[:12]

    def encode(self, *, ops: Sequence[str]) -> str:
        """The text of six operation names, for the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""
        if len(ops) != len(EDGES):
            raise ValueError(f"a NAS-Bench-201 cell has {len(EDGES)} operations; got {len(ops)}: {list(ops)!r}")
        return self.normal(write(tuple(ops)))

    def graph(self, arch: str) -> dict[str, Any]:
        """One cell: input, two sums and output, with one edge per operation (including `none`)."""
        edges = [[source, node, op] for (source, node), op in zip(EDGES, parse(arch), strict=True)]
        nodes = ["input", *map(str, range(1, NODES - 1)), "output"]
        return {"cells": [{"name": "cell", "nodes": nodes, "edges": edges}]}

    def trunk(self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False) -> Trunk:
        """(B, in_channels, H, W) -> (B, 4 * width, H/4, W/4), or H/32 with the ImageNet stem.

        `dense`: the second residual block between stages keeps the resolution.
        """
        return Trunk(parse(arch), in_channels, width, depth, stem, dense)

    def cost(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False
    ) -> Cost:
        """The cost of that trunk, computed by arithmetic."""
        return _cost(parse(arch), in_channels, width, depth, stem, size, dense)

    def choices(self) -> dict[str, Choices]:
        """One cell, `cell`: 6 edges and 5 operations, `none` among them."""
        return dict(_choices.CHOICES)

    def supernet(
        self,
        *,
        in_channels: int,
        width: int,
        depth: int,
        stem: Stem,
        dense: bool = False,
        edge: EdgeKind = "mixed",
        partial: int = 4,
        affine: bool = False,
    ) -> SuperTrunk:
        """The network of all cells.

        With the weights of `one_hot` it computes the same as the cell's trunk, if the weights of both are the same.
        Without `affine`, scales and biases of the cell's BN have to be 1 and 0, as at initialisation.
        """
        return SuperTrunk(in_channels, width, depth, stem, dense, edge, partial, affine)

    def discretise(
        self,
        weights: Mapping[str, NDArray[np.floating]],
        edges: Mapping[str, NDArray[np.floating]] | None = None,
        skips: int | None = None,
    ) -> str:
        """The strongest operation of every edge, which may be `none`; the first of equal ones (Dong & Yang 2020)."""
        return write(_choices.discretise(weights, edges, skips))

    def one_hot(self, arch: str) -> dict[str, NDArray[np.float64]]:
        """The weights of a cell."""
        return _choices.one_hot(parse(arch))

    def mutate(self, arch: str, rng: np.random.Generator, p: float | None = None) -> str:
        """The cell with one other operation, or with every operation drawn anew with probability `p`."""
        return write(_choices.mutate(parse(arch), rng, p))

    def cross(self, a: str, b: str, rng: np.random.Generator) -> str:
        """The operation of every edge from one of two cells."""
        return write(_choices.cross(parse(a), parse(b), rng))

    def draw_path(self, rng: np.random.Generator, cells: Mapping[str, int]) -> Rows:
        """Every cell independently; of the edges into a node at least one is not `none` (the release of RLNAS)."""
        return _paths.draw_path(rng, cells)

    def uses(self, arch: str) -> dict[str, NDArray[np.int64]]:
        """How many paths from input to output use an operation."""
        return _paths.uses(parse(arch))

    def constant(self, op: str, channels: int, stride: int) -> float:
        """The squared norm of what stands for an average pooling."""
        return _paths.constant(op, channels, stride)

    def vector(self, op: str | None, module: nn.Module, faithful: bool) -> Sequence[Tensor]:
        """The weights of an operation or layer that enter the angle."""
        return _paths.vector(op, module, faithful)


SPACE = NasBench201()
