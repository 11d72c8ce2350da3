"""The supernet of the NAS-Bench-201 space, as its authors search with it (Dong & Yang 2020)."""

from torch import Tensor, nn

from spaces._edges import Assigned, Dag, Operation, Supernet, Zero, edge
from spaces._search import EdgeKind
from spaces._space import Stem
from spaces.nasbench201.cell import EDGES, OPS
from spaces.nasbench201.choices import CELL, CHOICES
from spaces.nasbench201.network import KERNELS, layers


class SuperCell(nn.Module):
    """All cells at once: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, kind: EdgeKind, partial: int, affine: bool) -> None:
        super().__init__()

        def operations(count: int) -> list[Operation]:
            return [_operation(name, count, affine) for name in OPS]

        def skip(count: int) -> Operation:
            return _operation("skip_connect", count, affine)

        edges = [edge(kind, channels, 1, partial, operations, skip) for _ in EDGES]
        self.dag = Dag(CELL, EDGES, edges, channels)

    def forward(self, x: Tensor, assigned: Assigned) -> Tensor:
        values: list[Tensor] = self.dag([x], assigned)
        return values[-1]


class SuperTrunk(Supernet):
    """(B, in_channels, H, W) -> (B, 4 * width, h, w).  All cells share one table of weights.

    Stem, residual blocks and the last BN are those of a trunk; the BN of operations has no scale and bias by default.
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
        found, self.out_channels = layers(
            lambda channels: SuperCell(channels, kind, partial, affine), in_channels, width, depth, stem, dense
        )
        self.layers = nn.ModuleList(found)

    def forward(self, x: Tensor) -> Tensor:
        place = 0
        for layer in self.layers:
            if isinstance(layer, SuperCell):
                x = layer(x, self.assigned(CELL, x, place))
                place += 1
            else:
                x = layer(x)
        return x


def _operation(name: str, channels: int, affine: bool) -> Operation:
    if name == "none":
        return Operation(Zero(), rectified=False)
    if name == "skip_connect":
        return Operation(nn.Identity(), rectified=False)
    if name == "avg_pool_3x3":
        return Operation(nn.AvgPool2d(3, 1, 1, count_include_pad=False), rectified=False)
    kernel = KERNELS[name]
    conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
    return Operation(nn.Sequential(conv, nn.BatchNorm2d(channels, affine=affine)), rectified=True)
