"""The head of the segmentation task: atrous spatial pyramid pooling (Chen et al. 2017)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spaces import Cost


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: (B, inputs, h, w) -> scores (B, classes, h, w).

    Parallel branches: a 1x1 convolution, one 3x3 convolution per dilation rate, and global average pooling with a 1x1
    convolution.  They are concatenated and joined by a 1x1 convolution.  Each convolution has `channels` channels, BN
    and ReLU.  A 1x1 convolution with bias gives the scores.
    """

    def __init__(self, inputs: int, channels: int, rates: Sequence[int], classes: int) -> None:
        super().__init__()
        self.near = _block(inputs, channels)
        self.far = nn.ModuleList(_block(inputs, channels, rate) for rate in rates)
        self.whole = _block(inputs, channels)
        self.joined = _block((2 + len(rates)) * channels, channels)
        self.classes = nn.Conv2d(channels, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Scores of the classes at every position."""
        whole = self.whole(features.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *features.shape[2:])
        branches = [self.near(features), *(branch(features) for branch in self.far), whole]
        scores: Tensor = self.classes(self.joined(torch.cat(branches, 1)))
        return scores


def _block(inputs: int, outputs: int, rate: int | None = None) -> nn.Module:
    """A convolution without bias (1x1, or 3x3 with dilation `rate`), BN and ReLU."""
    kernel, dilation, padding = (1, 1, 0) if rate is None else (3, rate, rate)
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def cost(trunk: Cost, channels: int, rates: Sequence[int], classes: int) -> tuple[int, int]:
    """Parameters and multiply-adds of the head on a trunk's feature map."""
    per_position = (
        trunk.channels * channels * (1 + 9 * len(rates)) + (2 + len(rates)) * channels**2 + channels * classes
    )
    once = trunk.channels * channels
    norms_and_bias = 2 * channels * (3 + len(rates)) + classes
    return per_position + once + norms_and_bias, per_position * trunk.size**2 + once
