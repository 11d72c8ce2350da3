"""The NAS-Bench-201 space: cells of four nodes and six edges, five operations (Dong & Yang 2020).

Architectures as text, their graph, cost and network.  Imports only the shared files of `spaces`, such as `_space`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from spaces._space import Cost, Size, Stem
from spaces.nasbench201 import cell as _cell
from spaces.nasbench201.cell import EDGES, NODES, OPS, parse, write
from spaces.nasbench201.cost import cost as _cost
from spaces.nasbench201.network import Trunk


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


SPACE = NasBench201()
