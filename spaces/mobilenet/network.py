"""The network of a MobileNet-like architecture: a stem, 21 blocks, a last convolution."""

from collections.abc import Sequence

from torch import Tensor, nn

from spaces._space import Stem
from spaces.mobilenet.blocks import OPS, SKIP, Ops
from spaces.mobilenet.layout import Layout, layout


class ConvBn(nn.Sequential):
    """Convolution without bias, padded by half its kernel, BN, and ReLU6 if `active`: (B, in, H, W) -> (B, out, h, w).

    A depthwise convolution has as many `groups` as channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        active: bool = True,
        affine: bool = True,
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, affine=affine),
            # In place: BN needs its input for the backward pass, not its output.
            *([nn.ReLU6(inplace=True)] if active else []),
        )


class Inverted(nn.Module):
    """An inverted residual block (Sandler et al. 2018): (B, in, H, W) -> (B, out, h, w).

    1x1 convolution to `expansion` times the channels, depthwise convolution, 1x1 convolution without ReLU6.  The input
    is added if it has the shape of the output.  With an expansion of 1 the first convolution is left out.  `affine`:
    whether BN has learned scales and biases.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, affine: bool = True
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvBn(inputs, hidden, affine=affine) if expansion > 1 else None
        self.depthwise = ConvBn(hidden, hidden, kernel, stride, groups=hidden, affine=affine)
        self.project = ConvBn(hidden, outputs, active=False, affine=affine)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        hidden = x if self.expand is None else self.expand(x)
        out: Tensor = self.project(self.depthwise(hidden))
        return x + out if self.residual else out


def ends(in_channels: int, of: Layout) -> tuple[list[nn.Module], nn.Module]:
    """The stem with the block without expansion, and the last convolution: what all architectures have."""
    first = ConvBn(in_channels, of.stem, 3, of.stride)
    # Without a residual connection, as in the release, even if some width gives both the same number of channels.
    plain = Inverted(of.stem, of.first, 3, 1, expansion=1)
    plain.residual = False
    return [first, plain], ConvBn(of.blocks[-1].outputs, of.last)


class Trunk(nn.Module):
    """(B, in_channels, H, W) -> (B, 54 * width, h, w), h = H/4 (CIFAR stem) or H/32."""

    def __init__(self, ops: Ops, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False) -> None:
        super().__init__()
        of = layout(width, depth, stem, dense)
        begin, last = ends(in_channels, of)
        blocks: Sequence[nn.Module] = [
            Inverted(place.inputs, place.outputs, OPS[op][0], place.stride, OPS[op][1])
            for op, place in zip(ops, of.blocks, strict=True)
            if op != SKIP
            for _ in range(place.times)
        ]
        self.layers = nn.Sequential(*begin, *blocks, last)
        self.out_channels = of.last

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
