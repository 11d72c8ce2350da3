"""The protocol of spaces that can be searched with one network of all their architectures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

from spaces._space import Space, Stem

if TYPE_CHECKING:  # the protocol alone does not need torch at run time
    from numpy.typing import NDArray
    from torch import nn

    Weights = Mapping[str, NDArray[np.floating]]

WHOLE = "*"
"""In place of an architecture's text: every architecture of the space, in one network."""

EdgeKind = Literal["mixed", "partial", "sampled", "auxiliary"]
"""What an edge of a supernet computes: the weighted sum of all operations, the same on some of the channels (Xu et al.
2020), one operation alone, or the sum and a further skip connection (Chu et al. 2021)."""


class Choices(NamedTuple):
    """What is chosen in a cell: an operation for every edge."""

    edges: tuple[tuple[int, int], ...]  # (source, node): rows of the weights, by node
    ops: tuple[str, ...]  # columns of the weights
    names: tuple[str, ...] = ()  # of the operations in the space's graphs, where those are others than `ops`
    missing: frozenset[tuple[int, int]] = frozenset()  # (edge, operation) that do not exist; weights there mean nothing

    @property
    def present(self) -> list[list[bool]]:
        """Which operations every edge has, (edges, ops)."""
        return [[(k, op) not in self.missing for op in range(len(self.ops))] for k in range(len(self.edges))]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the weights of the cell."""
        return len(self.edges), len(self.ops)


class Searchable(Space, Protocol):
    """A space with a supernet.  `weights` maps the name of each cell to an array of `Choices.shape`."""

    def choices(self) -> dict[str, Choices]:
        """The choices of every cell, by name: `cell`, or `normal` and `reduce`."""

    def supernet(
        self,
        *,
        in_channels: int,
        width: int,
        depth: int,
        stem: Stem,
        dense: bool = False,
        edge: EdgeKind = "mixed",
        partial: int = 4,
        affine: bool = False,
    ) -> nn.Module:
        """The network of all architectures, a `spaces._edges.Supernet` with the shapes of `trunk`.

        `partial`: 1 / partial of the channels pass through the operations of an edge of the kind `partial`; ValueError
        if it does not divide the width.  `affine`: whether batch norm within cells has learned scales and biases.
        """

    def discretise(self, weights: Weights, edges: Weights | None = None, skips: int | None = None) -> str:
        """The architecture that weights (non-negative, rows sum to 1) stand for, by the rule of the space's literature.

        `edges`: a weight for every edge, which multiplies its row.  `skips`: the most skip connections of a cell that
        does not reduce; while there are more, the weakest one is excluded (Chen et al. 2019).  ValueError for other
        cells or shapes, and for weights that are not finite.
        """

    def one_hot(self, arch: str) -> dict[str, NDArray[np.float64]]:
        """The weights with which the supernet computes this architecture; ValueError if no weights do."""

    def mutate(self, arch: str, rng: np.random.Generator, p: float | None = None) -> str:
        """The architecture with one choice, drawn uniformly, changed to another value.

        With `p` instead: every choice is drawn anew with probability p, possibly to the value that it had.
        """

    def cross(self, a: str, b: str, rng: np.random.Generator) -> str:
        """An architecture with every part from one of two, each with probability 1/2."""


def check(choices: Mapping[str, Choices], weights: Weights, edges: Weights | None = None) -> None:
    """ValueError unless there are finite weights of the right shape for every cell, and for every edge if given."""
    wanted = {name: cell.shape for name, cell in choices.items()}
    _fit(weights, wanted, "weights")
    if edges is not None:
        _fit(edges, {name: shape[:1] for name, shape in wanted.items()}, "weights of edges")


def _fit(found: Weights, wanted: Mapping[str, tuple[int, ...]], what: str) -> None:
    shapes = {name: tuple(values.shape) for name, values in found.items()}
    if shapes != wanted:
        raise ValueError(f"{what} of shapes {shapes}; expected {dict(wanted)}")
    if not all(np.isfinite(values).all() for values in found.values()):
        raise ValueError(f"{what} that are not finite")
