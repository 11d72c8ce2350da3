"""Converts NAS-Bench-201 cells to text, in the benchmark's spelling, and back (Dong & Yang 2020).

`|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|` is a cell of four nodes; the input is
node 0.  Each other node has a group with one operation per earlier node, followed by `~` and that node.  A node is the
sum of its operations' outputs; the last node is the cell's output.
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
    """The cell of a text; ValueError unless it is in the benchmark's spelling."""
    groups = arch.split("+", NODES - 1)
    if len(groups) != NODES - 1:
        raise ValueError(
            f"{quoted(arch)} is not a valid NAS-Bench-201 cell; expected {NODES - 1} groups joined by `+`, like "
            f"`|none~0|+|none~0|none~1|+|{_EXAMPLE}|`, of the operations {', '.join(OPS)}"
        )
    return tuple(op for node, group in enumerate(groups, start=1) for op in _group(group, node, arch))


def _group(text: str, node: int, arch: str) -> Iterator[str]:
    """The operations of a node."""
    parts = text.split("|", node + 2)
    if len(parts) != node + 2 or parts[0] or parts[-1]:
        raise ValueError(
            f"node {node} of the NAS-Bench-201 cell {quoted(arch)} is {quoted(text)}; expected one operation from each "
            f"node before it, like `|{'|'.join(_EXAMPLE.split('|')[:node])}|`"
        )
    for source, part in enumerate(parts[1:-1]):
        op, _, number = part.partition("~")
        if op not in OPS or number != str(source):
            raise ValueError(
                f"node {node} of the NAS-Bench-201 cell {quoted(arch)} holds {quoted(part)}; expected one of "
                f"{', '.join(OPS)} and `~{source}`"
            )
        yield op


def write(cell: Cell) -> str:
    """The text of a cell, the inverse of `parse`."""
    ops = iter(cell)
    return "+".join("|" + "".join(f"{next(ops)}~{source}|" for source in range(node)) for node in range(1, NODES))


def formula(cell: Cell) -> str:
    """The function of the cell as a sum of terms: the benchmark's rule for equal cells.

    A skip connection is its input, the order of a sum does not matter, and an operation on zero is zero.  Two
    properties are special.  A zero is kept as a term `#`, so a node that adds two zeros is `#+#` and no longer counts
    as zero for the next node: cells may have different formulas although they compute the same.  And a convolution of
    zeros counts as zero, although the bias of its BN is learned.  The rule gives 6,466 classes of the 15,625 cells.
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
    """The first cell, in the order of `OPS`, with the same formula."""
    return _first_cells()[formula(cell)]


@cache
def _first_cells() -> dict[str, Cell]:
    """Formula -> the first cell that has it."""
    first: dict[str, Cell] = {}
    for cell in product(OPS, repeat=len(EDGES)):
        first.setdefault(formula(cell), cell)
    return first
