"""The baseline networks of the two spaces in plain modules, as in the papers and the public release (Liu et al. 2020).

Every operation of a DARTS cell begins with its own ReLU, a `none` gives a map of zeros, sums are Python's `sum`, and
tensors have torch's default memory format.  Layers are registered in the same order as in this package's networks, so
weights can be copied one by one.
"""

import numpy as np
import torch
import torch.nn.functional as F
from nasbench_pytorch.model import ModelSpec
from nasbench_pytorch.model.model import compute_vertex_channels
from torch import Tensor, nn

from spaces.darts import genotype
from spaces.nasbench101 import cell as nasbench101

# ----- DARTS ---------------------------------------------------------------------------------------------------------


class Zero(nn.Module):
    """`none`: zeros of the strided input's shape."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride].mul(0.0)


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2, one of them on the map shifted by one pixel, BN."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=False)
        self.pad = nn.ConstantPad2d((0, 1, 0, 1), 0)
        self.conv_1 = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        moved = self.pad(x)[:, :, 1:, 1:]
        out: Tensor = self.bn(torch.cat([self.conv_1(x), self.conv_2(moved)], dim=1))
        return out


def relu_conv_bn(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(inplace=False), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


def dil_conv(channels: int, kernel: int, stride: int, dilation: int) -> nn.Module:
    pad = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(inplace=False),
        nn.Conv2d(channels, channels, kernel, stride, pad, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


def operation(code: str, channels: int, stride: int) -> nn.Module:
    if code == "no":
        return Zero(stride)
    if code == "mp":
        return nn.MaxPool2d(3, stride, padding=1)
    if code == "ap":
        return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    if code == "sk":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    kernel = int(code[1])
    if code[0] == "d":
        return dil_conv(channels, kernel, stride, dilation=2)
    return nn.Sequential(dil_conv(channels, kernel, stride, 1), dil_conv(channels, kernel, 1, 1))


class Cell(nn.Module):
    """Four nodes, each the sum of two operations on earlier nodes; concatenated."""

    def __init__(
        self, cell: genotype.Cell, before_last: int, last: int, width: int, reduces: bool, after_reduction: bool
    ) -> None:
        super().__init__()
        self.preprocess0 = FactorizedReduce(before_last, width) if after_reduction else relu_conv_bn(before_last, width)
        self.preprocess1 = relu_conv_bn(last, width)
        edges = [edge for node in cell for edge in node]
        self.sources = [source for _, source in edges]
        self.ops = nn.ModuleList(operation(code, width, 2 if reduces and source < 2 else 1) for code, source in edges)

    def forward(self, s0: Tensor, s1: Tensor) -> Tensor:
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for node in range(len(self.ops) // 2):
            pair = (2 * node, 2 * node + 1)
            states.append(sum(self.ops[k](states[self.sources[k]]) for k in pair))
        return torch.cat(states[2:], dim=1)


class DartsTrunk(nn.Module):
    """(B, in_channels, 32, 32) -> (B, 16 * width, 8, 8): stem and `depth` cells, reductions at 1/3 and 2/3."""

    def __init__(self, arch: str, in_channels: int, width: int, depth: int) -> None:
        super().__init__()
        normal, reduce = genotype.parse(arch)
        channels = 3 * width
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.cells = nn.ModuleList()
        before_last = last = channels
        after_reduction = False
        for i in range(depth):
            reduces = i in (depth // 3, 2 * depth // 3)
            width *= 2 if reduces else 1
            self.cells.append(Cell(reduce if reduces else normal, before_last, last, width, reduces, after_reduction))
            before_last, last, after_reduction = last, 4 * width, reduces
        self.out_channels = last

    def forward(self, x: Tensor) -> Tensor:
        s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        last: Tensor = s1
        return last


# ----- NAS-Bench-101 -------------------------------------------------------------------------------------------------


def conv_bn_relu(inputs: int, outputs: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Module(nn.Module):
    """One NAS-Bench-101 module, computed from its adjacency matrix."""

    def __init__(self, spec: ModelSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.matrix = spec.matrix.tolist()
        self.last = len(self.matrix) - 1
        self.channels = compute_vertex_channels(inputs, outputs, spec.matrix)
        self.projections = nn.ModuleDict(
            {str(v): conv_bn_relu(inputs, self.channels[v], 1) for v in range(1, self.last + 1) if self.matrix[0][v]}
        )
        self.ops = nn.ModuleList()
        for v in range(1, self.last):
            kernel = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}.get(spec.ops[v])
            self.ops.append(
                nn.MaxPool2d(3, stride=1, padding=1)
                if kernel is None
                else conv_bn_relu(self.channels[v], self.channels[v], kernel)
            )

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for v in range(1, self.last):
            fan_in = [values[u][:, : self.channels[v]] for u in range(1, v) if self.matrix[u][v]]
            if self.matrix[0][v]:
                fan_in.append(self.projections[str(v)](x))
            values.append(self.ops[v - 1](sum(fan_in)))
        outputs = [values[v] for v in range(1, self.last) if self.matrix[v][self.last]]
        if not outputs:
            alone: Tensor = self.projections[str(self.last)](x)
            return alone
        out = torch.cat(outputs, dim=1)
        if self.matrix[0][self.last]:
            out = out + self.projections[str(self.last)](x)
        return out


def spec_of(arch: str) -> ModelSpec:
    """The architecture as a `ModelSpec` of nasbench_pytorch."""
    module = nasbench101.parse(arch)
    names = ["input", *(nasbench101.OPS[op] for op in module.ops), "output"]
    return ModelSpec(np.array(module.matrix()), names)


class NasBench101Trunk(nn.Module):
    """(B, in_channels, 32, 32) -> (B, 4 * width, 8, 8): three stacks of `depth` modules."""

    def __init__(self, arch: str, in_channels: int, width: int, depth: int) -> None:
        super().__init__()
        spec = spec_of(arch)
        layers: list[nn.Module] = [conv_bn_relu(in_channels, width, 3)]
        channels = width
        for stack in range(3):
            if stack:
                layers.append(nn.MaxPool2d(2, stride=2))
                width *= 2
            for _ in range(depth):
                layers.append(Module(spec, channels, width))
                channels = width
        self.layers = nn.Sequential(*layers)
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


# ----- heads ---------------------------------------------------------------------------------------------------------


class Classifier(nn.Module):
    """Average pool and a linear layer; for several tiles their pooled features are concatenated."""

    def __init__(self, trunk: nn.Module, channels: int, classes: int, tiles: int = 1) -> None:
        super().__init__()
        self.trunk, self.tiles = trunk, tiles
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(tiles * channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.tiles > 1:
            x = x.flatten(0, 1)
        features = self.pool(self.trunk(x))
        out: Tensor = self.head(features.reshape(len(x) // self.tiles, -1))
        return out


class Colours(nn.Module):
    """A 1x1 convolution to 313 classes, upsampled to the image."""

    def __init__(self, trunk: nn.Module, channels: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Conv2d(channels, 313, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.head(self.trunk(x)), size=x.shape[-2:], mode="bilinear", align_corners=True)


def network(space: str, arch: str, task: str, width: int, depth: int) -> nn.Module:
    """The plain network of a CIFAR-10 trial: cls, rot (B, 3, 32, 32), col (B, 1, 32, 32), jig (B, 4, 3, 12, 12)."""
    made: type[DartsTrunk] | type[NasBench101Trunk] = DartsTrunk if space == "darts" else NasBench101Trunk
    trunk = made(arch, 1 if task == "col" else 3, width, depth)
    if task == "col":
        return Colours(trunk, trunk.out_channels)
    classes = {"cls": 10, "rot": 4, "jig": 24}[task]
    return Classifier(trunk, trunk.out_channels, classes, tiles=4 if task == "jig" else 1)
