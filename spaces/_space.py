"""What a search space is: the protocol every space follows, and the cost of a trunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:  # the protocol alone needs neither of the two at run time
    import numpy as np
    from torch import nn

Stem = Literal["cifar", "imagenet"]
"""How a trunk begins: at full resolution (32 px images), or by reducing the image eightfold (224 px)."""


@dataclass(frozen=True)
class Cost:
    """What a trunk costs, and the features it hands to the head.

    params: all trainable parameters, BN included. macs: multiply-adds of the convolutions for one image.
    channels, size: channels and side (pixels) of the final map.
    """

    params: int
    macs: int
    channels: int
    size: int


class Size(NamedTuple):
    """Width (channels) and depth (cells, modules a stack or repeats) of a network."""

    width: int
    depth: int


class Space(Protocol):
    """A set of architectures. An architecture (`arch`) is text free of spaces, commas, quotes and newlines.

    Every method that takes an `arch` raises ValueError, saying what was seen and what would be right, for
    text that names no architecture of the space.
    """

    @property
    def name(self) -> str:
        """The name under which `spaces.get` finds it."""

    @property
    def cifar_size(self) -> Size:
        """The size of its CIFAR-10 networks in UnNAS (Liu et al. 2020) or its benchmark, which `min_params` means."""

    def sample(self, rng: np.random.Generator) -> str:
        """One architecture, a function of the state of `rng` alone."""

    def normal(self, arch: str) -> str:
        """The normal spelling of the same network: what is built, named in rows and hashed into trial ids."""

    def canonical(self, arch: str) -> str:
        """Buildable text, equal for isomorphic cells. It serves de-duplication, it is not what is trained."""

    def arch_id(self, arch: str) -> str:
        """Short hexadecimal name, equal exactly where `canonical` is."""

    def encode(self, *args: Any, **kwargs: Any) -> str:
        """Text in normal spelling from the usual description of an architecture of this space."""

    def graph(self, arch: str) -> dict[str, Any]:
        """The cells for drawing, as JSON can hold them.

        {"cells": [{"name", "nodes": [label, ...], "edges": [[source, target, op or ""], ...]}, ...]}, source
        and target being positions in `nodes`.
        """

    def trunk(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False
    ) -> nn.Module:
        """(B, in_channels, H, W) -> (B, C, h, w), C being its attribute `out_channels`; the task adds a head.

        `dense`: of the reductions after the stem only the first, for tasks that ask for the class of every pixel; with
        the ImageNet stem the map is then H/16 (UnNAS) instead of H/32.
        """

    def cost(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False
    ) -> Cost:
        """The cost of that trunk for square images of `size` pixels, by arithmetic: nothing is built."""
