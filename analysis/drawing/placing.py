"""Where the names of points go: beside their points, over no other point or name, or nowhere."""

from collections.abc import Sequence
from typing import Any

_GAP = 5.0  # between a point and its name
_AROUND = 3.5  # half of a point, which a name does not cover


def placed(points: Any, names: Sequence[str], order: Sequence[int], size: tuple[float, float], area: Any) -> list[Any]:
    """Left and lower ends of the names of points (n, 2), None for a name without room.

    `order` are the positions to name, the most important first; `size` is the width of a character and the height of a
    line, `area` the left, lower, right and upper end of what names may cover; all in the units of the points.
    """
    found: list[Any] = [None] * len(points)
    boxes = [(x - _AROUND, y - _AROUND, x + _AROUND, y + _AROUND) for x, y in points]
    for k in order:
        (x, y), wide, high = points[k], size[0] * len(names[k]), size[1]
        around = (
            (x + _GAP, y - high / 2),
            (x - _GAP - wide, y - high / 2),
            (x - wide / 2, y + _GAP),
            (x - wide / 2, y - _GAP - high),
            (x + _GAP, y + 1),
            (x + _GAP, y - high - 1),
            (x - _GAP - wide, y + 1),
            (x - _GAP - wide, y - high - 1),
        )
        for left, low in around:
            box = (left, low, left + wide, low + high)
            inside = box[0] >= area[0] and box[1] >= area[1] and box[2] <= area[2] and box[3] <= area[3]
            others = [one for j, one in enumerate(boxes) if j != k]
            if inside and not any(_meet(box, one) for one in others):
                found[k] = (left, low)
                boxes.append(box)
                break
    return found


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
