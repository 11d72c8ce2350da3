"""The operations of DARTS cells.

In the papers the convolutional ones begin with a ReLU. Here whoever holds the map applies it, once for all
operations that read the same map; `rectified` tells which want it. The values are the same.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBn(nn.Sequential):
    """Convolution without bias, padded by half its kernel, and BN: (B, in, H, W) -> (B, out, h, w)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class Separable(nn.Sequential):
    """Depthwise convolution, pointwise convolution, BN; channels stay."""

    def __init__(self, channels: int, kernel: int, stride: int, dilation: int = 1) -> None:
        pad = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(channels, channels, kernel, stride, pad, dilation, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )


class Twice(nn.Module):
    """Two separable convolutions, a ReLU between them; the stride is the first one's."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.first = Separable(channels, kernel, stride)
        self.second = Separable(channels, kernel, 1)

    def forward(self, x: Tensor) -> Tensor:
        # In place: BN needs its input for the backward pass, not its output.
        out: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return out


class FactorizedReduction(nn.Module):
    """(B, in, H, W) -> (B, out, ceil(H/2), ceil(W/2)) without losing every other pixel's channels.

    Two 1x1 convolutions of stride 2, each to half the channels, one on the map and one on the map shifted by
    one pixel down and right, zeros beyond its edge; then BN.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        shifted = x
        if height % 2 or width % 2:  # with an even side the zeros beyond the edge are never read
            shifted = F.pad(x, (0, width % 2, 0, height % 2))
        out: Tensor = self.bn(torch.cat([self.even(x), self.odd(shifted[:, :, 1:, 1:])], 1))
        return out


def build(code: str, channels: int, stride: int) -> nn.Module:
    """The operation of that code (any but `no`): (B, C, H, W) -> (B, C, H, W), or ceil-halved at stride 2."""
    match code:
        case "mp":
            return nn.MaxPool2d(3, stride, 1)
        case "ap":
            return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        case "sk":
            return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels)
        case "s3" | "s5":
            return Twice(channels, int(code[1]), stride)
        case "d3" | "d5":
            return Separable(channels, int(code[1]), stride, dilation=2)
    raise AssertionError(f"no module for operation {code!r}")


def rectified(code: str, stride: int) -> bool:
    """Whether the operation reads its input through a ReLU."""
    return code in ("s3", "s5", "d3", "d5") or (code == "sk" and stride == 2)
