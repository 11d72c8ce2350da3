"""The edges of supernets, and what supernets of all spaces have in common.

A space says which operations an edge has; what an edge does with them is written here once.  In the papers most
operations begin with a ReLU; here it is applied once per node, and an operation says whether it reads the result.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from spaces._search import Choices, EdgeKind
from spaces._space import Cost


class Operation(NamedTuple):
    """An operation of an edge."""

    module: nn.Module
    rectified: bool  # whether a ReLU is applied to its input


class Zero(nn.Module):
    """The operation `none`: zeros of the size that the other operations of the edge give."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        return x.new_zeros((batch, channels, -(-height // self.stride), -(-width // self.stride)))


class Mixed(nn.Module):
    """The sum of all operations of an edge, weighted by a row of the weights (Liu et al. 2019)."""

    def __init__(self, ops: Sequence[Operation]) -> None:
        super().__init__()
        self.ops = nn.ModuleList(op.module for op in ops)
        self.rectified = [op.rectified for op in ops]
        self.counted = [k for k, op in enumerate(ops) if not isinstance(op.module, Zero)]
        self.dropout = 0.0  # of identities, in training; `Supernet.drop_skips` sets it

    def prune(self, kept: Sequence[bool]) -> None:
        """Remove all other operations; `none` needs no removal.  ValueError if nothing would be left."""
        self.counted = [k for k in self.counted if kept[k]]
        if not self.counted:
            raise ValueError("an edge that keeps no operation but none")
        for k, keep in enumerate(kept):
            if not keep:
                self.ops[k] = Zero()

    def _value(self, k: int, x: Tensor, relu: Tensor) -> Tensor:
        op = self.ops[k]
        out: Tensor = op(relu if self.rectified[k] else x)
        return F.dropout(out, self.dropout, self.training) if self.dropout and isinstance(op, nn.Identity) else out

    def forward(self, x: Tensor, relu: Tensor, row: Tensor, chosen: int | None) -> Tensor:
        """`x` and `relu` (B, C, H, W), the value of the source and its ReLU; `row` (ops,)."""
        total: Tensor | None = None
        for k in self.counted:  # zeros are not added; their weight takes part in the softmax alone
            part = row[k] * self._value(k, x, relu)
            total = part if total is None else total + part
        if total is None:
            raise ValueError("an edge whose only operation is none")
        return total


class Partial(Mixed):
    """`Mixed` on the first 1/`parts` of the channels; the others bypass it, and a shuffle mixes both (Xu et al. 2020).

    The operations are built for C / `parts` channels.  With a stride of 2 the bypass is a max pooling of 2x2.
    """

    def __init__(self, ops: Sequence[Operation], stride: int, parts: int) -> None:
        super().__init__(ops)
        self.stride, self.parts = stride, parts

    def forward(self, x: Tensor, relu: Tensor, row: Tensor, chosen: int | None) -> Tensor:
        """As `Mixed`."""
        count = x.shape[1] // self.parts
        mixed = super().forward(x[:, :count], relu[:, :count], row, chosen)
        rest = x[:, count:]
        if self.stride == 2:
            rest = F.max_pool2d(rest, 2, 2, ceil_mode=True)
        return _shuffled(torch.cat([mixed, rest], 1), self.parts)


class Sampled(Mixed):
    """One operation of an edge alone; without a choice, as `Mixed`.

    The row is a one-hot vector, whose gradient is that of probabilities (straight-through).  As in the release of GDAS
    (Dong & Yang 2019), the other entries of the row, which are 0, are added to the output: each gets the sum of the
    output's gradient as its own.
    """

    def forward(self, x: Tensor, relu: Tensor, row: Tensor, chosen: int | None) -> Tensor:
        """As `Mixed`; only the operation `chosen` is computed."""
        if chosen is None:
            return super().forward(x, relu, row, chosen)
        out = row[chosen] * self._value(chosen, x, relu)
        if row.requires_grad:
            out = out + torch.cat([row[:chosen], row[chosen + 1 :]]).sum()
        return out


class Auxiliary(Mixed):
    """`Mixed`, plus a skip connection of its own outside of the weights (DARTS-, Chu et al. 2021)."""

    def __init__(self, ops: Sequence[Operation], skip: Operation) -> None:
        super().__init__(ops)
        self.skip, self.skip_rectified = skip.module, skip.rectified
        self.factor = 1.0  # of the skip connection; `Supernet.fade` sets it

    def forward(self, x: Tensor, relu: Tensor, row: Tensor, chosen: int | None) -> Tensor:
        """As `Mixed`."""
        mixed = super().forward(x, relu, row, chosen)
        if not self.factor:
            return mixed
        skipped: Tensor = self.skip(relu if self.skip_rectified else x)
        return mixed + self.factor * skipped


def edge(
    kind: EdgeKind,
    channels: int,
    stride: int,
    partial: int,
    build: Callable[[int], Sequence[Operation]],
    skip: Callable[[int], Operation],
) -> Mixed:
    """An edge of a kind; `build` gives its operations for a number of channels, `skip` a skip connection alone."""
    if kind == "auxiliary":
        return Auxiliary(build(channels), skip(channels))
    if kind == "mixed":
        return Mixed(build(channels))
    if kind == "sampled":
        return Sampled(build(channels))
    if partial < 1 or channels % partial:
        raise ValueError(f"1/{partial} of {channels} channels; expected a width that {partial} divides")
    return Partial(build(channels // partial), stride, partial)


def _shuffled(x: Tensor, groups: int) -> Tensor:
    """Channels in another order: the first of every group, then the second of every group, and so on."""
    batch, channels, height, width = x.shape
    apart = x.reshape(batch, groups, channels // groups, height, width)
    return apart.transpose(1, 2).reshape(batch, channels, height, width)


class Assigned(NamedTuple):
    """What the edges of a cell get: their weights (edges, ops), a factor of each (edges,), an operation of each."""

    rows: Tensor
    factors: Tensor | None = None
    chosen: Sequence[int] | None = None


class Dag(nn.Module):
    """The nodes of a cell, each the sum of its edges from all nodes before it."""

    def __init__(
        self,
        name: str,
        pairs: Sequence[tuple[int, int]],
        edges: Sequence[Mixed],
        channels: int,
        strides: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.name = name  # of the kind of cell
        self.channels = channels  # of every node
        self.strides = tuple(strides or [1] * len(edges))  # of every edge
        self.pairs = tuple(pairs)  # (source, node), by node
        self.edges = nn.ModuleList(edges)

    def forward(self, inputs: Sequence[Tensor], assigned: Assigned) -> list[Tensor]:
        """The values of all nodes, beginning with the inputs."""
        values = list(inputs)
        relus: dict[int, Tensor] = {}
        totals: dict[int, Tensor] = {}
        for k, (source, node) in enumerate(self.pairs):
            if source >= len(values):
                values.append(totals[source])
            if source not in relus:
                relus[source] = F.relu(values[source])
            chosen = None if assigned.chosen is None else assigned.chosen[k]
            out = self.edges[k](values[source], relus[source], assigned.rows[k], chosen)
            if assigned.factors is not None:
                out = assigned.factors[k] * out
            totals[node] = totals[node] + out if node in totals else out
        return [*values, *(totals[node] for node in range(len(values), self.pairs[-1][1] + 1))]


class Supernet(nn.Module):
    """A trunk with all architectures of a space.  `use` sets the weights of its edges, which no optimiser of the
    network knows; until then all operations have the same weight."""

    out_channels: int

    def __init__(self, choices: Mapping[str, Choices], kind: EdgeKind) -> None:
        super().__init__()
        self.choices, self.kind = dict(choices), kind
        self._assigned: dict[str, Assigned] = {}
        self._walked: dict[str, list[Assigned]] = {}  # of every cell of a kind; only after `walk`

    def use(self, weights: Mapping[str, Tensor], factors: Mapping[str, Tensor] | None = None) -> None:
        """Set the weights of all cells, (edges, ops) each, and the factors of their edges, (edges,) each.

        They are used as they are in every following pass, and get gradients if they require them.  Of the kind
        `sampled`, the largest weight of each row says which operation is computed; reading it waits for the device.
        """
        wanted = {name: cell.shape for name, cell in self.choices.items()}
        if (shapes := {name: tuple(rows.shape) for name, rows in weights.items()}) != wanted:
            raise ValueError(f"weights of shapes {shapes}; expected {wanted}")
        sampled = self.kind == "sampled"
        self._walked = {}
        self._assigned = {
            name: Assigned(rows, (factors or {}).get(name), rows.detach().argmax(1).tolist() if sampled else None)
            for name, rows in weights.items()
        }

    def prune(self, kept: Mapping[str, Sequence[Sequence[bool]]]) -> None:
        """Remove operations from all cells: `kept` (edges, ops) says which stay.  Their columns of the weights stay."""
        for dag in self.modules():
            if isinstance(dag, Dag):
                for place, edge in enumerate(dag.edges):
                    if isinstance(edge, Mixed):
                        edge.prune(kept[dag.name][place])

    def drop_skips(self, p: float) -> None:
        """Set the dropout of identities in training.  It draws from torch's global generator."""
        for module in self.modules():
            if isinstance(module, Mixed):
                module.dropout = p

    def fade(self, factor: float) -> None:
        """Of the kind `auxiliary`: set the factor of the skip connections outside of the weights."""
        for module in self.modules():
            if isinstance(module, Auxiliary):
                module.factor = factor

    def choose(self, chosen: Mapping[str, Sequence[int]]) -> None:
        """Of the kind `sampled`: compute these operations, with weights of 1."""
        like = next(self.parameters())
        self._walked = {}
        self._assigned = {
            name: Assigned(like.new_ones(cell.shape), None, chosen[name]) for name, cell in self.choices.items()
        }

    @property
    def cells(self) -> dict[str, int]:
        """The number of cells of every kind."""
        kinds = [module.name for module in self.modules() if isinstance(module, Dag)]
        return {name: kinds.count(name) for name in self.choices}

    def walk(self, rows: Mapping[str, Sequence[Sequence[int]]]) -> None:
        """Of the kind `sampled`: compute these operations, for every kind of cell those of each cell, as `choose`."""
        like = next(self.parameters())
        self._assigned = {}
        self._walked = {
            name: [Assigned(like.new_ones(cell.shape), None, row) for row in rows[name]]
            for name, cell in self.choices.items()
        }

    def assigned(self, name: str, like: Tensor, place: int = 0) -> Assigned:
        """What the edges of a cell of that name get, the one at a place among those of the name, for maps such as
        `like`."""
        if name in self._walked:
            return self._walked[name][place]
        if name in self._assigned:
            return self._assigned[name]
        edges, ops = self.choices[name].shape
        return Assigned(like.new_full((edges, ops), 1 / ops))


def part_of(net: nn.Module) -> Supernet:
    """The supernet in a network; ValueError if there is none."""
    found = next((module for module in net.modules() if isinstance(module, Supernet)), None)
    if found is None:
        raise ValueError(f"a {type(net).__name__} contains no supernet")
    return found


def cost(build: Callable[[], nn.Module], in_channels: int, size: int) -> Cost:
    """The cost of a supernet, counted on one without memory.  Edges of the kind `sampled` cost what their operations
    do on average, the others what they do together."""
    with torch.device("meta"):
        net = part_of(build()).eval()
        image = torch.empty(1, in_channels, size, size)

        def count() -> tuple[int, int]:
            """Multiply-adds, and the side of the features."""
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                out = net(image)
            return int(counter.get_total_flops() // 2), int(out.shape[-1])

        macs, side = _average(net, count) if net.kind == "sampled" else count()
    return Cost(sum(p.numel() for p in net.parameters()), macs, net.out_channels, side)


def _average(net: Supernet, count: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """`count` with the average operation of every edge: multiply-adds of edges add up.

    Edges with the same operations are counted together.
    """
    present = {name: cell.present for name, cell in net.choices.items()}
    first = {name: [row.index(True) for row in rows] for name, rows in present.items()}
    alike: dict[tuple[bool, ...], list[tuple[str, int]]] = {}
    for name, rows in present.items():
        for k, row in enumerate(rows):
            alike.setdefault(tuple(row), []).append((name, k))
    net.choose(first)
    least, side = count()
    total = Fraction(least)
    for possible, edges in alike.items():
        ops = [op for op, there in enumerate(possible) if there]
        for op in ops[1:]:
            chosen = {name: list(values) for name, values in first.items()}
            for name, k in edges:
                chosen[name][k] = op
            net.choose(chosen)
            total += Fraction(count()[0] - least, len(ops))
    return int(total), side
