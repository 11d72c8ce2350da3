"""Single paths through a supernet: one operation per edge, and how often a path from input to output uses an edge.

RLNAS (Zhang et al. 2021) trains a supernet with one random path per step (Guo et al. 2020), and compares the weights of
an architecture before and after: those of every path from the inputs of its cells, one after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spaces._search import Searchable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

Rows = dict[str, list[list[int]]]
"""For every kind of cell, for every cell of that kind in the order of the network: an operation per edge."""


class SinglePath(Searchable, Protocol):
    """A space whose supernet can be trained one path at a time."""

    def draw_path(self, rng: np.random.Generator, cells: Mapping[str, int]) -> Rows:
        """The operations that a training step computes, by the rule of the space's release; `cells`: how many cells
        of every kind the network has."""

    def uses(self, arch: str) -> dict[str, NDArray[np.int64]]:
        """How often each weight of the supernet is part of the architecture's vector of weights (edges, ops): the
        number of paths without `none` from the inputs of a cell that use the edge with this operation.

        All zeros if no path connects the inputs to an output.  ValueError if the supernet has no such architecture.
        """

    def constant(self, op: str, channels: int, stride: int) -> float:
        """The squared norm of the constants that stand for an operation without weights, 0 if nothing does.  They are
        the same before and after the training."""

    def vector(self, op: str | None, module: nn.Module, faithful: bool) -> Sequence[Tensor]:
        """The weights of an operation that enter the angle, or (`op` None) of a layer outside of the operations.

        `faithful`: with the quirks of the release.
        """


def counts(
    edges: Sequence[tuple[int, int]], alive: Sequence[bool], inputs: Collection[int], ends: Collection[int]
) -> list[int]:
    """For every edge (source, node) the number of paths from one of `inputs` to one of `ends` that use it.

    Paths consist of edges that are `alive`.  Sources are smaller than nodes.
    """
    living = [edge for edge, lives in zip(edges, alive, strict=True) if lives]
    nodes = sorted({node for edge in edges for node in edge})
    into = {node: int(node in inputs) for node in nodes}
    for node in nodes:
        into[node] += sum(into[source] for source, target in living if target == node)
    out = {node: int(node in ends) for node in nodes}
    for node in reversed(nodes):
        out[node] += sum(out[target] for source, target in living if source == node)
    return [into[source] * out[node] if lives else 0 for (source, node), lives in zip(edges, alive, strict=True)]
