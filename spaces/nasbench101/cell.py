"""Converts NAS-Bench-101 modules to text and back (Ying et al. 2019).

`c3.0_c1.01_mp.02_out.23` is a module of five vertices: one token for each vertex after the input, which is vertex 0.
A token is the operation's code, a dot and the input vertices, one digit each.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from nasbench_pytorch.model import ModelSpec, graph_util

from spaces._text import quoted

OPS = {"c3": "conv3x3-bn-relu", "c1": "conv1x1-bn-relu", "mp": "maxpool3x3"}
"""Code and name of the operations of interior vertices, in the order that the graph hash uses."""
CODES = {name: code for code, name in OPS.items()}
MAX_VERTICES, MAX_EDGES = 7, 9
MAX_DIGIT = 10  # the text has one digit per vertex, also for vertices that pruning removes


class Module(NamedTuple):
    """A directed acyclic graph: operation codes of the interior vertices, and the inputs of each vertex.

    feeds[k] are the input vertices of vertex k + 1, ascending; the last entry belongs to the output.
    """

    ops: tuple[str, ...]
    feeds: tuple[tuple[int, ...], ...]

    @property
    def vertices(self) -> int:
        """Number of vertices, including input and output."""
        return len(self.feeds) + 1

    @property
    def edges(self) -> int:
        """Number of edges."""
        return sum(len(feed) for feed in self.feeds)

    def matrix(self) -> list[list[int]]:
        """The upper-triangular adjacency matrix, rows being sources."""
        rows = [[0] * self.vertices for _ in range(self.vertices)]
        for target, feed in enumerate(self.feeds, start=1):
            for source in feed:
                rows[source][target] = 1
        return rows


def parse(arch: str) -> Module:
    """The module of a text, as written; ValueError if the text is not a valid module."""
    tokens = arch.split("_")
    if len(tokens) >= MAX_DIGIT:
        raise ValueError(f"{quoted(arch)} has {len(tokens) + 1} vertices; the text can name at most {MAX_DIGIT}")
    ops, feeds = [], []
    for k, token in enumerate(tokens, start=1):
        expected = "out" if k == len(tokens) else "|".join(OPS)
        example = expected.split("|")[0]
        match = re.fullmatch(rf"({expected})\.([0-9]{{0,{MAX_DIGIT}}})", token)
        sources = tuple(int(digit) for digit in match[2]) if match else ()
        if match is None or any(s >= k for s in sources) or list(sources) != sorted(set(sources)):
            raise ValueError(
                f"vertex {k} of the NAS-Bench-101 module {quoted(arch)} is {quoted(token)}; expected "
                f"{expected.replace('|', ' or ')}, a dot and ascending vertices below {k}, like `{example}.0`"
            )
        ops.append(match[1])
        feeds.append(sources)
    return Module(tuple(ops[:-1]), tuple(feeds))


def write(module: Module) -> str:
    """The text of a module, the inverse of `parse`."""
    tokens = zip((*module.ops, "out"), module.feeds, strict=True)
    return "_".join(f"{op}.{''.join(map(str, feed))}" for op, feed in tokens)


def from_matrix(matrix: Sequence[Sequence[int]], ops: Sequence[str]) -> Module:
    """The pruned module of an upper-triangular matrix and operation names, including input and output."""
    if len(ops) < 2 or ops[0] != "input" or ops[-1] != "output":
        raise ValueError(f"operations {list(ops)!r}: the first must be 'input' and the last 'output'")
    for op in ops[1:-1]:
        if op not in CODES:
            raise ValueError(f"no operation {op!r} in NAS-Bench-101; have {', '.join(CODES)}")
    rows = np.array([list(row) for row in matrix])  # ValueError if ragged
    if rows.shape != (len(ops), len(ops)) or not np.isin(rows, (0, 1)).all() or np.tril(rows).any():
        raise ValueError(
            f"{len(ops)} operations need an upper-triangular matrix of 0 and 1, {len(ops)} x {len(ops)}; "
            f"got {rows.tolist()}"
        )
    reached = {0}
    for vertex in range(1, len(ops)):
        if rows[sorted(reached), vertex].any():
            reached.add(vertex)
    if len(ops) - 1 not in reached:  # ModelSpec fails on an empty graph
        raise ValueError(
            f"the input is not connected to the output in {write(_module(rows.tolist(), ops[1:-1]))!r}: "
            "nothing is left after pruning"
        )
    # ModelSpec stores its matrix as a torch tensor, which would have no values if the caller builds a network on the
    # meta device.
    with torch.device("cpu"):
        spec = ModelSpec(rows.astype(np.int64), list(ops))
        pruned = spec.matrix.tolist()
    return _module(pruned, spec.ops[1:-1])


def _module(matrix: list[list[int]], ops: Sequence[str]) -> Module:
    """The module of a matrix and of the names of its interior operations."""
    feeds = tuple(tuple(s for s in range(k) if matrix[s][k]) for k in range(1, len(matrix)))
    return Module(tuple(CODES[op] for op in ops), feeds)


def prune(module: Module) -> Module:
    """The module without vertices that are not on a path from input to output; the order does not change."""
    return from_matrix(module.matrix(), ["input", *(OPS[op] for op in module.ops), "output"])


def graph_hash(module: Module) -> str:
    """32 hexadecimal digits, equal exactly for isomorphic modules: the key of the published benchmark."""
    labels = [-1, *(list(OPS).index(op) for op in module.ops), -2]
    # ModelSpec.hash_spec passes a torch tensor, which fails with NumPy 2.
    digest: str = graph_util.hash_module(np.array(module.matrix()), labels)
    return digest


def canonical(module: Module) -> Module:
    """The same module for all isomorphic modules: the order of vertices with the smallest text.

    It is built vertex by vertex, from all orders that begin with the smallest text so far.
    """
    interior = range(1, module.vertices - 1)
    beginnings: list[dict[int, int]] = [{0: 0}]  # old number -> new number
    ops, feeds = [], []
    for new in interior:
        options = [
            ((module.ops[old - 1], _renumbered(module.feeds[old - 1], numbers)), {**numbers, old: new})
            for numbers in beginnings
            for old in interior
            if old not in numbers and all(s in numbers for s in module.feeds[old - 1])
        ]
        best = min(vertex for vertex, _ in options)
        ops.append(best[0])
        feeds.append(best[1])
        beginnings = [numbers for vertex, numbers in options if vertex == best]
    output = min(_renumbered(module.feeds[-1], numbers) for numbers in beginnings)
    return Module(tuple(ops), (*feeds, output))


def _renumbered(feed: tuple[int, ...], numbers: dict[int, int]) -> tuple[int, ...]:
    return tuple(sorted(numbers[s] for s in feed))
