"""Converts DARTS cells to text and back.

`s3.0+s3.1_s3.0+s3.1_s3.1+sk.0_sk.0+d3.2:mp.0+mp.1_sk.2+mp.1_mp.0+sk.2_sk.2+mp.1` is the pair of cells of Liu et al.
2019 (second order): normal cell, colon, reduction cell.  A cell has four nodes, 2 to 5, joined by `_`.  A node is the
sum of two operations, joined by `+`.  An operation is its code, a dot and its input node.  Nodes 0 and 1 are the
outputs of the last but one and of the last cell.
"""

from typing import NamedTuple

from spaces._text import quoted

OPS = {
    "no": "none",
    "mp": "max_pool_3x3",
    "ap": "avg_pool_3x3",
    "sk": "skip_connect",
    "s3": "sep_conv_3x3",
    "s5": "sep_conv_5x5",
    "d3": "dil_conv_3x3",
    "d5": "dil_conv_5x5",
}
"""Code and name of the eight operations, in the order of the columns of DARTS's architecture weights."""
CODES = {name: code for code, name in OPS.items()}
NODES = 4

Edge = tuple[str, int]  # operation code, input node
Node = tuple[Edge, Edge]
Cell = tuple[Node, ...]


class Genotype(NamedTuple):
    """The two cells of a network."""

    normal: Cell
    reduce: Cell


def parse(arch: str) -> Genotype:
    """The cells of a text, in the order written; ValueError if the text is not a valid pair of DARTS cells."""
    cells = arch.split(":")
    if len(cells) != 2:
        raise ValueError(f"a DARTS architecture is two cells, `normal:reduction`; {quoted(arch)} has {len(cells)}")
    return Genotype(_parse_cell(cells[0], "normal", arch), _parse_cell(cells[1], "reduction", arch))


def _parse_cell(text: str, kind: str, arch: str) -> Cell:
    nodes = text.split("_")
    if len(nodes) != NODES:
        raise ValueError(
            f"a DARTS cell has {NODES} nodes joined by `_`; the {kind} cell of {quoted(arch)} has {len(nodes)}"
        )
    cell = []
    for k, node in enumerate(nodes, start=2):
        edges = node.split("+")
        if len(edges) != 2:
            raise ValueError(
                f"node {k} of the {kind} cell of {quoted(arch)} is {quoted(node)}, not two operations like `s3.0+sk.1`"
            )
        cell.append((_parse_edge(edges[0], k, kind, arch), _parse_edge(edges[1], k, kind, arch)))
    return tuple(cell)


def _parse_edge(text: str, node: int, kind: str, arch: str) -> Edge:
    code, dot, source = text.partition(".")
    # Compared as text: int() would also accept "+0", " 0" and digits of other scripts.
    if code not in OPS or not dot or source not in [str(k) for k in range(node)]:
        raise ValueError(
            f"node {node} of the {kind} cell of {quoted(arch)} holds {quoted(text)}; expected one of {' '.join(OPS)}, "
            f"a dot and a node from 0 to {node - 1}"
        )
    return code, int(source)


def write(genotype: Genotype) -> str:
    """The text of cells, the inverse of `parse`."""
    return ":".join(
        "_".join("+".join(f"{code}.{source}" for code, source in node) for node in cell) for cell in genotype
    )


def canonical(cell: Cell) -> Cell:
    """The same cell for all isomorphic cells, which differ only in ways without influence on the network.

    Three things have no influence.  The order of a node's two operations, which are added.  The input node of a `none`,
    whose output is zero.  The numbering of nodes 2 to 5: their concatenation is the input of a 1x1 convolution or a
    linear layer, whose input weights can be permuted in the same way.  So cells that differ only in the numbering
    compute the same functions, with the same probability at initialisation.

    Of all topological orders of the nodes, this is the one with the smallest sequence of nodes.  It is built node by
    node, from all orders that begin with the smallest sequence so far.
    """
    beginnings: list[dict[int, int]] = [{0: 0, 1: 1}]  # old name -> new name
    chosen: list[Node] = []
    for new in range(2, 2 + len(cell)):
        options = [
            (node, {**names, old: new})
            for names in beginnings
            for old, edges in enumerate(cell, start=2)
            if old not in names and (node := _renamed(edges, names)) is not None
        ]
        best = min(node for node, _ in options)
        chosen.append(best)
        beginnings = [names for node, names in options if node == best]
    return tuple(chosen)


def _renamed(node: Node, names: dict[int, int]) -> Node | None:
    """The node with new node names and sorted operations; None if an input node has no new name yet."""
    (op_a, a), (op_b, b) = node
    if op_a == "no":
        a = 0
    if op_b == "no":
        b = 0
    if a not in names or b not in names:
        return None
    first, second = (op_a, names[a]), (op_b, names[b])
    return (first, second) if first <= second else (second, first)
