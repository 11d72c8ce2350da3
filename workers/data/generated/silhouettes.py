"""Ten kinds of objects as coloured silhouettes; none equals its mirror image or a rotated copy of itself.

A silhouette is a list of parts on a grid of 32 x 32 units, painted in order: x from left to right, y downwards, the
object stands on y = 32.  A part is a colour number and a polygon, or a colour number and a disc (x, y, radius).
Colours: 1 main, 2 second, 3 third, 0 a hole.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

GRID = 32  # units
CELLS = 64  # of the rasterised silhouette, along each side
COLOURS = 3

Point = tuple[int, int]
Disc = tuple[int, int, int]
Part = tuple[int, tuple[Point, ...] | Disc]


def _box(left: int, top: int, right: int, bottom: int) -> tuple[Point, ...]:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


SILHOUETTES: dict[str, tuple[Part, ...]] = {
    "house": (
        (1, _box(6, 14, 28, 32)),
        (2, _box(22, 3, 26, 14)),
        (2, ((3, 16), (15, 4), (31, 16))),
        (3, _box(9, 21, 14, 32)),
        (3, _box(18, 19, 25, 25)),
    ),
    "tree": (
        (2, ((13, 32), (19, 32), (17, 16), (15, 16))),
        (2, ((16, 26), (26, 19), (27, 21), (16, 29))),
        (1, (13, 10, 9)),
        (1, (21, 14, 7)),
        (1, (8, 15, 5)),
        (3, (11, 8, 3)),
    ),
    "car": (
        (1, ((1, 20), (3, 10), (15, 9), (19, 19), (30, 21), (31, 28), (1, 28))),
        (3, ((5, 12), (9, 12), (9, 18), (4, 18))),
        (3, ((11, 12), (14, 12), (17, 18), (11, 18))),
        (2, (7, 28, 4)),
        (2, (24, 28, 4)),
    ),
    "boat": (
        (2, _box(10, 1, 12, 24)),
        (3, ((13, 2), (30, 21), (13, 21))),
        (3, ((9, 10), (3, 21), (9, 21))),
        (1, ((0, 23), (32, 20), (25, 32), (6, 32))),
    ),
    "teapot": (
        (2, (5, 19, 6)),
        (0, (5, 19, 3)),
        (1, (15, 21, 10)),
        (1, ((22, 19), (30, 9), (32, 11), (24, 28))),
        (2, _box(9, 10, 21, 13)),
        (3, (15, 8, 3)),
        (2, _box(9, 30, 21, 32)),
    ),
    "lamp": (
        (1, _box(7, 3, 11, 32)),
        (1, _box(3, 28, 16, 32)),
        (1, _box(7, 2, 26, 6)),
        (3, ((19, 6), (31, 6), (28, 14), (22, 14))),
        (2, _box(11, 15, 21, 22)),
    ),
    "bird": (
        (2, ((9, 14), (0, 9), (1, 20), (9, 21))),
        (1, (15, 17, 8)),
        (1, (23, 8, 5)),
        (3, ((27, 5), (32, 9), (27, 11))),
        (2, ((9, 13), (20, 15), (11, 22))),
        (3, _box(12, 24, 14, 32)),
        (3, _box(18, 23, 20, 32)),
        (3, _box(18, 30, 24, 32)),
        (3, _box(12, 30, 17, 32)),
    ),
    "dog": (
        (2, ((4, 17), (0, 5), (3, 4), (9, 14))),
        (1, _box(4, 14, 24, 23)),
        (1, (26, 10, 5)),
        (1, ((28, 8), (32, 10), (32, 14), (27, 15))),
        (2, ((22, 3), (26, 5), (23, 13))),
        (1, _box(5, 22, 9, 32)),
        (1, _box(19, 22, 23, 32)),
        (3, (13, 18, 3)),
    ),
    "chair": (
        (1, _box(4, 1, 8, 20)),
        (3, _box(8, 13, 26, 17)),
        (1, _box(4, 17, 28, 21)),
        (2, _box(4, 21, 7, 32)),
        (2, _box(25, 21, 28, 32)),
        (2, _box(7, 26, 25, 28)),
    ),
    "boot": (
        (1, _box(7, 2, 18, 22)),
        (1, ((7, 18), (18, 17), (29, 22), (31, 28), (7, 28))),
        (2, _box(6, 28, 31, 30)),
        (2, _box(6, 28, 13, 32)),
        (3, _box(6, 2, 19, 7)),
    ),
}


@cache
def raster() -> npt.NDArray[np.uint8]:
    """The colour number of each cell of each silhouette, (kinds, CELLS, CELLS)."""
    # Doubled units: the centres of cells are odd, the corners of parts even, so no centre is on a corner.
    scale = 2 * CELLS // GRID
    at = 2 * np.arange(CELLS, dtype=np.int64) + 1
    x, y = at[None, :], at[:, None]
    found = np.zeros((len(SILHOUETTES), CELLS, CELLS), np.uint8)
    for cells, parts in zip(found, SILHOUETTES.values(), strict=True):
        for colour, outline in parts:
            cells[_inside(outline, scale, x, y)] = colour
    return found


def _inside(
    outline: tuple[Point, ...] | Disc, scale: int, x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which points are inside a polygon (by the number of edges that a ray to the left crosses) or a disc."""
    if isinstance(outline[0], int):
        left, top, radius = (scale * int(value) for value in outline)
        return (x - left) ** 2 + (y - top) ** 2 <= radius**2
    corners = [(scale * px, scale * py) for px, py in outline]
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.bool_)
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        crosses = (y1 > y) != (y2 > y)
        side = (x - x1) * (y2 - y1) - (x2 - x1) * (y - y1)
        inside ^= crosses & (side < 0 if y2 > y1 else side > 0)
    return inside
