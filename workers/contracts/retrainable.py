"""The contract of spaces with drop path and an auxiliary head (spaces/_retraining.py)."""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

import spaces
from workers.contracts._check import Check, expect

_SIZES: tuple[dict[str, Any], ...] = (
    {"width": 2, "depth": 3, "stem": "cifar", "size": 32},
    {"width": 2, "depth": 2, "stem": "imagenet", "size": 224},
)
_CLASSES = 5


def retrainable_checks(space: spaces.Retrainable) -> list[Check]:
    """The checks of such a space."""
    return [
        Check("drop path changes the features in training alone, and factors of 1 do not", lambda: _drops(space)),
        Check("the auxiliary head maps what the trunk keeps in training to classes", lambda: _auxiliary(space)),
    ]


def _trunk(space: spaces.Retrainable, size: dict[str, Any], seed: int) -> nn.Module:
    arch = space.sample(np.random.default_rng(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return space.trunk(
            arch, in_channels=3, width=size["width"], depth=size["depth"], stem=size["stem"], dense=False
        )


def _drops(space: spaces.Retrainable) -> None:
    size, changed = _SIZES[0], False
    shape = (2, *space.drop_shape(size["depth"]))
    inputs = torch.linspace(-1, 1, 2 * 3 * size["size"] ** 2).view(2, 3, size["size"], size["size"])
    for seed in range(3):
        trunk = _trunk(space, size, seed)
        drops = cast(spaces.RegularisedTrunk, trunk)

        def features(factors: Tensor | None, trunk: nn.Module = trunk, drops: Any = drops) -> Tensor:
            drops.drops = factors
            with torch.no_grad():
                return cast(Tensor, trunk(inputs))

        trunk.eval()
        expect(
            torch.equal(features(torch.zeros(shape)), features(None)), "drops change the features in evaluation mode"
        )
        trunk.train()
        plain = features(None)
        expect(torch.equal(features(torch.ones(shape)), plain), "factors of 1 change the features")
        changed |= not torch.equal(features(torch.zeros(shape)), plain)
    expect(changed, f"factors of 0 of the shape {shape} change no features; expected them to drop operations")


def _auxiliary(space: spaces.Retrainable) -> None:
    for size in _SIZES:
        trunk, side = _trunk(space, size, 0), size["size"]
        expected = space.tapped_size(size["depth"], size["stem"], side)
        head = space.auxiliary(trunk, width=size["width"], depth=size["depth"], stem=size["stem"], classes=_CLASSES)
        drops = cast(spaces.RegularisedTrunk, trunk)
        trunk.eval()(torch.zeros(1, 3, side, side))
        expect(drops.tapped is None, "the trunk keeps the input of its head in evaluation mode")
        trunk.train()(torch.zeros(2, 3, side, side))
        tapped = drops.tapped
        expect(tapped is not None, "the trunk keeps nothing for its head in training mode")
        assert tapped is not None
        seen = tuple(tapped.shape[2:])
        expect(seen == (expected, expected), f"the head gets maps of {seen}; tapped_size says {expected}")
        shape = tuple(head(tapped).shape)
        expect(shape == (2, _CLASSES), f"the head gives scores of {shape}; expected {(2, _CLASSES)}")
    try:
        space.tapped_size(3, "cifar", 2)
    except ValueError:
        return
    expect(False, "tapped_size accepts images of 2x2; expected a ValueError, as the head does not fit")
