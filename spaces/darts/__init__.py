"""The DARTS space: a normal and a reduction cell of four nodes, eight operations (Liu et al. 2019).

Architectures as text, their graph, cost and network.  Imports only the shared files of `spaces`, such as `_space`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from spaces._paths import Rows
from spaces._search import Choices, EdgeKind
from spaces._space import Cost, Size, Stem
from spaces.darts import auxiliary as _auxiliary
from spaces.darts import choices as _choices
from spaces.darts import genotype as _genotype
from spaces.darts import paths as _paths
from spaces.darts import published as _published
from spaces.darts.cost import cost as _cost
from spaces.darts.genotype import CODES, NODES, OPS, Cell, Edge, Genotype, parse, write
from spaces.darts.network import OPERATIONS, Trunk
from spaces.darts.supernet import SuperTrunk


@dataclass(frozen=True)
class Darts:
    """DARTS cells, including the operation `none`, as UnNAS sampled them.  `depth` is the number of cells."""

    name: str = "darts"
    cifar_size: Size = Size(width=16, depth=20)  # noqa: RUF009  (immutable)

    @property
    def published(self) -> dict[str, str]:
        """The cells of DARTS, PC-DARTS, P-DARTS and UnNAS, by name."""
        return {name: _published.get(name) for name in _published.names()}

    def sample(self, rng: np.random.Generator) -> str:
        """Operations uniform over all eight, inputs uniform over all earlier nodes, all independent.

        So both inputs of a node may be the same node, as in 32 % of the pairs in UnNAS's 500 architectures.
        """
        codes = list(OPS)
        ops = [codes[k] for k in rng.integers(len(codes), size=4 * NODES).tolist()]
        sources = rng.integers(np.tile(np.repeat(np.arange(2, 2 + NODES), 2), 2)).tolist()
        edges = list(zip(ops, sources, strict=True))
        return write(Genotype(_nodes(edges[: 2 * NODES]), _nodes(edges[2 * NODES :])))

    def normal(self, arch: str) -> str:
        """The text itself, after validation: each spelling is built as it is written."""
        return write(parse(arch))

    def canonical(self, arch: str) -> str:
        """Equal for cells that compute the same functions; see `spaces.darts.genotype.canonical`."""
        return write(Genotype(*map(_genotype.canonical, parse(arch))))

    def arch_id(self, arch: str) -> str:
        """12 hexadecimal digits of the canonical text's SHA-256."""
        return hashlib.sha256(self.canonical(arch).encode()).hexdigest()[:12]

    def encode(self, *, normal: Sequence[tuple[str, int]], reduce: Sequence[tuple[str, int]]) -> str:
        """The text of a published genotype: eight (operation name, input node) per cell, two per node."""
        return self.normal(write(Genotype(_pairs(normal, "normal"), _pairs(reduce, "reduction"))))

    def graph(self, arch: str) -> dict[str, Any]:
        """Both cells: two inputs, four sums and the output, with one edge per operation (including `none`)."""
        cells = zip(("normal", "reduce"), parse(arch), strict=True)
        return {"cells": [_drawing(name, cell) for name, cell in cells]}

    def trunk(self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False) -> Trunk:
        """(B, in_channels, H, W) -> (B, 16 * width, H/4, W/4), or H/32 with the ImageNet stem.

        `dense`: the second reduction cell is replaced by a normal cell, giving (B, 8 * width, H/16, W/16) (UnNAS).
        """
        return Trunk(parse(arch), in_channels, width, depth, stem, dense)

    def cost(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False
    ) -> Cost:
        """The cost of that trunk, computed by arithmetic."""
        return _cost(parse(arch), in_channels, width, depth, stem, size, dense)

    def drop_shape(self, depth: int) -> tuple[int, int]:
        """Eight operations in each cell."""
        return depth, OPERATIONS

    def tapped_size(self, depth: int, stem: Stem, size: int) -> int:
        """Side of the output of the cell at 2/3 of the depth; ValueError if it is too small for the auxiliary head."""
        return _auxiliary.tapped_size(depth, stem, size)

    def auxiliary(self, trunk: nn.Module, *, width: int, depth: int, stem: Stem, classes: int) -> nn.Module:
        """The auxiliary head of the releases for CIFAR-10 and ImageNet, on that output."""
        return _auxiliary.attach(trunk, width, depth, stem, classes)

    def choices(self) -> dict[str, Choices]:
        """Two cells, `normal` and `reduce`: 14 edges and 8 operations each."""
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
        """The network of all cells whose nodes have two different inputs.

        With the weights of `one_hot` it computes the same as the trunk of the cells, if the weights of both are the
        same, except for cells with pooling: in a supernet it is followed by BN.  Without `affine`, scales and biases of
        the cells' BN have to be 1 and 0, as at initialisation.  The kind `partial` computes other functions.
        """
        return SuperTrunk(in_channels, width, depth, stem, dense, edge, partial, affine)

    def discretise(
        self,
        weights: Mapping[str, NDArray[np.floating]],
        edges: Mapping[str, NDArray[np.floating]] | None = None,
        skips: int | None = None,
    ) -> str:
        """The two strongest edges of every node, each with its strongest operation other than `none`.

        The strongest edge comes first.  `edges` multiplies the strengths.  Of equal ones the first counts.  `skips`
        limits the skip connections of the normal cell.
        """
        return write(_choices.discretise(weights, edges, skips))

    def one_hot(self, arch: str) -> dict[str, NDArray[np.float64]]:
        """The weights of two cells; ValueError if a node reads the same node twice."""
        return _choices.one_hot(parse(arch))

    def mutate(self, arch: str, rng: np.random.Generator, p: float | None = None) -> str:
        """The cells with one other operation or input, or with each drawn anew with probability `p`."""
        return write(_choices.mutate(parse(arch), rng, p))

    def cross(self, a: str, b: str, rng: np.random.Generator) -> str:
        """Every node from one of two architectures."""
        return write(_choices.cross(parse(a), parse(b), rng))

    def draw_path(self, rng: np.random.Generator, cells: Mapping[str, int]) -> Rows:
        """One normal and one reduction cell for all, of nodes with exactly two operations (the release of RLNAS)."""
        return _paths.draw_path(rng, cells)

    def uses(self, arch: str) -> dict[str, NDArray[np.int64]]:
        """How many paths from the inputs of a cell to its nodes use an operation."""
        return _paths.uses(parse(arch))

    def constant(self, op: str, channels: int, stride: int) -> float:
        """The squared norm of what stands for a pooling or a skip connection."""
        return _paths.constant(op, channels, stride)

    def vector(self, op: str | None, module: nn.Module, faithful: bool) -> Sequence[Tensor]:
        """The weights of an operation or layer that enter the angle."""
        return _paths.vector(op, module, faithful)


def _pairs(edges: Sequence[tuple[str, int]], kind: str) -> Cell:
    """Converts eight (operation name, node) to four nodes with two edges each."""
    if len(edges) != 2 * NODES:
        raise ValueError(f"a DARTS cell has {2 * NODES} operations; the {kind} cell has {len(edges)}: {edges!r}")
    for op, _ in edges:
        if op not in CODES:
            raise ValueError(f"no operation {op!r} in the DARTS space; have {', '.join(CODES)}")
    return _nodes([(CODES[op], int(source)) for op, source in edges])


def _nodes(edges: Sequence[Edge]) -> Cell:
    """Groups edges in pairs: the inputs of nodes 2, 3, 4, 5."""
    return tuple((edges[k], edges[k + 1]) for k in range(0, len(edges), 2))


def _drawing(name: str, cell: Cell) -> dict[str, Any]:
    output = 2 + NODES
    edges = [[source, k, OPS[code]] for k, node in enumerate(cell, start=2) for code, source in node]
    edges += [[k, output, ""] for k in range(2, output)]
    return {"name": name, "nodes": ["c_{k-2}", "c_{k-1}", "0", "1", "2", "3", "c_{k}"], "edges": edges}


SPACE = Darts()
