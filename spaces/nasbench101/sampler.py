"""Uniform sampling of distinct modules, as UnNAS sampled 500 of the benchmark's 423,624.

Drawing a random matrix and random labels favours modules with many spellings.  So each spelling is drawn with equal
probability, and a module is accepted with probability 1 / (number of its spellings).  That number is the number of
topological orders of its vertices divided by the number of its automorphisms.
"""

from collections import defaultdict
from itertools import permutations, product
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from spaces.nasbench101.cell import OPS, Module

CHUNK = 1024  # spellings per batch; about as many as are drawn per accepted module of the whole space
CODES = tuple(OPS)
Ints = NDArray[np.int64]


class Sampler:
    """Draws from all modules with 2 to `max_vertices` vertices and at most `max_edges` edges.

    A form is one spelling of a module: v, the upper triangle of the matrix as bits (column by column, from the lowest
    bit) and the v - 2 operations as a number in base 3.  All forms are numbered.
    """

    def __init__(self, max_vertices: int, max_edges: int) -> None:
        self.max_vertices, self.max_edges = max_vertices, max_edges
        counts = [2 ** (v * (v - 1) // 2) * len(CODES) ** (v - 2) for v in range(2, max_vertices + 1)]
        self.starts = np.cumsum([0, *counts])  # first form of 2, 3, ... vertices, and the total number
        self.masks = np.array([_masks(v, max_vertices) for v in range(max_vertices + 1)])
        self.symmetries = [_symmetries(v - 2) for v in range(2, max_vertices + 1)]

    def draw(self, rng: np.random.Generator) -> Module:
        """A module; each distinct module has the same probability."""
        while True:
            forms = rng.integers(self.starts[-1], size=CHUNK)
            luck = rng.random(CHUNK)
            vertices, bits, labels, where = self.valid_forms(forms)
            share = luck[where] * self.topological_orders(
                vertices, bits
            )  # accepted if below the number of automorphisms
            for v, b, label, s in zip(vertices.tolist(), bits.tolist(), labels.tolist(), share.tolist(), strict=True):
                if s < self.symmetries[v - 2][label]:  # most are rejected by this cheap bound
                    module = _module(v, b, label)
                    if s < automorphisms(module):
                        return module

    def valid_forms(self, forms: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """The forms with few enough edges and nothing to prune: (v, bits, operations, position)."""
        vertices = np.searchsorted(self.starts, forms, side="right") + 1
        labels, bits = np.divmod(forms - self.starts[vertices - 2], 1 << (vertices * (vertices - 1) // 2))
        few = np.flatnonzero(np.bitwise_count(bits) <= self.max_edges)
        # In an acyclic graph every vertex lies on a path from input to output if only the input has no incoming edge
        # and only the output has no outgoing edge.
        connected = ((bits[few, None] & self.masks[vertices[few]]) != 0).all(1)
        where = few[connected]
        return vertices[where], bits[where], labels[where], where

    def topological_orders(self, vertices: Ints, bits: Ints) -> Ints:
        """The number of topological orders of each graph."""
        interior = self.max_vertices - 2
        # Inputs of each interior vertex as a bit set of interior vertices: its column without the input.
        feeds = [(bits >> (y * (y - 1) // 2 + 1)) & ((1 << (y - 1)) - 1) for y in range(1, interior + 1)]
        orders = np.zeros((2**interior, len(bits)), dtype=np.int64)  # of every set of vertices
        orders[0] = 1
        for chosen in range(1, 2**interior):
            for last in range(interior):
                if chosen >> last & 1:
                    orders[chosen] += orders[chosen ^ (1 << last)] * ((feeds[last] & ~chosen) == 0)
        every: Ints = orders[(1 << (vertices - 2)) - 1, np.arange(len(bits))]
        return every


def automorphisms(module: Module) -> int:
    """The number of permutations of the interior vertices that do not change the module."""
    out_degree = [sum(v in feed for feed in module.feeds) for v in range(module.vertices)]
    alike = defaultdict(list)  # only vertices that are equal in these properties can be exchanged
    for v, (op, feed) in enumerate(zip(module.ops, module.feeds, strict=False), start=1):
        alike[op, len(feed), 0 in feed, out_degree[v], v in module.feeds[-1]].append(v)
    edges = {(s, t) for t, feed in enumerate(module.feeds, start=1) for s in feed}
    count = 0
    for arrangement in product(*(permutations(group) for group in alike.values())):
        moved = {0: 0, module.vertices - 1: module.vertices - 1}
        for group, images in zip(alike.values(), arrangement, strict=True):
            moved.update(zip(group, images, strict=True))
        count += all((moved[s], moved[t]) in edges for s, t in edges)
    return count


def _symmetries(interior: int) -> list[int]:
    """Per operations number: the permutations that keep the operations, an upper bound of the automorphisms."""
    return [
        prod(factorial(ops.count(code)) for code in range(len(CODES)))
        for ops in product(range(len(CODES)), repeat=interior)  # the order of digits does not matter
    ]


def _masks(v: int, max_vertices: int) -> list[int]:
    """Sets of edges, of which a connected graph has at least one each: into and out of every vertex."""
    at = {(x, y): 1 << (y * (y - 1) // 2 + x) for y in range(v) for x in range(y)}
    into = [sum(at[x, y] for x in range(y)) for y in range(1, v)]
    out_of = [sum(at[x, y] for y in range(x + 1, v)) for x in range(v - 1)]
    masks = into + out_of
    return masks + [-1] * (2 * (max_vertices - 1) - len(masks))  # padding: satisfied by any edge


def _module(v: int, bits: int, label: int) -> Module:
    """The module of a form."""
    ops = tuple(CODES[label // len(CODES) ** k % len(CODES)] for k in range(v - 2))
    columns = [bits >> (y * (y - 1) // 2) for y in range(1, v)]
    feeds = tuple(tuple(x for x in range(y) if column >> x & 1) for y, column in enumerate(columns, start=1))
    return Module(ops, feeds)
