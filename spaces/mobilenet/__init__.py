"""The MobileNet-like space of ProxylessNAS and RLNAS: 21 inverted residual blocks (Cai et al. 2019, Zhang et al. 2021).

Architectures as text, their graph, cost and network.  Imports only the shared files of `spaces`, such as `_space`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spaces._space import Cost, Size, Stem
from spaces.mobilenet import blocks as _blocks
from spaces.mobilenet import published as _published
from spaces.mobilenet.blocks import BLOCKS, OPS, SKIP, Ops, allowed, parse, staged, write
from spaces.mobilenet.cost import cost as _cost
from spaces.mobilenet.layout import PUBLISHED
from spaces.mobilenet.network import Trunk


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
        choices = [allowed(block) for block in range(BLOCKS)]
        drawn = rng.integers([len(ops) for ops in choices]).tolist()
        return write(tuple(ops[k] for ops, k in zip(choices, drawn, strict=True)))

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
        """Six stages, each a chain of blocks between input and output."""
        return {"cells": [_drawing(number, ops) for number, ops in enumerate(staged(parse(arch)), start=1)]}

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


def _drawing(number: int, ops: Ops) -> dict[str, Any]:
    nodes = ["input", *(op if op == SKIP else "mb{1}_{0}x{0}".format(*OPS[op]) for op in ops), "output"]
    edges = [[k, k + 1, ""] for k in range(len(nodes) - 1)]
    return {"name": f"stage {number}", "nodes": nodes, "edges": edges}


SPACE = MobileNet()
