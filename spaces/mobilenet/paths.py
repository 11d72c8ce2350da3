"""Single paths through the MobileNet-like supernet, and the weights on them, by the release of RLNAS."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from spaces._paths import Rows
from spaces.mobilenet.blocks import NAMES, SKIP, Ops, staged
from spaces.mobilenet.choices import COLUMNS, draw, one_hot
from spaces.mobilenet.network import Inverted


def draw_path(rng: np.random.Generator, cells: Mapping[str, int]) -> Rows:
    """Every block uniform over what it may be, all independent (SPOS, Guo et al. 2020)."""
    stages = zip(NAMES, staged(draw(rng)), strict=True)
    return {name: [[COLUMNS.index(op) for op in ops]] * cells[name] for name, ops in stages}


def uses(ops: Ops) -> dict[str, NDArray[np.int64]]:
    """1 for the operation of every block: the network is a chain, so its only path uses each once."""
    return {name: rows.astype(np.int64) for name, rows in one_hot(ops).items()}


def constant(op: str, channels: int, stride: int) -> float:
    """A skip counts as the identity matrix of `channels` x `channels`."""
    return float(channels) if op == SKIP else 0.0


def vector(op: str | None, module: nn.Module, faithful: bool) -> Sequence[Tensor]:
    """All parameters.

    `faithful`: as in the release, of a block without the batch norm behind its last convolution, and of the layers
    outside of the choices the weights of convolutions and the classifier alone, without batch norm and biases.
    """
    if not faithful:
        return list(module.parameters())
    if op is None:
        return [module.weight] if isinstance(module, nn.Conv2d | nn.Linear) else []
    found: list[Tensor] = []
    for block in (part for part in module.modules() if isinstance(part, Inverted)):
        for layer in (block.expand, block.depthwise):
            found += [] if layer is None else layer.parameters()
        found += block.project[0].parameters()
    return found
