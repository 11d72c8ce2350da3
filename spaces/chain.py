"""Chains of up to four small layers: the smallest space, for tests and first experiments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from torch import Tensor, nn

from spaces._space import Cost, Size, Stem
from spaces._text import quoted

OPS = {"c3": "conv3x3", "c5": "conv5x5", "mp": "maxpool3x3", "id": "identity"}


@dataclass(frozen=True)
class Chain:
    """`c3_c5_id_mp`: a sequence of layers, repeated `depth` times, each time at half the resolution."""

    length: int = 4
    name: str = "chain"
    cifar_size: Size = Size(width=16, depth=2)  # noqa: RUF009  (immutable)

    def sample(self, rng: np.random.Generator) -> str:
        """`length` layers, each drawn uniformly from the four kinds."""
        codes = list(OPS)
        return "_".join(codes[k] for k in rng.integers(len(codes), size=self.length).tolist())

    @property
    def n_archs(self) -> int:
        """340 of up to four layers."""
        return sum(len(OPS) ** n for n in range(1, self.length + 1))

    def archs(self) -> Iterator[str]:
        """All chains, the shortest first."""
        return ("_".join(ops) for n in range(1, self.length + 1) for ops in product(OPS, repeat=n))

    def normal(self, arch: str) -> str:
        """The text itself, after validation."""
        return "_".join(self._layers(arch))

    def canonical(self, arch: str) -> str:
        """The chain without identities (one is kept if there are no other layers): 121 of 340 chains remain."""
        return "_".join([op for op in self._layers(arch) if op != "id"] or ["id"])

    def arch_id(self, arch: str) -> str:
        """12 hexadecimal digits of the canonical text's SHA-256."""
        return hashlib.sha256(self.canonical(arch).encode()).hexdigest()[:12]

    def encode(self, *, ops: Sequence[str]) -> str:
        """The text of a list of operation names, from input to output."""
        codes = {name: code for code, name in OPS.items()}
        for op in ops:
            if op not in codes:
                raise ValueError(f"no operation {op!r} in the chain space; have {', '.join(codes)}")
        return self.normal("_".join(codes[op] for op in ops))

    def graph(self, arch: str) -> dict[str, Any]:
        """One cell: input, the layers and the output in sequence."""
        nodes = ["input", *(OPS[op] for op in self._layers(arch)), "output"]
        edges = [[k, k + 1, ""] for k in range(len(nodes) - 1)]
        return {"cells": [{"name": "chain", "nodes": nodes, "edges": edges}]}

    def trunk(self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False) -> Trunk:
        """(B, in_channels, H, W) -> (B, width, h, w), halved before each repeat but the first; `dense`: halved once."""
        return Trunk(self._layers(arch), in_channels, width, depth, stem, dense)

    def cost(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False
    ) -> Cost:
        """The cost of that trunk, computed by arithmetic."""
        layers, strides = self._layers(arch), _strides(width, depth, stem)
        params = macs = 0
        for k, stride in enumerate(strides):
            weights = (width if k else in_channels) * width * 9
            size = -(-size // stride)
            params, macs = params + weights + 2 * width, macs + weights * size**2
        for repeat in range(depth):
            size = -(-size // 2) if _halves(repeat, dense) else size
            for op in layers:
                if op in ("c3", "c5"):
                    weights = width**2 * int(op[1]) ** 2
                    params, macs = params + weights + 2 * width, macs + weights * size**2
        return Cost(params, macs, width, size)

    def _layers(self, arch: str) -> list[str]:
        layers = arch.split("_", self.length)  # splits at most one part too many
        if len(layers) > self.length or any(op not in OPS for op in layers):
            raise ValueError(
                f"{quoted(arch)} is not a valid chain; expected 1 to {self.length} of {' '.join(OPS)} joined by `_`, "
                "like `c3_c5_id`"
            )
        return layers


def _halves(repeat: int, dense: bool) -> bool:
    """Whether the feature map is halved before this repeat (counted from 0)."""
    return repeat == 1 if dense else repeat > 0


def _strides(width: int, depth: int, stem: Stem) -> list[int]:
    """Strides of the stem's convolutions."""
    if width < 1 or depth < 1:
        raise ValueError(f"a chain network of width {width} and depth {depth}: at least 1 and 1 are needed")
    return [1] if stem == "cifar" else [2, 2, 2]


def _block(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Trunk(nn.Module):
    """(B, in_channels, H, W) -> (B, width, h, w)."""

    def __init__(
        self, ops: Sequence[str], in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for stride in _strides(width, depth, stem):
            layers.append(_block(width if layers else in_channels, width, 3, stride))
        for repeat in range(depth):
            if _halves(repeat, dense):
                layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
            for op in ops:
                if op == "mp":
                    layers.append(nn.MaxPool2d(3, 1, 1))
                elif op != "id":
                    layers.append(_block(width, width, int(op[1])))
        self.layers = nn.Sequential(*layers)
        self.out_channels = width

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


SPACE = Chain()
