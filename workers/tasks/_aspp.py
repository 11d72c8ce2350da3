"""The head of segmentation: the surroundings of every place of a map at several ranges (Chen et al. 2017)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spaces import Cost


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: (B, inputs, h, w) -> scores (B, classes, h, w).

    Side by side a 1x1 convolution, a 3x3 convolution dilated by each rate, and the mean of the whole map through a 1x1
    convolution; joined by a 1x1 convolution, each with BN and ReLU and `channels` channels; then a 1x1 convolution with
    bias to the classes.
    """

    def __init__(self, inputs: int, channels: int, rates: Sequence[int], classes: int) -> None:
        super().__init__()
        self.near = _block(inputs, channels)
        self.far = nn.ModuleList(_block(inputs, channels, rate) for rate in rates)
        self.whole = _block(inputs, channels)
        self.joined = _block((2 + len(rates)) * channels, channels)
        self.classes = nn.Conv2d(channels, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Scores of the classes at every place."""
        whole = self.whole(features.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *features.shape[2:])
        branches = [self.near(features), *(branch(features) for branch in self.far), whole]
        scores: Tensor = self.classes(self.joined(torch.cat(branches, 1)))
        return scores


def _block(inputs: int, outputs: int, rate: int | None = None) -> nn.Module:
    """A convolution without bias, 1x1, or 3x3 dilated by `rate`; BN, ReLU."""
    kernel, dilation, padding = (1, 1, 0) if rate is None else (3, rate, rate)
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def cost(trunk: Cost, channels: int, rates: Sequence[int], classes: int) -> tuple[int, int]:
    """Parameters and multiply-adds of the head on a trunk's map."""
    at_each_place = (
        trunk.channels * channels * (1 + 9 * len(rates)) + (2 + len(rates)) * channels**2 + channels * classes
    )
    once = trunk.channels * channels
    norms_and_bias = 2 * channels * (3 + len(rates)) + classes
    return at_each_place + once + norms_and_bias, at_each_place * trunk.size**2 + once
