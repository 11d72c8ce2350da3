"""How alike the cells of architectures are: the share of equal edges, and the number of edits between two of them.

Everything is a product of matrices: a table of features per architecture, one by one repetition of an edge.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from analysis.comparison.cells import Array
from analysis.rows.graph import is_nothing, operating

MOST_INNER = 6  # nodes of a cell whose every order is tried

Cell = dict[str, Any]


def agreement(archs: Sequence[Sequence[Cell]]) -> Array:
    """(n, n) the share of edges that two architectures have in common: twice the common ones by the number of both.

    An edge is (cell, source, node, operation), nodes by their numbers; `none` counts where a space has it on edges. So
    in a space of fixed edges this is the share of edges with equal operations, and for DARTS the overlap of the two
    sets of (source, node, operation). Where operations are in vertices, an edge is (cell, operation of the source,
    operation of the target).
    """
    counts = [Counter(_edges(cells)) for cells in archs]
    rows = _thermometer(counts)
    size = np.array([sum(one.values()) for one in counts], float)
    both = size[:, None] + size[None, :]
    with np.errstate(invalid="ignore"):
        return np.where(both > 0, 2 * (rows @ rows.T) / both, 1.0)


def edits(archs: Sequence[Sequence[Cell]]) -> Array:
    """(n, n) the fewest edits that turn one architecture into the other; NaN where a cell is too large.

    An edit adds or removes an edge or a vertex, or changes the operation of one. An edge with `none` is no edge. The
    inner nodes of a cell may be numbered anew: all their orders are tried, so the number is exact. Edits are counted
    cell by cell, cells by their position.
    """
    n, most = len(archs), max((len(cells) for cells in archs), default=0)
    total = np.zeros((n, n))
    for k in range(most):
        total += _edits([_placed(cells[k]) if k < len(cells) else _NO_CELL for cells in archs])
    return total


@dataclass(frozen=True)
class _Placed:
    """A cell with its nodes in places: inner nodes 0, 1, ..., inputs and outputs by names that are the same in all."""

    inner: int
    parts: Counter[tuple[Any, Any, str]]  # place of the source, place of the target, operation


_NO_CELL = _Placed(0, Counter())


def _edges(cells: Sequence[Cell]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for k, cell in enumerate(cells):
        if operating(cell):
            nodes = cell["nodes"]
            found += [(k, nodes[source], nodes[target]) for source, target, _ in cell["edges"]]
        else:
            found += [(k, *edge) for edge in cell["edges"] if edge[2]]
    return found


def _placed(cell: Cell) -> _Placed:
    sources, targets = {edge[0] for edge in cell["edges"]}, {edge[1] for edge in cell["edges"]}
    places: dict[int, Any] = {}
    kinds: Counter[str] = Counter()
    for v in range(len(cell["nodes"])):
        kind = "inner" if v in sources and v in targets else "output" if v in targets else "input"
        places[v] = kinds[kind] if kind == "inner" else (kind, kinds[kind])
        kinds[kind] += 1
    parts = Counter(
        (places[source], places[target], op or "") for source, target, op in cell["edges"] if not is_nothing(op or "")
    )
    parts.update((places[v], places[v], cell["nodes"][v]) for v in operating(cell))
    return _Placed(kinds["inner"], parts)


def _edits(cells: Sequence[_Placed]) -> Array:
    """(n, n) for one cell of each architecture.

    Between two places a has |a| parts and b |b|: max(|a|, |b|) less the equal ones are edits, so all in all
    |a| + |b| - min(|a|, |b|) summed over the places - the number of equal parts.
    """
    inner = max(cell.inner for cell in cells)
    if inner > MOST_INNER:
        return np.full((len(cells), len(cells)), np.nan)
    size = np.array([sum(cell.parts.values()) for cell in cells], float)
    table, places = _features(cells, inner)
    fixed = table.rows(np.arange(places))
    best = np.zeros((len(cells), len(cells)))
    for order in permutations(range(inner)):
        moved = table.rows(np.array([*order, *range(inner, places)]))
        best = np.maximum(best, (moved @ fixed.T).toarray())
    found: Array = size[:, None] + size[None, :] - best
    return found


@dataclass(frozen=True)
class _Features:
    """For each number up to that of the parts between two places, and up to that of the equal ones, a one.

    A product of two rows is the sum of the smaller ones of these numbers.
    """

    ends: Any  # (cells + 1,) where the features of each cell end
    sources: Any  # (features,)
    targets: Any
    kinds: Any  # what else tells features apart
    places: int

    def rows(self, order: Any) -> Any:
        """(n, features), sparse, with the places in another order."""
        kinds = int(self.kinds.max(initial=0)) + 1
        columns = (order[self.sources] * self.places + order[self.targets]) * kinds + self.kinds
        shape = len(self.ends) - 1, self.places**2 * kinds
        return csr_array((np.ones(len(columns), np.float32), columns, self.ends), shape)


def _features(cells: Sequence[_Placed], inner: int) -> tuple[_Features, int]:
    """The features of the cells, and the number of places."""
    others = sorted({place for cell in cells for part in cell.parts for place in part[:2] if isinstance(place, tuple)})
    at = {place: k for k, place in enumerate([*range(inner), *others])}
    numbers: dict[Any, int] = {}
    found: list[tuple[int, int, int]] = []
    ends = [0]
    for cell in cells:
        between: Counter[Any] = Counter()
        for (source, target, op), n in cell.parts.items():
            between[source, target, None] += n
            between[source, target, op] += n
        for (source, target, op), n in between.items():
            found += [(at[source], at[target], numbers.setdefault((op, k), len(numbers))) for k in range(n)]
        ends.append(len(found))
    table = np.array(found, np.int64).reshape(-1, 3)
    sources, targets, kinds = table.T
    return _Features(np.array(ends), sources, targets, kinds, len(at)), len(at)


def _thermometer(counts: Sequence[Counter[Any]]) -> Array:
    """(n, features): rows of ones and zeros whose products are the sums of the smaller of two counts."""
    columns: dict[tuple[Any, int], int] = {}
    lines = [[columns.setdefault((key, k), len(columns)) for key, n in one.items() for k in range(n)] for one in counts]
    found = np.zeros((len(counts), max(len(columns), 1)))
    for row, line in zip(found, lines, strict=True):
        row[line] = 1.0
    return found
