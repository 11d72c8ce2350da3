"""A cell for the terminal: its vertices from top to bottom, their wires as lines beside them."""

from typing import Any


def lines(cell: dict[str, Any]) -> list[str]:
    """The cell's vertices in their order, a line each, with the wire of each that is read further down.

    A wire leaves its vertex at `╮` or `┬`, crosses others at `┼`, and feeds vertices at `●` and the last at `╯` or `┴`.
    Behind stand the operations and the vertices they read, by number where names repeat.
    """
    nodes, edges = list(map(str, cell["nodes"])), cell["edges"]
    called = nodes
    if len(set(nodes)) < len(nodes):
        called = [str(v) for v in range(len(nodes))]
        nodes = [f"{v} {label}" for v, label in enumerate(nodes)]
    feeds = [sorted({e[0] for e in edges if e[1] == v}) for v in range(len(nodes))]
    last = {v: max((e[1] for e in edges if e[0] == v), default=v) for v in range(len(nodes))}
    lanes: list[int | None] = []
    drawn = []
    wide = max(map(len, nodes))
    for v, label in enumerate(nodes):
        before = list(lanes)
        lanes = [None if u is not None and last[u] <= v else u for u in lanes]
        own = None
        if last[v] > v:
            own = next((k for k, u in enumerate(lanes) if u is None and before[k] is None), len(lanes))
            lanes[own : own + 1] = [v]
        ends = [k for k, u in enumerate(before) if u in feeds[v]] + ([own] if own is not None else [])
        reach = max(ends, default=-1)
        wires = ""
        for k in range(max(len(before), len(lanes))):
            was, now = (side[k] if k < len(side) else None for side in (before, lanes))
            flat = "─" if k <= reach else " "
            if k == own:
                sign = "╮" if k == reach else "┬"
            elif was in feeds[v] and was is not None:
                sign = ("╯" if k == reach else "┴") if now is None else "●"
            elif was is not None:
                sign = "┼" if k < reach else "│"
            else:
                sign = flat
            wires += flat + sign
        inputs = [f"{op} of {called[s]}" if op else called[s] for s, t, op in edges if t == v]
        sources = f"← {', '.join(inputs)}" if inputs else ""
        drawn.append((f"{label:<{wide}} {wires}", sources))
    room = max(len(wires) for wires, _ in drawn)
    return [f"{wires:<{room}}  {sources}".rstrip() for wires, sources in drawn]
