"""NAS-Bench-201 cells as text, in the benchmark's own spelling, and back (Dong & Yang 2020).

`|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|` is a cell of four nodes, the input
being node 0. For each other node there is a group with one operation from every node before it, `~` and that node; a
node is the sum of its operations' outputs, the last one is the cell's output.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product

from spaces._text import quoted

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Names of the operations, in the benchmark's order."""
NODES = 4
EDGES = tuple((source, node) for node in range(1, NODES) for source in range(node))
"""(source, node) of every edge, in the order of the text."""

Cell = tuple[str, ...]
"""The operation of every edge, in the order of `EDGES`."""

_EXAMPLE = "|".join(f"none~{source}" for source in range(NODES - 1))


def parse(arch: str) -> Cell:
    """Text to cell. ValueError unless it is spelled as the benchmark spells it."""
    groups = arch.split("+", NODES - 1)
    if len(groups) != NODES - 1:
        raise ValueError(
            f"{quoted(arch)} is no NAS-Bench-201 cell; right are {NODES - 1} groups joined by `+`, like "
            f"`|none~0|+|none~0|none~1|+|{_EXAMPLE}|`, of the operations {', '.join(OPS)}"
        )
    return tuple(op for node, group in enumerate(groups, start=1) for op in _group(group, node, arch))


def _group(text: str, node: int, arch: str) -> Iterator[str]:
    """The operations that a node adds up."""
    parts = text.split("|", node + 2)
    if len(parts) != node + 2 or parts[0] or parts[-1]:
        raise ValueError(
            f"node {node} of the NAS-Bench-201 cell {quoted(arch)} is {quoted(text)}; right is one operation from each "
            f"node before it, like `|{'|'.join(_EXAMPLE.split('|')[:node])}|`"
        )
    for source, part in enumerate(parts[1:-1]):
        op, _, number = part.partition("~")
        if op not in OPS or number != str(source):
            raise ValueError(
                f"node {node} of the NAS-Bench-201 cell {quoted(arch)} holds {quoted(part)}; right is one of "
                f"{', '.join(OPS)} and `~{source}`"
            )
        yield op


def write(cell: Cell) -> str:
    """Cell to text, the inverse of `parse`."""
    ops = iter(cell)
    return "+".join("|" + "".join(f"{next(ops)}~{source}|" for source in range(node)) for node in range(1, NODES))


def formula(cell: Cell) -> str:
    """What the cell computes, as a sum of terms: the benchmark's rule for which cells are one.

    A skip is what it skips from, the order of a sum does not matter, an operation on zero is zero. Two things are the
    rule's own. It writes a zero as a term `#` and keeps it, so that a node which adds two zeros is `#+#`, no longer
    a zero to what reads it: cells may differ that compute the same. And a convolution of zeros counts as zero,
    although the bias of its BN is learned. It leaves 6,466 of the 15,625 cells.
    """
    nodes = ["0"]
    ops = iter(cell)
    for node in range(1, NODES):
        nodes.append("+".join(sorted(_term(next(ops), nodes[source]) for source in range(node))))
    return nodes[-1]


def _term(op: str, source: str) -> str:
    if op == "none" or source == "#":
        return "#"
    return source if op == "skip_connect" else f"({source})@{op}"


def canonical(cell: Cell) -> Cell:
    """The first of all cells, in the order of `OPS`, that have this cell's formula."""
    return _first_cells()[formula(cell)]


@cache
def _first_cells() -> dict[str, Cell]:
    """Every formula, and the first cell that has it."""
    first: dict[str, Cell] = {}
    for cell in product(OPS, repeat=len(EDGES)):
        first.setdefault(formula(cell), cell)
    return first
