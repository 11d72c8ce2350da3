"""Drawn cells as short strings, so that thousands of them fit into a page; `assets/cells.js` reads them.

A digit is one of 64 signs that neither JSON nor HTML escapes; a number of two digits stands for 0 to 4095. A shape is
the width and the height in points (two digits each), the number of boxes, for each box its centre's x in half points
(two), its layer (one) and its width in points (two); then for each edge its source and target (one each) and its x in
half points in every layer that it passes (two each).
"""

from collections.abc import Callable, Sequence
from typing import Any

from analysis.drawing.cells.drawing import HEIGHT, LAYER, Cell, draw, ink
from analysis.rows.graph import read

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_BASE = len(DIGITS)


class CellBook:
    """Every distinct wiring and every distinct box once, to which architectures refer."""

    def __init__(self) -> None:
        self._shapes: dict[str, int] = {}
        self._looks: dict[tuple[Any, ...], int] = {}
        self._names: dict[str, int] = {}

    def add(self, graph: Any) -> list[list[Any]]:
        """The graph's cells as [name, shape, boxes' looks], to be sent in JSON; empty where it cannot be drawn."""
        drawn = draw(read(graph))
        fit = all(len(c.boxes) < _BASE and c.height <= _BASE * LAYER and c.width < _BASE**2 / 2 for c in drawn)
        return [self._one(cell) for cell in drawn] if fit else []

    def _one(self, cell: Cell) -> list[Any]:
        looks = [(box.label, box.colour, ink(box.colour), int(box.round)) for box in cell.boxes]
        pattern = "".join(two(min(_number(self._looks, look), _BASE**2 - 1)) for look in looks)
        return [_number(self._names, cell.name[:40]), _number(self._shapes, _shape(cell)), pattern]

    def content(self) -> dict[str, Any]:
        """What the strings refer to."""
        return {
            "digits": DIGITS,
            "height": HEIGHT,
            "layer": LAYER,
            "shapes": list(self._shapes),
            "looks": [list(look) for look in self._looks],
            "names": list(self._names),
        }


def two(number: float) -> str:
    """Two digits; what is beyond them becomes the largest."""
    whole = min(max(round(number), 0), _BASE**2 - 1)
    return DIGITS[whole // _BASE] + DIGITS[whole % _BASE]


def counts(values: Sequence[int]) -> str:
    """Small counts as one digit each, 63 for all beyond."""
    return "".join(DIGITS[min(value, _BASE - 1)] for value in values)


def _shape(cell: Cell) -> str:
    one: Callable[[int], str] = DIGITS.__getitem__
    parts = [two(cell.width), two(cell.height), one(len(cell.boxes))]
    for box in cell.boxes:
        parts += [two(box.x * 2), one(round((box.y - HEIGHT / 2) / LAYER)), two(box.width)]
    for source, target, bends in cell.edges:
        parts += [one(source), one(target), *(two(x * 2) for x in bends)]
    return "".join(parts)


def _number(known: dict[Any, int], thing: Any) -> int:
    return known.setdefault(thing, len(known))
