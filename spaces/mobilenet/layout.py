"""The sizes of a MobileNet-like network, from which it is built and its cost is computed (ProxylessNAS's layout)."""

from typing import NamedTuple

from spaces._space import Stem
from spaces.mobilenet.blocks import STAGES

PUBLISHED = 32
"""The width of the published network: channels of the first stage.  All other channels are proportional."""

STEM, FIRST, LAST = 40, 24, 1728
"""Channels of the stem, of the block behind it and of the last convolution, at the published width."""


class Place(NamedTuple):
    """The place of a block: its channels, its stride, and how often it occurs in a row."""

    inputs: int
    outputs: int
    stride: int
    times: int


class Layout(NamedTuple):
    """The layers of a network."""

    stem: int  # channels
    stride: int  # of the stem
    first: int  # channels of the block without expansion
    blocks: tuple[Place, ...]
    last: int  # channels of the last convolution


def layout(width: int, depth: int, stem: Stem, dense: bool = False) -> Layout:
    """The network of a width and depth; ValueError for invalid ones.

    Four stages and the stem halve the resolution.  For small images the first three of these five keep it, as the stems
    of the other spaces do: 32 px end in 8, 224 px in 7.  `dense`: only the first of the two others halves.  Blocks that
    keep the number of channels occur `depth` times in a row; 1 is the published network.
    """
    if width < 1 or depth < 1:
        raise ValueError(f"a MobileNet of width {width} and depth {depth}: at least 1 and 1 are needed")
    halving = 1  # of the stem
    keeps = 3 if stem == "cifar" else 0  # how many of the halvings do not take place
    inputs, blocks = _scaled(FIRST, width), []
    for stage in STAGES:
        outputs = _scaled(stage.channels, width)
        halving += stage.stride == 2
        stride = stage.stride if keeps < halving < (5 if dense else 6) else 1
        for number in range(stage.blocks):
            first = number == 0
            blocks.append(Place(inputs, outputs, stride if first else 1, 1 if first else depth))
            inputs = outputs
    return Layout(_scaled(STEM, width), 1 if keeps else 2, _scaled(FIRST, width), tuple(blocks), _scaled(LAST, width))


def _scaled(channels: int, width: int) -> int:
    """Channels of a width, rounded to the nearest number, at least 1."""
    return max(1, (2 * channels * width + PUBLISHED) // (2 * PUBLISHED))
