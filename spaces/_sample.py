"""Samples of distinct architectures from a seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spaces._space import Space

PATIENCE = 20_000
"""Consecutive rejected draws after which a space is considered exhausted."""


@dataclass(frozen=True)
class Sample:
    """Architectures in the order of drawing, the number of draws, and the rejected draws by reason."""

    archs: tuple[str, ...]
    drawn: int
    rejected: dict[str, int]


def sample(space: Space, n: int, seed: int, min_params: int = 0) -> Sample:
    """`n` architectures of `space` in normal spelling, with distinct canonical forms.

    The draws depend only on `seed` (>= 0) and the space's name, so the first n of a larger sample are the sample of n.
    Architectures with fewer than `min_params` parameters are rejected, counting all parameters of the CIFAR-10
    classification network at the size of UnNAS (Liu et al. 2020, who kept the 18 % of the DARTS space with at least
    0.685 M).  ValueError if the space does not contain n such architectures.
    """
    if n < 0 or seed < 0:
        raise ValueError(f"a sample of {n} architectures from seed {seed}: both must be 0 or more")
    rng = _stream(space.name, seed)
    kept: dict[str, str] = {}
    rejected: Counter[str] = Counter()
    drawn = in_a_row = 0
    while len(kept) < n:
        if in_a_row == PATIENCE:
            raise ValueError(
                f"{n} distinct architectures requested from space {space.name!r}; {len(kept)} found in {drawn} "
                f"draws, none of them in the last {PATIENCE} (rejected: {dict(rejected)}); "
                f"request at most {len(kept)}{', or lower min_params' if min_params else ''}"
            )
        arch = space.sample(rng)
        drawn += 1
        reason = None
        if min_params > 0 and _cifar10_params(space, arch) < min_params:
            reason = "below min_params"
        elif (form := space.canonical(arch)) in kept:
            reason = "duplicate"
        else:
            kept[form] = arch
        in_a_row = in_a_row + 1 if reason else 0
        if reason:
            rejected[reason] += 1
    return Sample(tuple(kept.values()), drawn, dict(rejected))


def _stream(name: str, seed: int) -> np.random.Generator:
    """An independent stream for each (space, seed), the same on all machines."""
    salt = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, salt])


def _cifar10_params(space: Space, arch: str) -> int:
    """Parameters of UnNAS's CIFAR-10 classification network: the trunk and a linear layer to 10 classes."""
    width, depth = space.cifar_size
    trunk = space.cost(arch, in_channels=3, width=width, depth=depth, stem="cifar", size=32)
    return trunk.params + trunk.channels * 10 + 10
