"""New noise in every step: the images of a `noise` dataset with `fresh = true`, in training.

A step gets one random number per image, and makes the pixels on the device of the training: the same arithmetic as that
of the stored images (`workers.data.generated.noise`), and the same bytes for the same numbers.
"""

from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from workers.data.generated.integers import FIRST, SECOND, SHIFTS, STEP
from workers.data.generated.noise import MIDDLE, SHIFT

if TYPE_CHECKING:
    from workers.data.generated import Noise
    from workers.datasets import Dataset

NOISE = "noise"  # the key of these numbers in a part
_STEP, _FIRST, _SECOND = (int(number.view("int64")) for number in (STEP, FIRST, SECOND))
_PAIRS = 0x00FF00FF00FF00FF


def fresh_noise(dataset: "Dataset") -> "Noise | None":
    """The numbers of a dataset whose training images are new in every step; None for all other datasets."""
    from workers.data.custom import CustomDataset
    from workers.data.generated import Noise

    source = dataset.source if isinstance(dataset, CustomDataset) else None
    return source if isinstance(source, Noise) and source.fresh else None


def draw_noise(dataset: "Dataset", n: int, generator: Generator) -> dict[str, Tensor]:
    """A number for each of n images, int64 (n,); nothing for datasets whose images stay."""
    if fresh_noise(dataset) is None:
        return {}
    return {NOISE: torch.randint(-(2**63), 2**63 - 1, (n,), generator=generator)}


def images(numbers: Tensor, dataset: "Dataset") -> Tensor:
    """The images of these numbers, int64 (B,) on any device -> uint8 (B, S, S, 3) there."""
    noise = fresh_noise(dataset)
    if noise is None:
        raise ValueError(f"the images of {dataset.name} stay; expected a dataset of the kind noise with fresh = true")
    side = noise.size
    one = torch.ones(1, dtype=torch.int64, device=numbers.device)
    places = torch.arange(side * side * 3 * 2, dtype=torch.int64, device=numbers.device)
    bits = _words(_words(numbers, one)[:, None], places[None])
    pairs = (bits & _PAIRS) + (bits >> 8 & _PAIRS)
    sums = (pairs & 0xFFFF) + (pairs >> 16 & 0xFFFF) + (pairs >> 32 & 0xFFFF) + (pairs >> 48 & 0xFFFF)
    sums = sums.view(-1, side, side, 3, 2).sum(dim=-1) - MIDDLE
    # Numbers, not tensors: a captured step copies nothing from the host.
    values = [m + s * sums[..., k] + (1 << SHIFT - 1) for k, (m, s) in enumerate(zip(*noise.levels, strict=True))]
    return (torch.stack(values, dim=-1) >> SHIFT).clamp(0, 255).to(torch.uint8)


def _words(keys: Tensor, counters: Tensor) -> Tensor:
    """SplitMix64 with signed integers, which wrap around in the same way (`workers.data.generated.integers.words`)."""
    mixed = keys + (counters + 1) * _STEP
    for shift, factor in zip(SHIFTS, (_FIRST, _SECOND, 1), strict=True):
        # A right shift of a signed integer repeats its sign: the mask makes it the shift of an unsigned one.
        mixed = mixed ^ (mixed >> int(shift) & (1 << 64 - int(shift)) - 1)
        mixed = mixed * factor
    return mixed
