"""The NAS-Bench-101 space: modules of at most 7 vertices and 9 edges, three operations (Ying et al. 2019).

Architectures as text, their graph, cost and network.  Imports only the shared files of `spaces`, such as `_space`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from spaces._space import Cost, Size, Stem
from spaces.nasbench101 import cell as _cell
from spaces.nasbench101.cell import MAX_EDGES, MAX_VERTICES, OPS, Module, from_matrix, parse, prune, write
from spaces.nasbench101.cost import cost as _cost
from spaces.nasbench101.network import Trunk
from spaces.nasbench101.sampler import Sampler


@dataclass(frozen=True)
class NasBench101:
    """Modules whose vertices all lie on a path from input to output; a network of three stacks repeats one module.

    `depth` is the number of modules per stack.  Smaller limits make a smaller space, with everything else the same.
    Isomorphic modules count as duplicates, but their networks may differ: if the output's channels cannot be divided
    evenly, the first vertices in the order written get more channels.
    """

    max_vertices: int = MAX_VERTICES
    max_edges: int = MAX_EDGES
    name: str = "nasbench101"
    cifar_size: Size = Size(width=128, depth=3)  # noqa: RUF009  (immutable)

    def sample(self, rng: np.random.Generator) -> str:
        """Uniform over the distinct modules, and for each module uniform over its spellings."""
        return write(self._sampler.draw(rng))

    def normal(self, arch: str) -> str:
        """The pruned module: without vertices that are not on a path from input to output, in the order given."""
        return write(self._module(arch))

    def canonical(self, arch: str) -> str:
        """Equal for isomorphic modules; see `spaces.nasbench101.cell.canonical`."""
        return write(_cell.canonical(self._module(arch)))

    def arch_id(self, arch: str) -> str:
        """The graph hash of the module in the published benchmark: 32 hexadecimal digits."""
        return _cell.graph_hash(self._module(arch))

    def encode(self, *, matrix: Sequence[Sequence[int]], ops: Sequence[str]) -> str:
        """The text of an upper-triangular matrix (row = source) and the names of all operations, pruned."""
        return write(self._checked(from_matrix(matrix, ops)))

    def graph(self, arch: str) -> dict[str, Any]:
        """One cell, its vertices named by their operation."""
        module = self._module(arch)
        edges = [[s, t, ""] for t, feed in enumerate(module.feeds, start=1) for s in feed]
        nodes = ["input", *(OPS[op] for op in module.ops), "output"]
        return {"cells": [{"name": "module", "nodes": nodes, "edges": edges}]}

    def trunk(self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False) -> Trunk:
        """(B, in_channels, H, W) -> (B, 4 * width, H/4, W/4), or H/32 with the ImageNet stem.

        `dense`: no pooling between the second and the third stack, with the same channels.  Not in UnNAS.
        """
        return Trunk(self._module(arch), in_channels, width, depth, stem, dense)

    def cost(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False
    ) -> Cost:
        """The cost of that trunk, computed by arithmetic."""
        return _cost(self._module(arch), in_channels, width, depth, stem, size, dense)

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self.max_vertices, self.max_edges)

    def _module(self, arch: str) -> Module:
        """The pruned module of a text."""
        return self._checked(prune(parse(arch)))

    def _checked(self, module: Module) -> Module:
        """The module itself if it is within the limits of the space, else ValueError."""
        if module.vertices > self.max_vertices or module.edges > self.max_edges:
            raise ValueError(
                f"{write(module)!r} has {module.vertices} vertices and {module.edges} edges after pruning; "
                f"{self.name} allows {self.max_vertices} and {self.max_edges}"
            )
        return module


SPACE = NasBench101()
