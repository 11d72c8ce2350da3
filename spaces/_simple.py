"""A base class for custom spaces, with defaults for everything that follows from its texts and networks."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spaces._space import Cost, Size, Stem

if TYPE_CHECKING:
    from torch import Tensor, nn


class Simple:
    """A subclass defines `name`, `sample`, `normal` and `trunk` (see `Space`) and may override the rest.

    Defaults: different texts are different architectures, graphs have one node, and costs are counted on the network,
    built on the meta device, instead of by arithmetic: some milliseconds per architecture.
    """

    cifar_size: Size = Size(width=16, depth=1)

    def normal(self, arch: str) -> str:
        """The text in normal spelling; ValueError if it is not an architecture of the space."""
        raise NotImplementedError

    def trunk(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False
    ) -> nn.Module:
        """A network (B, in_channels, H, W) -> (B, C, h, w) with the attribute `out_channels` C."""
        raise NotImplementedError

    def canonical(self, arch: str) -> str:
        """The normal spelling."""
        return self.normal(arch)

    def arch_id(self, arch: str) -> str:
        """12 hexadecimal digits of the canonical text's SHA-256."""
        return hashlib.sha256(self.canonical(arch).encode()).hexdigest()[:12]

    def encode(self, arch: str) -> str:
        """The normal spelling of the text, which is the only description."""
        return self.normal(arch)

    def graph(self, arch: str) -> dict[str, Any]:
        """Input, the architecture, output."""
        nodes = ["input", self.normal(arch), "output"]
        return {"cells": [{"name": "network", "nodes": nodes, "edges": [[0, 1, ""], [1, 2, ""]]}]}

    def cost(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False
    ) -> Cost:
        """Counted on the network: parameters, and multiply-adds of its convolutions and linear layers."""
        return _counted(self, self.normal(arch), in_channels, width, depth, stem, size, dense)


@lru_cache(maxsize=65_536)
def _counted(
    space: Simple, arch: str, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool
) -> Cost:
    import torch
    from torch import nn

    macs = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal macs
        if isinstance(module, nn.Conv2d):
            macs += out[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            macs += out[0].numel() * module.in_features

    with torch.device("meta"):
        trunk = space.trunk(arch, in_channels=in_channels, width=width, depth=depth, stem=stem, dense=dense).eval()
        for module in trunk.modules():
            module.register_forward_hook(count)
        out = trunk(torch.empty(1, in_channels, size, size))
    return Cost(sum(p.numel() for p in trunk.parameters()), macs, out.shape[1], out.shape[-1])
