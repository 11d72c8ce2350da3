"""The network of two DARTS cells: a stem and a stack of cells (Liu et al. 2019; UnNAS, Liu et al. 2020)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces._space import Stem
from spaces.darts.genotype import NODES, Cell, Genotype
from spaces.darts.ops import ConvBn, FactorizedReduction, build, rectified

OPERATIONS = 2 * NODES  # of a cell
STEM_MULTIPLIER = 3
"""The CIFAR stem has three times as many channels as the nodes of the first cell."""


class Stage(NamedTuple):
    """The place of a cell in the stack: channels of its two inputs and of each of its nodes."""

    before_last: int
    last: int
    width: int
    reduces: bool
    after_reduction: bool  # the input from two cells back is twice as large as the other one


def stages(width: int, depth: int, stem: Stem, dense: bool = False) -> list[Stage]:
    """The stack of `depth` cells: the width doubles in the reduction cells, at 1/3 and 2/3 of the depth.

    A `dense` stack has the first of them only.
    """
    if width < 2 or depth < 1:
        raise ValueError(f"a DARTS network of width {width} and depth {depth}: at least 2 and 1 are needed")
    before_last = last = STEM_MULTIPLIER * width if stem == "cifar" else width
    after_reduction = stem == "imagenet"  # its two outputs have 1/4 and 1/8 of the image's resolution
    out = []
    for i in range(depth):
        reduces = i == depth // 3 or (i == 2 * depth // 3 and not dense)
        width *= 2 if reduces else 1
        out.append(Stage(before_last, last, width, reduces, after_reduction))
        before_last, last, after_reduction = last, 4 * width, reduces
    return out


def inputs(stage: Stage, affine: bool = True) -> tuple[nn.Module, nn.Module]:
    """The layers that bring the two inputs of a cell to its width and size."""
    before_last: nn.Module = (
        FactorizedReduction(stage.before_last, stage.width, affine)
        if stage.after_reduction
        else ConvBn(stage.before_last, stage.width, 1, affine=affine)
    )
    return before_last, ConvBn(stage.last, stage.width, 1, affine=affine)


class CellNetwork(nn.Module):
    """One cell: two rectified maps of earlier cells -> (B, 4 * width, h, w), halved if the cell reduces.

    Inputs at the size of the last cell's output, except the one from before a reduction, which is twice that.
    """

    def __init__(self, cell: Cell, stage: Stage) -> None:
        super().__init__()
        width, self.reduces = stage.width, stage.reduces
        self.drops: Tensor | None = None  # (B, OPERATIONS), factors of the operations' outputs
        self.before_last, self.last = inputs(stage)
        self.ops = nn.ModuleList()
        # Inputs of each node: (index in ops, input node, whether a ReLU is applied first).
        # A `none` is left out, as it adds zero.
        self.reads: list[list[tuple[int, int, bool]]] = []
        self.places: list[int] = []  # of each of the ops among the OPERATIONS of a cell
        for number, node in enumerate(cell):
            reads = []
            for k, (code, source) in enumerate(node):
                if code == "no":
                    continue
                self.places.append(2 * number + k)
                stride = 2 if stage.reduces and source < 2 else 1
                reads.append((len(self.ops), source, rectified(code, stride)))
                self.ops.append(build(code, width, stride))
            self.reads.append(reads)

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        states = [self.before_last(before_last), self.last(last)]
        relus: dict[int, Tensor] = {}
        for reads in self.reads:
            parts = []
            for op, source, through_relu in reads:
                if through_relu and source not in relus:
                    relus[source] = F.relu(states[source])
                out = self.ops[op](relus[source] if through_relu else states[source])
                if self.drops is not None and not isinstance(self.ops[op], nn.Identity):
                    out = out * self.drops[:, self.places[op], None, None, None].to(out.dtype)
                parts.append(out)
            if not parts:
                states.append(self._zeros(states[1]))
            else:
                states.append(parts[0] if len(parts) == 1 else parts[0] + parts[1])
        return torch.cat(states[2:], 1)

    def _zeros(self, like: Tensor) -> Tensor:
        """The value of a node whose operations are all `none`."""
        batch, channels, height, width = like.shape
        if self.reduces:
            height, width = (height + 1) // 2, (width + 1) // 2
        return like.new_zeros((batch, channels, height, width))


class Stack(nn.Module):
    """A stem and `depth` cells; `cell` makes the cell of a place."""

    def __init__(
        self, cell: Callable[[Stage], nn.Module], in_channels: int, width: int, depth: int, stem: Stem, dense: bool
    ) -> None:
        super().__init__()
        stack = stages(width, depth, stem, dense)
        self.stem = nn.ModuleList()
        if stem == "cifar":
            self.stem.append(ConvBn(in_channels, STEM_MULTIPLIER * width, 3))
        else:
            half = ConvBn(in_channels, width // 2, 3, stride=2)
            quarter = ConvBn(width // 2, width, 3, stride=2)
            self.stem.append(nn.Sequential(half, nn.ReLU(inplace=True), quarter))
            self.stem.append(ConvBn(width, width, 3, stride=2))
        self.cells = nn.ModuleList(map(cell, stack))
        self.out_channels = 4 * stack[-1].width
        self.tap: int | None = None  # index of the cell whose output is kept as `tapped` in training
        self.tapped: Tensor | None = None

    def run(self, x: Tensor, through: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, h, w); `through` passes two maps through a cell."""
        # The outputs of stem and cells are only used after a ReLU, except that of the last cell.  The ReLU is applied
        # once and in place, since neither BN nor a concatenation needs its output for the backward pass.
        before_last = last = F.relu(self.stem[0](x), inplace=True)
        if len(self.stem) == 2:
            last = F.relu(self.stem[1](before_last), inplace=True)
        for number, cell in enumerate(self.cells[:-1]):
            before_last, last = last, F.relu(through(cell, before_last, last), inplace=True)
            self._keep(number, last)
        out = through(self.cells[-1], before_last, last)
        self._keep(len(self.cells) - 1, out)
        return out

    def _keep(self, number: int, out: Tensor) -> None:
        if number == self.tap and self.training and torch.is_grad_enabled():
            self.tapped = out


class Trunk(Stack):
    """(B, in_channels, H, W) -> (B, out_channels, h, w), h = H/4 (CIFAR stem) or H/32 with two reductions."""

    def __init__(
        self, genotype: Genotype, in_channels: int, width: int, depth: int, stem: Stem, dense: bool = False
    ) -> None:
        def cell(stage: Stage) -> CellNetwork:
            return CellNetwork(genotype.reduce if stage.reduces else genotype.normal, stage)

        super().__init__(cell, in_channels, width, depth, stem, dense)
        self.drops: Tensor | None = None  # (B, depth, OPERATIONS), see spaces/_retraining.py

    def forward(self, x: Tensor) -> Tensor:
        drops = self.drops if self.training else None
        for number, cell in enumerate(self.cells):
            cell.drops = None if drops is None else drops[:, number]  # type: ignore[assignment]
        return self.run(x, _through)


def _through(cell: nn.Module, before_last: Tensor, last: Tensor) -> Tensor:
    out: Tensor = cell(before_last, last)
    return out
