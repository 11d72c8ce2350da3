"""The angle between the weights of an architecture before and after the training of its supernet.

Zhang et al. 2021: the larger the angle, the faster the architecture converges.  The weights of every path through a
cell are concatenated, so a weight counts as often as paths use it.  The cosine needs three sums of each operation of
each edge: the product of the weights before and after, and their two squared norms.  With them the angles of all
architectures of a space cost a product of matrices.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spaces._edges import Dag, Mixed, part_of
from spaces._paths import SinglePath

Floats = NDArray[np.float64]


class Sums(NamedTuple):
    """Products of weights before and after, and the squared norms of both: three values each."""

    always: Floats  # (3,): everything outside of the operations of cells
    ops: dict[str, Floats]  # (edges, ops, 3) by kind of cell, over all cells of that kind


def sums(space: SinglePath, before: nn.Module, after: nn.Module, faithful: bool = False) -> Sums:
    """The sums of two networks with a supernet of the space, of the same trial; in float64.

    faithful: with the quirks of the release (`SinglePath.vector`).
    """
    always = np.zeros(3)
    tables = {name: np.zeros((*cell.shape, 3)) for name, cell in part_of(before).choices.items()}
    inside: set[nn.Module] = set()
    for first, last in zip(_dags(before), _dags(after), strict=True):
        names = part_of(before).choices[first.name].ops
        inside.update(first.modules())
        for k, (one, other) in enumerate(zip(first.edges, last.edges, strict=True)):
            for op, (name, x, y) in enumerate(zip(names, _mixed(one).ops, _mixed(other).ops, strict=True)):
                tables[first.name][k, op] += _products(space, name, x, y, faithful)
                tables[first.name][k, op] += space.constant(name, first.channels, first.strides[k])
    for one, other in zip(before.modules(), after.modules(), strict=True):
        if one not in inside and not list(one.children()):
            always += _products(space, None, one, other, faithful)
    return Sums(always, tables)


def angles(found: Sums, uses: Iterable[Mapping[str, NDArray[np.int64]]]) -> Floats:
    """The angle (n,) in radians, 0 to pi, of architectures, from how often they use the weights (`SinglePath.uses`).

    Exactly 0 for an architecture of which a cell has no path from its inputs to its output.
    """
    listed = list(uses)
    totals = np.tile(found.always, (len(listed), 1))
    connected = np.ones(len(listed), dtype=bool)
    for name, table in found.ops.items():
        times = np.stack([one[name] for one in listed]).reshape(len(listed), -1)
        connected &= times.any(1)
        totals += times @ table.reshape(-1, 3)
    product, before, after = totals.T
    return np.where(connected, np.arccos(np.clip(product / np.sqrt(before * after), -1.0, 1.0)), 0.0)


def _mixed(edge: nn.Module) -> Mixed:
    """The edge; ValueError for one of another class."""
    if not isinstance(edge, Mixed):
        raise ValueError(f"an edge of the class {type(edge).__name__}, expected Mixed")
    return edge


def _dags(net: nn.Module) -> list[Dag]:
    return [module for module in net.modules() if isinstance(module, Dag)]


@torch.no_grad()
def _products(space: SinglePath, op: str | None, before: nn.Module, after: nn.Module, faithful: bool) -> Floats:
    """The three sums of one module; a weight that enters twice counts twice."""
    total = torch.zeros(3, dtype=torch.float64)
    pairs = (space.vector(op, module, faithful) for module in (before, after))
    for one, other in zip(*pairs, strict=True):
        x, y = one.double().flatten().cpu(), other.double().flatten().cpu()
        total += torch.stack([x @ y, x @ x, y @ y])
    return total.numpy()
