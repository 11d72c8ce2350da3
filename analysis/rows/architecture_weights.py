"""The architecture weights of a search, as its row holds them: tables by epoch, and what can be read of them."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
_EDGES = "_edges"  # ends the name of a table with one value per edge


@dataclass(frozen=True)
class CellWeights:
    """One cell's weights after each epoch."""

    name: str
    edges: list[tuple[int, int]] | None  # source and node of each row; None where the row does not say
    operations: list[str]  # of each column; their numbers where the row does not say
    values: Array  # (E, edges, operations) before the softmax; -inf for operations that were dropped
    of_edges: Array | None  # (E, edges) before the softmax over those that enter one node (PC-DARTS)

    @property
    def shares(self) -> Array:
        """(E, edges, operations) the softmax over the operations of each edge."""
        return _softmax(self.values)

    @property
    def entropy(self) -> Array:
        """(E,) the entropy of an edge's shares in nats, the mean over the edges; log n for n equal shares."""
        shares = self.shares
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(shares > 0, -shares * np.log(shares), 0.0).sum(axis=2)
        found: Array = each.mean(axis=1)
        return found

    @property
    def most(self) -> Array:
        """(E,) the largest entropy with the operations that are left: the mean of log n over the edges."""
        found: Array = np.log(np.isfinite(self.values).sum(axis=2)).mean(axis=1)
        return found

    @property
    def edge_shares(self) -> Array | None:
        """(E, edges) the softmax over the edges that enter the same node; None where edges have no weights."""
        if self.of_edges is None or self.edges is None:
            return None
        nodes, found = np.array([node for _, node in self.edges]), np.empty_like(self.of_edges)
        for node in np.unique(nodes):
            found[:, nodes == node] = _softmax(self.of_edges[:, nodes == node])
        return found


def read(curve: Any, shape: Any, ops: Any = None) -> list[CellWeights]:
    """The cells of `curve_arch`, `arch_shape` and `arch_ops`; none where the row has no weights or cannot be read.

    Rows may contain anything: whatever does not fit its shapes has no weights.
    """
    shapes, known = _json(shape), _json(ops)
    if not shapes or curve is None or not hasattr(curve, "__len__"):
        return []
    try:
        flat = np.array([np.asarray(one, float) for one in curve], float)
        sizes = {name: tuple(map(int, dims)) for name, dims in shapes.items()}
    except (TypeError, ValueError):
        return []
    if flat.ndim != 2 or flat.shape[1] != sum(map(math.prod, sizes.values())) or not len(flat):
        return []
    tables, at = {}, 0
    for name, dims in sizes.items():
        tables[name] = flat[:, at : at + math.prod(dims)].reshape(len(flat), *dims)
        at += math.prod(dims)
    return [_cell(name, values, tables, known.get(name)) for name, values in tables.items() if values.ndim == 3]


def _cell(name: str, values: Array, tables: dict[str, Array], known: Any) -> CellWeights:
    known = known if isinstance(known, dict) else {}
    edges, ops = known.get("edges"), known.get("ops")
    fits = isinstance(edges, list) and len(edges) == values.shape[1]
    fits &= isinstance(ops, list) and len(ops) == values.shape[2]
    of_edges = tables.get(name + _EDGES)
    return CellWeights(
        name,
        [(int(source), int(node)) for source, node in edges] if fits else None,
        [str(op) for op in ops] if fits else [str(k) for k in range(values.shape[2])],
        values,
        of_edges if of_edges is not None and of_edges.shape == values.shape[:2] else None,
    )


def _softmax(values: Array) -> Array:
    raised = np.exp(values - values.max(axis=-1, keepdims=True))
    found: Array = raised / raised.sum(axis=-1, keepdims=True)
    return found


def _json(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
