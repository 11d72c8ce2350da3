"""The supernet of the MobileNet-like space (ProxylessNAS, Cai et al. 2019; RLNAS, Zhang et al. 2021)."""

from collections.abc import Sequence
from itertools import islice

from torch import Tensor, nn

from spaces._edges import Assigned, Dag, Mixed, Operation, Supernet, Zero, edge
from spaces._search import EdgeKind
from spaces._space import Stem
from spaces.mobilenet.blocks import NAMES, OPS, SKIP, STAGES, allowed
from spaces.mobilenet.choices import CHOICES, COLUMNS
from spaces.mobilenet.layout import Place, layout
from spaces.mobilenet.network import Inverted, ends

KINDS = ("mixed", "sampled")


class Blocks(Dag):
    """The blocks of a stage, one after the other; none of their operations begins with a ReLU."""

    def forward(self, inputs: Sequence[Tensor], assigned: Assigned) -> list[Tensor]:
        values = list(inputs)
        for k, block in enumerate(self.edges):
            chosen = None if assigned.chosen is None else assigned.chosen[k]
            out = block(values[-1], values[-1], assigned.rows[k], chosen)
            values.append(out if assigned.factors is None else assigned.factors[k] * out)
        return values


class SuperTrunk(Supernet):
    """(B, in_channels, H, W) -> (B, 54 * width, h, w).  Every stage is the only cell of its kind.

    Stem, block without expansion and last convolution are those of a trunk; BN of blocks has no scale and bias by
    default.  A block that a trunk repeats is chosen once for all its repetitions, each of which has weights of its own.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        depth: int,
        stem: Stem,
        dense: bool,
        kind: EdgeKind,
        affine: bool,
    ) -> None:
        super().__init__(CHOICES, kind)
        if kind not in KINDS:
            raise ValueError(
                f"a MobileNet supernet with edges of the kind {kind!r}, which need blocks that keep their shape; "
                f"expected {' or '.join(KINDS)}"
            )
        of = layout(width, depth, stem, dense)
        begin, self.last = ends(in_channels, of)
        self.begin = nn.Sequential(*begin)
        blocks = enumerate(of.blocks)
        stages = []
        for name, stage in zip(NAMES, STAGES, strict=True):
            here = list(islice(blocks, stage.blocks))
            edges = [_edge(block, place, kind, affine) for block, place in here]
            strides = [place.stride for _, place in here]
            stages.append(Blocks(name, CHOICES[name].edges, edges, here[0][1].outputs, strides))
        self.stages = nn.ModuleList(stages)
        self.out_channels = of.last

    def forward(self, x: Tensor) -> Tensor:
        x = self.begin(x)
        for name, stage in zip(NAMES, self.stages, strict=True):
            x = stage([x], self.assigned(name, x))[-1]
        out: Tensor = self.last(x)
        return out


def _edge(block: int, place: Place, kind: EdgeKind, affine: bool) -> Mixed:
    def operations(channels: int) -> list[Operation]:
        return [Operation(_operation(op, block, place, affine), rectified=False) for op in COLUMNS]

    def skip(channels: int) -> Operation:
        return Operation(nn.Identity(), rectified=False)

    return edge(kind, place.outputs, place.stride, 1, operations, skip)


def _operation(op: str, block: int, place: Place, affine: bool) -> nn.Module:
    if op not in allowed(block):
        return Zero(place.stride)  # in its place: it is never computed
    if op == SKIP:
        return nn.Identity()
    kernel, expansion = OPS[op]
    found = [Inverted(place.inputs, place.outputs, kernel, place.stride, expansion, affine) for _ in range(place.times)]
    return found[0] if place.times == 1 else nn.Sequential(*found)
