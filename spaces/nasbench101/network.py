"""The network of a NAS-Bench-101 module (Ying et al. 2019; trained as UnNAS, Liu et al. 2020, did)."""

import torch
from torch import Tensor, nn

from spaces._space import Stem
from spaces.nasbench101.cell import Module

STACKS = 3
KERNELS = {"c3": 3, "c1": 1}


class ConvBnRelu(nn.Sequential):
    """Convolution without bias, BN with torch's defaults, ReLU: (B, in, H, W) -> (B, out, h, w)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            # In place: BN needs its input for the backward pass, not its output.
            nn.ReLU(inplace=True),
        )


def vertex_channels(module: Module, channels: int) -> list[int]:
    """Channels of vertices 1, 2, ... of a module with `channels` output channels; the output is the last.

    The inputs of the output share its channels; if the division leaves a remainder, the first ones get one more each.
    Any other vertex has as many channels as the widest vertex that it is an input of.
    """
    last = module.vertices - 1
    joined = [v for v in module.feeds[-1] if v > 0]
    if channels < len(joined):
        raise ValueError(f"{channels} channels cannot be divided over the {len(joined)} vertices before the output")
    width = dict.fromkeys(range(1, last), 0) | {last: channels}
    for position, v in enumerate(joined):
        width[v] = channels // len(joined) + (position < channels % len(joined))
    for v in range(last - 1, 0, -1):
        if v not in joined:
            width[v] = max(width[w] for w in range(v + 1, last) if v in module.feeds[w - 1])
    return list(width.values())


class ModuleNetwork(nn.Module):
    """One module: (B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, module: Module, inputs: int, outputs: int) -> None:
        super().__init__()
        self.feeds = module.feeds
        self.channels = vertex_channels(module, outputs)
        # A projection adapts the channels of the module's input for each vertex that has it as input.
        self.projections = nn.ModuleDict(
            {
                str(v): ConvBnRelu(inputs, self.channels[v - 1], 1)
                for v, feed in enumerate(module.feeds, start=1)
                if 0 in feed
            }
        )
        self.ops = nn.ModuleList(
            nn.MaxPool2d(3, 1, 1) if op == "mp" else ConvBnRelu(channels, channels, KERNELS[op])
            for op, channels in zip(module.ops, self.channels, strict=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for v, op in enumerate(self.ops, start=1):
            parts = [_first(values[s], self.channels[v - 1]) for s in self.feeds[v - 1] if s > 0]
            values.append(op(self._total(v, x, parts)))
        joined = [values[s] for s in self.feeds[-1] if s > 0]
        return self._total(len(values), x, [torch.cat(joined, 1)] if len(joined) > 1 else joined)

    def _total(self, vertex: int, x: Tensor, parts: list[Tensor]) -> Tensor:
        """The sum of `parts`, and of the projected module input if it is an input of this vertex."""
        if 0 in self.feeds[vertex - 1]:
            parts = [*parts, self.projections[str(vertex)](x)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


def _first(value: Tensor, channels: int) -> Tensor:
    """The first channels: a source may have one more channel, from the remainder of the division."""
    return value if value.shape[1] == channels else value[:, :channels]


class Trunk(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, h, w): three stacks of `depth` modules, h = H/4 or H/32."""

    def __init__(
        self, module: Module, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False
    ) -> None:
        super().__init__()
        check_size(width, depth)
        layers: list[nn.Module] = [
            ConvBnRelu(inputs, outputs, 3, stride) for inputs, outputs, stride in stem_layers(in_channels, width, stem)
        ]
        inputs = outputs = width
        for stack in range(STACKS):
            if stack:
                if stack == 1 or not dense:
                    layers.append(nn.MaxPool2d(2, 2))
                outputs *= 2
            for _ in range(depth):
                layers.append(ModuleNetwork(module, inputs, outputs))
                inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.out_channels = outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def stem_layers(in_channels: int, width: int, stem: Stem) -> list[tuple[int, int, int]]:
    """The stem's 3x3 convolutions: (input channels, output channels, stride)."""
    if stem == "cifar":
        return [(in_channels, width, 1)]
    return [(in_channels, width // 2, 2), (width // 2, width, 2), (width, width, 2)]


def check_size(width: int, depth: int) -> None:
    """ValueError for invalid sizes."""
    if width < 2 or depth < 1:
        raise ValueError(f"a NAS-Bench-101 network of width {width} and depth {depth}: at least 2 and 1 are needed")
