"""The graph of an architecture, as rows and plans hold it: what can be read of it, and which operations it has."""

import json
import re
from collections.abc import Sequence
from typing import Any

NOTHING = r"^(none|zero(ize|s)?)$"  # names of the operation that carries nothing, in small letters
SKIP = r"skip|ident|^id$"  # what the names of skip connections contain


def read(graph: Any) -> list[dict[str, Any]]:
    """The cells of a `graph` as JSON text or as what it says; none where it is missing or is not a valid graph.

    Rows may contain anything: whatever is not a name, labels and edges between them is not a cell.
    """
    if isinstance(graph, str):
        try:
            graph = json.loads(graph)
        except (ValueError, RecursionError):
            return []
    cells = graph.get("cells") if isinstance(graph, dict) else None
    return cells if isinstance(cells, list) and all(map(_is_cell, cells)) else []


def _is_cell(cell: Any) -> bool:
    if not isinstance(cell, dict) or not isinstance(cell.get("nodes"), list) or not isinstance(cell.get("edges"), list):
        return False
    nodes, edges = cell["nodes"], cell["edges"]
    return (
        isinstance(cell.get("name", ""), str)
        and len(nodes) > 0
        and all(isinstance(node, str) for node in nodes)
        and all(isinstance(e, list) and len(e) == 3 and isinstance(e[2], str | None) for e in edges)
        and all(type(end) is int and 0 <= end < len(nodes) for e in edges for end in e[:2])
    )


def operations(cells: Sequence[dict[str, Any]]) -> list[str]:
    """The names of all operations in the cells that `read` gives, as often as they occur.

    They are on edges, or in inner vertices where a cell's edges carry none. An edge of `none` carries nothing and is no
    operation. This is what SQL's `ops`, the page and the files count and colour.
    """
    found = []
    for cell in cells:
        found += [op for *_, op in cell["edges"] if op]
        found += [cell["nodes"][v] for v in operating(cell)]
    return [op for op in found if not is_nothing(op)]


def is_nothing(op: str) -> bool:
    """Whether an operation carries nothing, by its name."""
    return re.search(NOTHING, op.lower()) is not None


def is_skip(op: str) -> bool:
    """Whether an operation is a skip connection, by its name."""
    return re.search(SKIP, op.lower()) is not None


def operating(cell: dict[str, Any]) -> list[int]:
    """The vertices that are operations: those inside a cell whose edges have none."""
    if any(op for *_, op in cell["edges"]):
        return []
    fed, read = {e[1] for e in cell["edges"]}, {e[0] for e in cell["edges"]}
    inside = fed & read if cell["edges"] else set()
    return sorted(v for v in inside if not re.fullmatch(r"input|output|\d+", cell["nodes"][v]))
