"""The MobileNet-like space of ProxylessNAS and RLNAS: 21 inverted residual blocks (Cai et al. 2019, Zhang et al. 2021).

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
from spaces.mobilenet import blocks as _blocks
from spaces.mobilenet import choices as _choices
from spaces.mobilenet import paths as _paths
from spaces.mobilenet import published as _published
from spaces.mobilenet.blocks import NAMES, Ops, named, parse, staged, write
from spaces.mobilenet.cost import cost as _cost
from spaces.mobilenet.layout import PUBLISHED
from spaces.mobilenet.network import Trunk
from spaces.mobilenet.supernet import SuperTrunk


@dataclass(frozen=True)
class MobileNet:
    """Chains of 21 blocks: kernels of 3, 5, 7 px, expansions of 3, 6, or no block where it would keep the shape.

    `width` is the number of channels of the first stage: 32 in the publications, whose `depth` is 1.  The space has
    6^6 * 7^15 = 2.2e17 architectures.
    """

    name: str = "mobilenet"
    # None are published for CIFAR-10: half the width of those for ImageNet.
    cifar_size: Size = Size(width=PUBLISHED // 2, depth=1)  # noqa: RUF009  (immutable)

    @property
    def published(self) -> dict[str, str]:
        """The architecture of RLNAS: `rlnas`."""
        return {name: _published.get(name) for name in _published.names()}

    def sample(self, rng: np.random.Generator) -> str:
        """Every block uniform over what it may be, all independent."""
        return write(_choices.draw(rng))

    def normal(self, arch: str) -> str:
        """The text itself, after validation: blocks are built in the order in which they are written."""
        return write(parse(arch))

    def canonical(self, arch: str) -> str:
        """Equal for the same sequence of blocks: the skips of a stage are at its end."""
        return write(_blocks.canonical(parse(arch)))

    def arch_id(self, arch: str) -> str:
        """12 hexadecimal digits of the canonical text's SHA-256."""
        return hashlib.sha256(self.canonical(arch).encode()).hexdigest()[:12]

    def encode(self, *, ops: Sequence[int]) -> str:
        """The text of 21 numbers as in RLNAS's release: -1 for a skip, 0 to 5 for kernel and expansion (3, 3), (3, 6),
        (5, 3), (5, 6), (7, 3), (7, 6)."""
        return _published.numbered(ops)

    def graph(self, arch: str) -> dict[str, Any]:
        """Six stages, each a chain of blocks: one edge per block, `skip` included."""
        return {"cells": [_drawing(name, ops) for name, ops in zip(NAMES, staged(parse(arch)), strict=True)]}

    def trunk(self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False) -> Trunk:
        """(B, in_channels, H, W) -> (B, 54 * width, H/4, W/4), or H/32 with the ImageNet stem.

        `dense`: the fifth stage keeps the resolution, giving H/16 with the ImageNet stem.
        """
        return Trunk(parse(arch), in_channels, width, depth, stem, dense)

    def cost(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False
    ) -> Cost:
        """The cost of that trunk, computed by arithmetic."""
        return _cost(parse(arch), in_channels, width, depth, stem, size, dense)

    def choices(self) -> dict[str, Choices]:
        """Six stages: a block per edge, 7 operations each, of which the first block of a stage lacks `skip`."""
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
        """The network of all architectures.

        With the weights of `one_hot` it computes the same as the architecture's trunk, if the weights of both are the
        same.  Without `affine`, scales and biases of the blocks' BN have to be 1 and 0, as at initialisation.
        ValueError for edges of the kinds `partial` and `auxiliary`, which need blocks that keep their shape.
        """
        return SuperTrunk(in_channels, width, depth, stem, dense, edge, affine)

    def discretise(
        self,
        weights: Mapping[str, NDArray[np.floating]],
        edges: Mapping[str, NDArray[np.floating]] | None = None,
        skips: int | None = None,
    ) -> str:
        """The strongest operation that every block may have, the first of equal ones.

        `edges` has no influence, as no block is left out.  `skips` limits the skips of the whole network.
        """
        return write(_choices.discretise(weights, edges, skips))

    def one_hot(self, arch: str) -> dict[str, NDArray[np.float64]]:
        """The weights of an architecture."""
        return _choices.one_hot(parse(arch))

    def mutate(self, arch: str, rng: np.random.Generator, p: float | None = None) -> str:
        """The architecture with one other block, or with every block drawn anew with probability `p`."""
        return write(_choices.mutate(parse(arch), rng, p))

    def cross(self, a: str, b: str, rng: np.random.Generator) -> str:
        """Every block from one of two architectures."""
        return write(_choices.cross(parse(a), parse(b), rng))

    def draw_path(self, rng: np.random.Generator, cells: Mapping[str, int]) -> Rows:
        """Every block uniform over what it may be."""
        return _paths.draw_path(rng, cells)

    def uses(self, arch: str) -> dict[str, NDArray[np.int64]]:
        """1 for the operation of every block: there is one path."""
        return _paths.uses(parse(arch))

    def constant(self, op: str, channels: int, stride: int) -> float:
        """The squared norm of what stands for a skip."""
        return _paths.constant(op, channels, stride)

    def vector(self, op: str | None, module: nn.Module, faithful: bool) -> Sequence[Tensor]:
        """The weights of a block or layer that enter the angle."""
        return _paths.vector(op, module, faithful)


def _drawing(name: str, ops: Ops) -> dict[str, Any]:
    nodes = ["input", *map(str, range(1, len(ops))), "output"]
    return {"name": name, "nodes": nodes, "edges": [[k, k + 1, named(op)] for k, op in enumerate(ops)]}


SPACE = MobileNet()
