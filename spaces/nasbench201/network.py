"""The network of a NAS-Bench-201 cell: three stages of equal cells with residual blocks between (Dong & Yang 2020)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces._space import Stem
from spaces.nasbench201.cell import EDGES, NODES, Cell

STAGES = 3
KERNELS = {"nor_conv_3x3": 3, "nor_conv_1x1": 1}


class ConvBn(nn.Sequential):
    """Convolution without bias, padded by half its kernel, and BN: (B, in, H, W) -> (B, out, h, w)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class CellNetwork(nn.Module):
    """One cell: (B, channels, H, W) -> (B, channels, H, W).

    As in the benchmark, every convolution of the cell is computed, also if its input is zero (its BN still learns a
    bias) or if its output is not used: parameters and multiply-adds are those published.  Other operations are computed
    only if the output needs them, and once per node: a ReLU or pooled map is shared, and zeros are not added.
    """

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleDict(
            {
                f"{source}{node}": ConvBn(channels, channels, KERNELS[op])
                for (source, node), op in zip(EDGES, cell, strict=True)
                if op in KERNELS
            }
        )
        self.reads = _reads(cell)
        self.read = {NODES - 1, *(source for reads in self.reads for source, _ in reads)}

    def forward(self, x: Tensor) -> Tensor:
        values = {0: x}
        # By feature map, which may be the value of several nodes.
        relus: dict[int, Tensor] = {}
        pooled: dict[int, Tensor] = {}
        for node, reads in enumerate(self.reads, start=1):
            parts = []
            for source, op in reads:
                value = values[source]
                if op == "skip_connect":
                    parts.append(value)
                elif op == "avg_pool_3x3":
                    if id(value) not in pooled:
                        pooled[id(value)] = F.avg_pool2d(value, 3, 1, 1, count_include_pad=False)
                    parts.append(pooled[id(value)])
                else:
                    if id(value) not in relus:
                        relus[id(value)] = F.relu(value)
                    parts.append(self.convs[f"{source}{node}"](relus[id(value)]))
            if node in self.read:
                values[node] = _total(parts) if parts else torch.zeros_like(x)
        return values[NODES - 1]


def _reads(cell: Cell) -> list[list[tuple[int, str]]]:
    """For nodes 1, 2, 3 the (source, operation) to compute, without operations that are zero or unused."""
    ops = dict(zip(EDGES, cell, strict=True))
    needed = {NODES - 1}
    for (source, node), op in reversed(list(zip(EDGES, cell, strict=True))):
        if op in KERNELS or (op != "none" and node in needed):
            needed.add(source)
    reads: list[list[tuple[int, str]]] = []
    for node in range(1, NODES):
        reads.append([])
        for source in range(node):
            op, zero = ops[source, node], source > 0 and not reads[source - 1]
            if op in KERNELS or (op != "none" and node in needed and not zero):
                reads[-1].append((source, op))
    return reads


def _total(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


class Reduction(nn.Module):
    """The residual block between stages: (B, in, H, W) -> (B, out, ceil(H/2), ceil(W/2)), or (B, out, H, W)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 2) -> None:
        super().__init__()
        self.first = ConvBn(inputs, outputs, 3, stride)
        self.second = ConvBn(outputs, outputs, 3)
        self.shortcut = nn.Sequential(
            # With an odd side the last windows are partial: both paths round up.
            nn.AvgPool2d(2, 2, ceil_mode=True) if stride == 2 else nn.Identity(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        # In place: BN needs its input for the backward pass, not its output.
        inner = F.relu(self.first(F.relu(x)), inplace=True)
        out: Tensor = self.second(inner) + self.shortcut(x)
        return out


def layers(
    cell: Callable[[int], nn.Module], in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False
) -> tuple[list[nn.Module], int]:
    """The layers of a trunk, and the number of channels of its output: a stem, three stages of `depth` cells, BN, ReLU.

    `cell` makes the cell of a number of channels.
    """
    check_size(width, depth)
    found: list[nn.Module] = []
    for inputs, outputs, stride in stem_layers(in_channels, width, stem):
        if found:
            found.append(nn.ReLU(inplace=True))
        found.append(ConvBn(inputs, outputs, 3, stride))
    for stage in range(STAGES):
        if stage:
            found.append(Reduction(width, 2 * width, stride=2 if stage == 1 or not dense else 1))
            width *= 2
        found += [cell(width) for _ in range(depth)]
    return [*found, nn.BatchNorm2d(width), nn.ReLU(inplace=True)], width


class Trunk(nn.Module):
    """(B, in_channels, H, W) -> (B, 4 * width, h, w): three stages of `depth` cells, then BN and ReLU."""

    def __init__(self, cell: Cell, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False) -> None:
        super().__init__()
        found, self.out_channels = layers(
            lambda channels: CellNetwork(cell, channels), in_channels, width, depth, stem, dense
        )
        self.layers = nn.Sequential(*found)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def stem_layers(in_channels: int, width: int, stem: Stem) -> list[tuple[int, int, int]]:
    """The stem's 3x3 convolutions: (input channels, output channels, stride).

    departs: the benchmark has no images above 32 px.  The ImageNet stem is the one of UnNAS's networks, with
    no ReLU at its end, as in the benchmark's stem.
    """
    if stem == "cifar":
        return [(in_channels, width, 1)]
    return [(in_channels, width // 2, 2), (width // 2, width, 2), (width, width, 2)]


def check_size(width: int, depth: int) -> None:
    """ValueError for invalid sizes."""
    if width < 2 or depth < 1:
        raise ValueError(f"a NAS-Bench-201 network of width {width} and depth {depth}: at least 2 and 1 are needed")
