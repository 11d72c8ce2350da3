"""The supernet of the DARTS space (Liu et al. 2019): 14 edges of eight operations in each of two kinds of cells."""

import torch
from torch import Tensor, nn

from spaces._edges import Assigned, Dag, Operation, Supernet, Zero, edge
from spaces._search import EdgeKind
from spaces._space import Stem
from spaces.darts.choices import CHOICES, EDGES
from spaces.darts.genotype import OPS
from spaces.darts.network import Stack, Stage, inputs
from spaces.darts.ops import build, rectified


class SuperCell(nn.Module):
    """All cells at once: two rectified maps of earlier cells -> (B, 4 * width, h, w), halved if the cell reduces."""

    def __init__(self, stage: Stage, kind: EdgeKind, partial: int, affine: bool) -> None:
        super().__init__()
        self.name = "reduce" if stage.reduces else "normal"
        self.before_last, self.last = inputs(stage, affine)
        edges = []
        strides = [2 if stage.reduces and source < 2 else 1 for source, _ in EDGES]
        for stride in strides:

            def operations(channels: int, stride: int = stride) -> list[Operation]:
                return [_operation(code, channels, stride, affine) for code in OPS]

            def skip(channels: int, stride: int = stride) -> Operation:
                return _operation("sk", channels, stride, affine)

            edges.append(edge(kind, stage.width, stride, partial, operations, skip))
        self.dag = Dag(self.name, EDGES, edges, stage.width, strides)

    def forward(self, before_last: Tensor, last: Tensor, assigned: Assigned) -> Tensor:
        values = self.dag([self.before_last(before_last), self.last(last)], assigned)
        return torch.cat(values[2:], 1)


class SuperTrunk(Supernet):
    """(B, in_channels, H, W) -> (B, out_channels, h, w), as the trunk of two cells.

    All normal cells share one table of weights, all reduction cells another.  BN within cells has no scales and biases
    by default; every pooling is followed by such a BN, which networks of a single architecture do not have.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        depth: int,
        stem: Stem,
        dense: bool,
        kind: EdgeKind,
        partial: int,
        affine: bool,
    ) -> None:
        super().__init__(CHOICES, kind)
        self.stack = Stack(
            lambda stage: SuperCell(stage, kind, partial, affine), in_channels, width, depth, stem, dense
        )
        self.out_channels = self.stack.out_channels

    def forward(self, x: Tensor) -> Tensor:
        places = dict.fromkeys(self.choices, 0)

        def through(cell: nn.Module, before_last: Tensor, last: Tensor) -> Tensor:
            name = str(cell.name)
            out: Tensor = cell(before_last, last, self.assigned(name, x, places[name]))
            places[name] += 1
            return out

        return self.stack.run(x, through)


def _operation(code: str, channels: int, stride: int, affine: bool) -> Operation:
    if code == "no":
        return Operation(Zero(stride), rectified=False)
    module = build(code, channels, stride, affine)
    if code in ("mp", "ap"):
        module = nn.Sequential(module, nn.BatchNorm2d(channels, affine=affine))
    return Operation(module, rectified(code, stride))
