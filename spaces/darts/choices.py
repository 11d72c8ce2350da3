"""From weights to DARTS cells and back, and small changes of cells."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spaces._search import Choices, check
from spaces.darts.genotype import NODES, OPS, Cell, Edge, Genotype, Node

EDGES = tuple((source, node) for node in range(2, 2 + NODES) for source in range(node))
"""(source, node) of every edge, in the order of DARTS's architecture weights."""
CODES = tuple(OPS)
NONE, SKIP = CODES.index("no"), CODES.index("sk")
CHOICES = {kind: Choices(EDGES, CODES, tuple(OPS.values())) for kind in Genotype._fields}
Weights = Mapping[str, NDArray[np.floating]]


def discretise(weights: Weights, edges: Weights | None = None, skips: int | None = None) -> Genotype:
    """The two strongest edges of every node, strongest first, each with its strongest operation other than `none`.

    The strength of an edge is that of this operation, multiplied by the edge's own weight if there is one (PC-DARTS).
    Of equal operations the first in `OPS` is kept, of equal edges the one with the smaller source (the rule of the
    releases of DARTS, PC-DARTS and UnNAS).  `skips`: as `Searchable.discretise` says (P-DARTS).
    """
    check(CHOICES, weights, edges)
    cells = []
    for kind in Genotype._fields:
        rows = np.array(weights[kind], dtype=np.float64)
        if edges is not None:
            rows *= np.asarray(edges[kind], dtype=np.float64)[:, None]
        rows[:, NONE] = -np.inf
        cells.append(_limited(rows, skips if kind == "normal" else None))
    return Genotype(*cells)


def _limited(rows: NDArray[np.float64], skips: int | None) -> Cell:
    """The cell with at most so many skip connections."""
    while True:
        cell = _cell(rows)
        sources = [(source, node) for node, pair in enumerate(cell, start=2) for code, source in pair if code == "sk"]
        if skips is None or len(sources) <= skips:
            return cell
        rows[min(map(EDGES.index, sources), key=lambda k: rows[k, SKIP]), SKIP] = -1.0  # below all others


def _cell(rows: NDArray[np.float64]) -> Cell:
    best, strength = rows.argmax(1), rows.max(1)
    nodes: list[Node] = []
    for node in range(2, 2 + NODES):
        incoming = [k for k, (_, target) in enumerate(EDGES) if target == node]
        first, second = sorted(incoming, key=lambda k: -strength[k])[:2]  # stable
        nodes.append(((CODES[best[first]], EDGES[first][0]), (CODES[best[second]], EDGES[second][0])))
    return tuple(nodes)


def one_hot(genotype: Genotype) -> dict[str, NDArray[np.float64]]:
    """The weights of two cells; edges that they do not have are `none`.

    ValueError for a node that reads one node twice: a supernet has one edge between two nodes.
    """
    found = {}
    for kind, cell in zip(Genotype._fields, genotype, strict=True):
        chosen = [NONE] * len(EDGES)
        for node, ((_, a), (_, b)) in enumerate(cell, start=2):
            if a == b:
                raise ValueError(
                    f"node {node} of the {kind} cell reads node {a} twice; a supernet computes only cells whose nodes "
                    "have two different inputs"
                )
        for node, pair in enumerate(cell, start=2):
            for code, source in pair:
                chosen[EDGES.index((source, node))] = CODES.index(code)
        found[kind] = np.eye(len(CODES))[chosen]
    return found


def mutate(genotype: Genotype, rng: np.random.Generator, p: float | None = None) -> Genotype:
    """The cells with one other operation or input, or with each of them drawn anew with probability `p`.

    A new input differs from the other input of its node.
    """
    edges = [found for cell in genotype for node in cell for found in node]
    places = range(2 * len(edges))
    if p is None:
        # Nodes with two earlier nodes read both, so their inputs have no other value.
        places_with_others = [place for place in places if _others(edges, place)]
        place = places_with_others[int(rng.integers(len(places_with_others)))]
        others = _others(edges, place)
        edges[place // 2] = others[int(rng.integers(len(others)))]
    else:
        for place, anew in zip(places, (rng.random(len(places)) < p).tolist(), strict=True):
            values = [edges[place // 2], *_others(edges, place)]
            if anew:
                edges[place // 2] = values[int(rng.integers(len(values)))]
    nodes = [(edges[k], edges[k + 1]) for k in range(0, len(edges), 2)]
    return Genotype(tuple(nodes[:NODES]), tuple(nodes[NODES:]))


def _others(edges: Sequence[Edge], place: int) -> list[Edge]:
    """The other values of an edge: with another operation (even places) or another input (odd places)."""
    k, of_input = divmod(place, 2)
    code, source = edges[k]
    if not of_input:
        return [(other, source) for other in CODES if other != code]
    taken = source, edges[k ^ 1][1]
    return [(code, other) for other in range(2 + k // 2 % NODES) if other not in taken]


def cross(a: Genotype, b: Genotype, rng: np.random.Generator) -> Genotype:
    """Every node from one of two pairs of cells."""
    cells = []
    for one, other in zip(a, b, strict=True):
        first = (rng.random(NODES) < 0.5).tolist()
        cells.append(tuple(x if left else y for x, y, left in zip(one, other, first, strict=True)))
    return Genotype(*cells)
