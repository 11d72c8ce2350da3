"""The operations of DARTS cells.

In the papers the convolutional operations begin with a ReLU.  Here the cell applies it, once for all operations with
the same input; `rectified` says which operations need it.  The values are the same.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL = 16 * 16  # pixels of a feature map up to which the decomposition below is faster


class ConvBn(nn.Sequential):
    """Convolution without bias, padded by half its kernel, and BN: (B, in, H, W) -> (B, out, h, w)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, affine: bool = True) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, affine=affine),
        )


class DilatedDepthwise(nn.Conv2d):
    """A depthwise convolution of dilation 2, its output ceil(H/stride) x ceil(W/stride).

    On a CPU a small feature map is computed without dilation, up to ten times faster: the pixels of every other row and
    column form a smaller image, on which the kernel is dense, and there are four such images.  With a stride of 2 only
    the first of them is needed.  The same products are added.  In bfloat16 this is used for all sizes: in torch 2.15
    the gradient of the dilated kernel is wrong and often not finite (channels last).
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, kernel - 1, 2, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":  # on a GPU the copies are slow, and FLOP counters expect one convolution
            return super().forward(x)
        if self.stride == (2, 2):
            return self._dense(x[:, :, ::2, ::2])
        batch, channels, height, width = x.shape
        if height * width > SMALL and x.dtype != torch.bfloat16 and not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        if height % 2 or width % 2:
            x = F.pad(x, (0, width % 2, 0, height % 2))
        rows, columns = (height + 1) // 2, (width + 1) // 2
        # Channels last, so that whole pixels are copied: (2, 2, B, h, w, C) from (B, h, 2, w, 2, C).
        apart = x.permute(0, 2, 3, 1).reshape(batch, rows, 2, columns, 2, channels).permute(2, 4, 0, 1, 3, 5)
        images = apart.reshape(4 * batch, rows, columns, channels).permute(0, 3, 1, 2)
        out = self._dense(images).permute(0, 2, 3, 1).reshape(2, 2, batch, rows, columns, channels)
        together = out.permute(2, 3, 0, 4, 1, 5).reshape(batch, 2 * rows, 2 * columns, channels)
        return together[:, :height, :width].permute(0, 3, 1, 2)

    def _dense(self, x: Tensor) -> Tensor:
        radius, reach = self.kernel_size[0] // 2, max(x.shape[2:]) - 1
        weight = self.weight
        if reach < radius:  # the outer weights of the kernel never overlap the image
            weight = weight[:, :, radius - reach : radius + reach + 1, radius - reach : radius + reach + 1]
        return F.conv2d(x, weight, padding=min(radius, reach), groups=self.groups)


class Separable(nn.Sequential):
    """Depthwise convolution, pointwise convolution, BN; the number of channels does not change."""

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool = True) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )


class Dilated(nn.Sequential):
    """As `Separable`, with a dilation of 2 in the depthwise convolution."""

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool = True) -> None:
        super().__init__(
            DilatedDepthwise(channels, kernel, stride),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )


class Twice(nn.Module):
    """Two separable convolutions with a ReLU between them; the first one has the stride."""

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool = True) -> None:
        super().__init__()
        self.first = Separable(channels, kernel, stride, affine)
        self.second = Separable(channels, kernel, 1, affine)

    def forward(self, x: Tensor) -> Tensor:
        # In place: BN needs its input for the backward pass, not its output.
        out: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return out


class FactorizedReduction(nn.Module):
    """(B, in, H, W) -> (B, out, ceil(H/2), ceil(W/2)), from pixels at even and at odd positions.

    Two 1x1 convolutions of stride 2, each to half the channels: one on the feature map and one on the feature map
    shifted by one pixel in both directions, zero beyond its edge; then BN.
    """

    def __init__(self, inputs: int, outputs: int, affine: bool = True) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        shifted = x
        if height % 2 or width % 2:  # with even sides the zeros beyond the edge are not used
            shifted = F.pad(x, (0, width % 2, 0, height % 2))
        out: Tensor = self.bn(torch.cat([self.even(x), self.odd(shifted[:, :, 1:, 1:])], 1))
        return out


def build(code: str, channels: int, stride: int, affine: bool = True) -> nn.Module:
    """The operation of that code (except `no`): (B, C, H, W) -> (B, C, H, W), or half the size at stride 2.

    `affine`: whether its BN has learned scales and biases.
    """
    match code:
        case "mp":
            return nn.MaxPool2d(3, stride, 1)
        case "ap":
            return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        case "sk":
            return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels, affine)
        case "s3" | "s5":
            return Twice(channels, int(code[1]), stride, affine)
        case "d3" | "d5":
            return Dilated(channels, int(code[1]), stride, affine)
    raise AssertionError(f"no module for operation {code!r}")


def rectified(code: str, stride: int) -> bool:
    """Whether a ReLU is applied to the input of the operation."""
    return code in ("s3", "s5", "d3", "d5") or (code == "sk" and stride == 2)
