"""Where the vertices of a small directed acyclic graph go on paper: in layers, top to bottom.

The steps of Sugiyama, Tagawa and Toda (1981): layers of limited width, an order in each that crosses few edges, and
then places that keep edges straight. Made for cells of some ten vertices; a hundred take a fraction of a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 6  # of ordering, and of placing; more changed nothing in 2,000 cells of four spaces
_PASSING = 8.0  # room that an edge takes in a layer which it passes
_STRAIGHT = 4.0  # how much more a passing edge wants to be straight than a vertex wants to be centred

Edge = tuple[int, int]


@dataclass(frozen=True)
class Placement:
    """Vertex v lies at centre x[v] in layer level[v]; edge e passes the layers between at bends[e], from its source on.

    x is in the unit of the widths and at least half a width from 0; layers count from 0 at the top.
    """

    x: list[float]
    level: list[int]
    bends: list[list[tuple[float, int]]]
    width: float


def place(widths: Sequence[float], edges: Sequence[Edge], *, most: int = 4, gap: float = 10.0) -> Placement:
    """Places vertices of the given widths, at most `most` in a layer and `gap` apart. ValueError for a cycle."""
    level = _levels(len(widths), edges, most)
    room, chains = list(widths), []
    layers: list[list[int]] = [[] for _ in range(max(level, default=-1) + 1)]
    for v, at in enumerate(level):
        layers[at].append(v)
    for source, target in edges:
        between = range(level[source] + 1, level[target])
        passing = list(range(len(room), len(room) + len(between)))
        for v, at in zip(passing, between, strict=True):
            layers[at].append(v)
        room += [_PASSING] * len(passing)
        chains.append([source, *passing, target])
    links = [link for chain in chains for link in pairwise(chain)]
    x = _places(_ordered(layers, links, len(room)), links, room, len(widths), gap)
    left = min((x[v] - room[v] / 2 for v in range(len(room))), default=0.0)
    x = [value - left for value in x]
    right = max((x[v] + room[v] / 2 for v in range(len(room))), default=0.0)
    bends = [[(x[v], at) for at, v in enumerate(chain[1:-1], start=level[chain[0]] + 1)] for chain in chains]
    return Placement(x[: len(widths)], level, bends, right)


def _levels(n: int, edges: Sequence[Edge], most: int) -> list[int]:
    """The layer of each vertex: below all that feed it, as near to its only reader as there is room."""
    before: list[list[int]] = [[] for _ in range(n)]
    after: list[list[int]] = [[] for _ in range(n)]
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    order, waiting = [], [len(set(b)) for b in before]
    ready = [v for v in range(n) if not before[v]]
    while ready:
        order.append(v := ready.pop(0))
        for w in sorted(set(after[v])):
            waiting[w] -= 1
            if not waiting[w]:
                ready.append(w)
    if len(order) < n:
        raise ValueError("the graph has a cycle")
    level, held = [0] * n, [0] * (n + 1)
    for v in order:
        at = max((level[u] + 1 for u in before[v]), default=0)
        while before[v] and held[at] >= most:
            at += 1
        level[v] = at
        held[at] += 1
    for v in reversed(order):
        if len(after[v]) == 1 and before[v]:
            at = next((k for k in range(level[after[v][0]] - 1, level[v], -1) if held[k] < most), level[v])
            held[level[v]], held[at] = held[level[v]] - 1, held[at] + 1
            level[v] = at
    kept = {old: new for new, old in enumerate(sorted(set(level)))}
    return [kept[at] for at in level]


def _ordered(layers: list[list[int]], links: Sequence[Edge], n: int) -> list[list[int]]:
    """The layers, each ordered by the mean place of its neighbours, the best of several sweeps down and up."""
    up: list[list[int]] = [[] for _ in range(n)]
    down: list[list[int]] = [[] for _ in range(n)]
    for source, target in links:
        down[source].append(target)
        up[target].append(source)
    best, fewest = layers, _crossings(layers, links)
    layers = [list(layer) for layer in layers]
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        across = range(1, len(layers)) if sweep % 2 == 0 else range(len(layers) - 2, -1, -1)
        sides, step = (up, -1) if sweep % 2 == 0 else (down, 1)
        for at in across:
            place = {v: k for k, v in enumerate(layers[at + step])}
            own = {v: k for k, v in enumerate(layers[at])}

            def middle(v: int, place: dict[int, int] = place, own: dict[int, int] = own) -> float:
                seen = [place[u] for u in sides[v]]  # noqa: B023  (used in this turn of the loop alone)
                return sum(seen) / len(seen) if seen else own[v]

            layers[at].sort(key=middle)
        if (now := _crossings(layers, links)) < fewest:
            best, fewest = [list(layer) for layer in layers], now
    return best


def _crossings(layers: list[list[int]], links: Sequence[Edge]) -> int:
    place = {v: (at, k) for at, layer in enumerate(layers) for k, v in enumerate(layer)}
    by_layer: list[list[Edge]] = [[] for _ in layers]
    for source, target in links:
        by_layer[place[source][0]].append((place[source][1], place[target][1]))
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0 for inside in by_layer for k, a in enumerate(inside) for b in inside[:k]
    )


def _places(
    layers: list[list[int]], links: Sequence[Edge], room: Sequence[float], real: int, gap: float
) -> list[float]:
    """Centres that keep each layer's order and distances and lie near those of their neighbours."""
    near: list[list[int]] = [[] for _ in room]
    for source, target in links:
        near[source].append(target)
        near[target].append(source)
    x = [0.0] * len(room)
    turns = []
    for layer in layers:
        offsets = [0.0]
        for a, b in pairwise(layer):
            air = gap if a < real and b < real else gap / 2
            offsets.append(offsets[-1] + (room[a] + room[b]) / 2 + air)
        for v, offset in zip(layer, offsets, strict=True):
            x[v] = offset - offsets[-1] / 2
        turns.append((layer, offsets, [1.0 if v < real else _STRAIGHT for v in layer]))
    for sweep in range(_SWEEPS):
        for layer, offsets, weights in turns if sweep % 2 == 0 else reversed(turns):
            wished = [sum(x[u] for u in near[v]) / len(near[v]) if near[v] else x[v] for v in layer]
            level = _rising([w - o for w, o in zip(wished, offsets, strict=True)], weights)
            for v, value, offset in zip(layer, level, offsets, strict=True):
                x[v] = value + offset
    return x


def _rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest sequence that never falls, in weighted squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, heavy, many = blocks.pop()
            both = heavy + block[1]
            block = ((mean * heavy + block[0] * block[1]) / both, both, many + block[2])
        blocks.append(block)
    return [mean for mean, _, many in blocks for _ in range(many)]
