"""The protocol of search spaces, and the cost of a trunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:  # the protocol alone needs neither of the two at run time
    from collections.abc import Iterator

    import numpy as np
    from torch import nn

Stem = Literal["cifar", "imagenet"]
"""The stem of a trunk: at full resolution (32 px images), or reducing the resolution by 8 (224 px images)."""


@dataclass(frozen=True)
class Cost:
    """The cost of a trunk, and the shape of its features.

    params: all trainable parameters, including BN.  macs: multiply-adds of the convolutions for one image.
    channels, size: number of channels and side (pixels) of the final feature map.
    """

    params: int
    macs: int
    channels: int
    size: int


class Size(NamedTuple):
    """Width (channels) and depth (cells, modules per stack, or repeats) of a network."""

    width: int
    depth: int


class Space(Protocol):
    """A set of architectures.  An architecture (`arch`) is text without spaces, commas, quotes and newlines.

    Every method with an argument `arch` raises ValueError for text that is not an architecture of the space; the
    message says what was seen and what is expected.
    """

    @property
    def name(self) -> str:
        """The name for `spaces.get`."""

    @property
    def cifar_size(self) -> Size:
        """The size of its CIFAR-10 networks in UnNAS (Liu et al. 2020) or its benchmark; `min_params` refers to it."""

    def sample(self, rng: np.random.Generator) -> str:
        """A random architecture, which depends only on the state of `rng`."""

    def normal(self, arch: str) -> str:
        """The normal spelling of the same network, which is built, stored in rows and hashed into trial ids."""

    def canonical(self, arch: str) -> str:
        """A valid architecture, equal for isomorphic cells.  Used for de-duplication, not for training."""

    def arch_id(self, arch: str) -> str:
        """A short hexadecimal name; equal if and only if `canonical` is equal."""

    def encode(self, *args: Any, **kwargs: Any) -> str:
        """The normal spelling of an architecture from the usual description in the literature."""

    def graph(self, arch: str) -> dict[str, Any]:
        """The cells for drawing, as JSON-compatible data.

        {"cells": [{"name", "nodes": [label, ...], "edges": [[source, target, op or ""], ...]}, ...]}; source and target
        are indices of `nodes`.
        """

    def trunk(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False
    ) -> nn.Module:
        """A network (B, in_channels, H, W) -> (B, C, h, w) with the attribute `out_channels` C; the task adds a head.

        `dense`: only the first of the reductions after the stem, for tasks that predict the class of each pixel; with
        the ImageNet stem the feature map is then H/16 (UnNAS) instead of H/32.
        """

    def cost(
        self, arch: str, *, in_channels: int, width: int, depth: int, stem: Stem, size: int, dense: bool = False
    ) -> Cost:
        """The cost of that trunk for square images of `size` pixels, computed by arithmetic without building it."""


@runtime_checkable
class Enumerable(Protocol):
    """What a space may offer in addition: all its architectures.  A study then may say `{ all = true }`."""

    @property
    def n_archs(self) -> int:
        """The number of architectures: texts in normal spelling, isomorphic ones counted separately."""

    def archs(self) -> Iterator[str]:
        """Every architecture once, in normal spelling and in an order that never changes."""
