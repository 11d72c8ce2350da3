"""A cell as a drawing: boxes for inputs, operations and sums, lines between them, top to bottom.

One layout serves the report's page, which gets its numbers, and `archsweep show --out`, which gets an SVG, PNG or DOT.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from analysis import names
from analysis.drawing.cells.layers import place
from analysis.rows.graph import NOTHING, SKIP, operating

HEIGHT, LAYER = 20.0, 40.0  # of a box, and from one layer to the next, in points
_OPERATION, _CIRCLE = 60.0, 20.0  # widths: a box that an operation's name fits in, and a sum
_CHARACTER = 6.1  # mean width of a letter at 10.5 points, with some air
MOST_BOXES, MOST_LINES = 80, 200  # beyond, a picture shows nothing

# Operations: what their names contain, how they are written, and a colour of the palette by Okabe and Ito (2008),
# whose hues colour-blind readers tell apart. The text is always there as well.
_KINDS = (
    (NOTHING, "none", "#FFFFFF"),
    (SKIP, "skip", "#BBBBBB"),
    (r"avg", "avg", "#F0E442"),
    (r"max|pool", "max", "#E69F00"),
    (r"dil", "dil", "#D98CB8"),
    (r"sep|dw|depth", "sep", "#009E73"),
    (r"conv", "conv", "#56B4E9"),
    (r"^mb\d", "mb", "#8CC9C4"),  # inverted residual blocks
)
_DEEPER = {"conv": "#2C7FB8", "sep": "#00785A", "dil": "#B0578D", "mb": "#3F8F8A"}  # the larger of two kernels
_SIZES = {"conv": 1, "sep": 3, "dil": 3, "mb": 3}  # kernels up to here have the lighter shade
_OTHERS = ("#8C9BD9", "#C9A27A", "#9CC97A", "#D99A8C", "#7AC9C4")
PLAIN = "#FFFFFF"  # inputs, sums and outputs


@dataclass(frozen=True)
class Box:
    """A box around the centre (x, y), in points from the upper left corner of its cell."""

    x: float
    y: float
    width: float
    label: str
    colour: str
    round: bool  # a sum of what comes in


@dataclass(frozen=True)
class Cell:
    """A drawn cell: boxes, and edges between them as (source, target, x in every layer that it passes)."""

    name: str
    width: float
    height: float
    boxes: list[Box]
    edges: list[tuple[int, int, list[float]]]

    def lines(self) -> list[list[tuple[float, float]]]:
        """The points that each edge passes, from the lower edge of a box to the upper edge of another."""
        found = []
        for source, target, bends in self.edges:
            start, end = self.boxes[source], self.boxes[target]
            top = start.y - HEIGHT / 2
            passed = [(x, top + LAYER * k + down) for k, x in enumerate(bends, start=1) for down in (0.0, HEIGHT)]
            found.append([(start.x, start.y + HEIGHT / 2), *passed, (end.x, end.y - HEIGHT / 2)])
        return found


@dataclass(frozen=True)
class Operation:
    """How an operation is written in a drawing, and its colour."""

    label: str
    colour: str


@lru_cache(maxsize=1024)
def operation(name: str) -> Operation:
    """`sep_conv_3x3` is "sep 3×3"; names of no known kind stay as they are and get a colour of their own."""
    low = name.lower()
    size = re.search(r"(\d+)x(\d+)", low)
    for pattern, word, colour in _KINDS:
        if re.search(pattern, low):
            if word in ("skip", "none"):
                return Operation(word, colour)
            large = size is not None and int(size[1][:3]) > _SIZES.get(word, 99)
            known = re.fullmatch(r"[a-z_\-]*?\d*x?\d*(-bn-relu)?", low)
            label = f"{word} {size[1]}×{size[2]}" if size and known else word if known else names.short(name, 16)
            return Operation(label[:16], _DEEPER[word] if large else colour)
    return Operation(names.short(name, 16), _OTHERS[zlib.crc32(name.encode(errors="replace")) % len(_OTHERS)])


def ink(colour: str) -> str:
    """What is legible on a colour: near black or white."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#1B1F23" if 0.299 * red + 0.587 * green + 0.114 * blue > 125 else "#FFFFFF"


def draw(cells: Sequence[dict[str, Any]]) -> list[Cell]:
    """The cells drawn; one that has a cycle or is too large for a picture is left out."""
    drawn = []
    for cell in cells:
        try:
            drawn.append(_draw(cell))
        except ValueError:
            continue
    return drawn


def _draw(cell: dict[str, Any]) -> Cell:
    """An operation on an edge becomes a box on the way; `none` carries nothing and is not drawn."""
    if len(cell["nodes"]) > MOST_BOXES or len(cell["edges"]) > MOST_LINES:
        raise ValueError(f"more than {MOST_BOXES} nodes or {MOST_LINES} edges")
    inner = set(operating(cell))
    looks = [_operation(label) if v in inner else _plain(label) for v, label in enumerate(cell["nodes"])]
    edges: list[tuple[int, int]] = []
    # In one order, so that cells which differ in the order of a sum's terms alone are laid out once.
    for source, target, op in sorted(cell["edges"], key=lambda e: (e[1], e[0], e[2] or "")):
        if not op:
            edges.append((source, target))
        elif (box := _operation(op)).label != "none":
            looks.append(box)
            edges += [(source, len(looks) - 1), (len(looks) - 1, target)]
    placed = _placed(tuple(look.width for look in looks), tuple(edges))
    boxes = [
        replace(look, x=x, y=HEIGHT / 2 + LAYER * at) for x, at, look in zip(placed.x, placed.level, looks, strict=True)
    ]
    lines = [(*ends, [x for x, _ in bends]) for ends, bends in zip(edges, placed.bends, strict=True)]
    height = LAYER * max(placed.level, default=0) + HEIGHT
    return Cell(str(cell.get("name", "")), placed.width, height, boxes, lines)


# Architectures of a space share few wirings, so most cells cost a look-up.
_placed = lru_cache(maxsize=20_000)(place)


def _operation(name: str) -> Box:
    look = operation(name)
    return Box(0, 0, max(_OPERATION, len(look.label) * _CHARACTER + 12), look.label, look.colour, False)


def _plain(label: str) -> Box:
    """An input, a sum or an output; `c_{k-1}` as papers have it is c[k−1]."""
    label = names.short(re.sub(r"_\{(.*)\}", r"[\1]", label).replace("-", "−"), 16)
    if label.isdigit() and len(label) < 3:
        return Box(0, 0, _CIRCLE, label, PLAIN, True)
    return Box(0, 0, max(34.0, len(label) * _CHARACTER + 12), label, PLAIN, False)
