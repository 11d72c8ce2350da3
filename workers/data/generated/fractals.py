"""kind fractals: attractors of iterated function systems (Barnsley 1988; FractalDB, Kataoka et al. 2020).

The class is a system of affine maps and their colours.  Systems whose attractor is too thin or fills its square are
drawn again.  Within a class the maps are slightly changed; place, size, brightness and background vary.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workers.data.generated.integers import Draws, Words, keys, words
from workers.data.generated.source import Generated
from workers.data.generated.waves import ONE, TURN, cosine, sine
from workers.data.image_types import Images, Labels

MAPS = (2, 5)  # of a system, fewest and most
CHAINS, POINTS, SETTLING = 64, 48, 16  # points that move at a time, steps that are drawn, and steps before them
_GRID = 24  # cells along a side, in which the extent of an attractor is judged
_COVERED = (110, 400)  # of these cells, the fewest and the most
_TRIES = 100
_SPAN = 16  # bits: an attractor lies in a square of 2**16 units
Longs = NDArray[np.int64]


class System(NamedTuple):
    """The maps of some systems: (x, y) -> (a x + b y) / ONE + e, (c x + d y) / ONE + f; all arrays (N, most maps)."""

    a: Longs
    b: Longs
    c: Longs
    d: Longs
    e: Longs
    f: Longs
    maps: Longs  # (N,) how many of them there are


class Fractals(Generated):
    """The numbers that fractals are drawn from."""

    VERSION: ClassVar[int] = 1

    kind: Literal["fractals"] = "fractals"
    classes: int = Field(10, ge=2, le=1000, description="number of classes")

    @property
    def names(self) -> tuple[str, ...]:
        """Classes are numbers."""
        return tuple(f"fractal {k}" for k in range(self.classes))

    def paint(self, items: Words, labels: Labels) -> Images:
        """One image for each key and class."""
        systems, boxes, colours = _classes(self.seed, self.classes)
        draws, rows = Draws(items), np.arange(len(items))
        system = System(*(values[labels] for values in systems))
        a, b, c, d = (values + values * _noise(draws, values.shape) // 1024 for values in system[:4])
        system = system._replace(a=a, b=b, c=c, d=d)
        side = self.size
        share = draws.between(200, 250).astype(np.int64)  # of the image that the attractor is given, in 256ths
        left, top = ((256 - share) * draws.below(257) // 256 for _ in range(2))
        box = boxes[labels]
        density = np.zeros(len(items) * side * side)
        sums = np.zeros((3, len(density)))
        palette = colours[labels]
        shade = palette[rows, 0][:, None, :].repeat(CHAINS, 1)
        for x, y, chosen, settled in _points(system, items):
            shade = (shade + palette[rows[:, None], chosen]) >> 1
            if not settled:
                continue
            px = ((x - box[:, :1]) * share[:, None] // box[:, 2:3] + left[:, None]) * side >> 8
            py = ((y - box[:, 1:2]) * share[:, None] // box[:, 3:4] + top[:, None]) * side >> 8
            seen = (px >= 0) & (px < side) & (py >= 0) & (py < side)
            place = ((rows[:, None] * side + py) * side + px)[seen]
            density += np.bincount(place, minlength=len(density))
            for channel in range(3):
                sums[channel] += np.bincount(place, shade[..., channel][seen], minlength=len(density))
        # Sums of whole numbers below 2**53: floats hold them exactly.
        count = density.astype(np.int64).reshape(-1, side, side, 1)
        colour = sums.T.astype(np.int64).reshape(-1, side, side, 3) // np.maximum(count, 1)
        cover = count * 256 // (count + max(1, 1024 // (side * side)))
        ground = np.stack([draws.between(0, 70) for _ in range(3)], axis=-1)[:, None, None]
        grain = (draws.grid(side, side, 1) & np.uint64(15)).astype(np.int64) - 8
        bright = draws.between(200, 280)[:, None, None, None]
        return ((ground * (256 - cover) + colour * bright // 256 * cover) // 256 + grain).clip(0, 255).astype(np.uint8)


def _noise(draws: Draws, shape: tuple[int, ...]) -> Longs:
    """Integers from -48 to 47, (N, maps): a change of up to 5 % in 1024ths."""
    return (draws.grid(*shape[1:]) % np.uint64(96)).astype(np.int64) - 48


def _points(system: System, items: Words) -> Iterator[tuple[Longs, Longs, Longs, bool]]:
    """The points of all chains after each step: x, y and the map that was used, (N, CHAINS), and whether they count."""
    rows = np.arange(len(items))[:, None]
    x = np.zeros((len(items), CHAINS), np.int64)
    y = np.zeros_like(x)
    chains = words(items[:, None], np.arange(CHAINS, dtype=np.uint64)[None] + np.uint64(1 << 32))
    for step in range(SETTLING + POINTS):
        bits = words(chains, np.array([step], np.uint64)) >> np.uint64(40)
        chosen = (bits.astype(np.int64) * system.maps[:, None]) >> 24
        a, b, c, d, e, f = (values[rows, chosen] for values in system[:6])
        x, y = (a * x + b * y) // ONE + e, (c * x + d * y) // ONE + f
        yield x, y, chosen, step >= SETTLING


@lru_cache(maxsize=8)
def _classes(seed: int, classes: int) -> tuple[System, Longs, Longs]:
    """The systems of all classes, their boxes (K, 4) as left, top, width, height, and colours (K, maps, 3).

    A class depends on the seed and its number alone.
    """
    of_class = keys(seed, Fractals.CLASSES, np.arange(classes, dtype=np.int64))
    draws = Draws(of_class)
    colours = np.stack([draws.grid(MAPS[1]) % np.uint64(200) for _ in range(3)], axis=-1).astype(np.int64) + 56
    found: System | None = None
    boxes = np.zeros((classes, 4), np.int64)
    open_ones = np.arange(classes)
    for attempt in range(_TRIES):
        tried = words(of_class[open_ones], np.array([1000 + attempt], np.uint64))
        system = _system(Draws(tried))
        found = found or System(*(np.zeros((classes, *values.shape[1:]), np.int64) for values in system))
        box, good = _extent(system, tried)
        if attempt == _TRIES - 1:
            good[:] = True
        for values, new in zip(found, system, strict=True):
            values[open_ones[good]] = new[good]
        boxes[open_ones[good]] = box[good]
        open_ones = open_ones[~good]
        if not len(open_ones):
            break
    assert found is not None
    return found, boxes, colours


def _system(draws: Draws) -> System:
    """Random maps: two turns and two contractions each, and a shift."""
    most = MAPS[1]

    def between(low: int, high: int) -> Longs:
        return (draws.grid(most) % np.uint64(high - low + 1)).astype(np.int64) + low

    first, second = between(0, TURN - 1), between(0, TURN - 1)
    large, small = between(ONE * 9 // 20, ONE * 4 // 5), between(ONE * 3 // 20, ONE * 13 // 20)
    c1, s1, c2, s2 = (
        part(angle.astype(np.int32)).astype(np.int64) for angle in (first, second) for part in (cosine, sine)
    )
    p, q = large * c2 // ONE, large * s2 // ONE
    r, s = -small * s2 // ONE, small * c2 // ONE
    shifts = [between(-(1 << _SPAN - 1), 1 << _SPAN - 1) for _ in range(2)]
    count = (draws.word() % np.uint64(most - MAPS[0] + 1)).astype(np.int64) + MAPS[0]
    return System(
        (c1 * p - s1 * r) // ONE, (c1 * q - s1 * s) // ONE, (s1 * p + c1 * r) // ONE, (s1 * q + c1 * s) // ONE,
        shifts[0], shifts[1], count,
    )  # fmt: skip


def _extent(system: System, items: Words) -> tuple[Longs, NDArray[np.bool_]]:
    """The box of each attractor, (N, 4), and whether it is neither too thin nor too full."""
    steps = [(x, y) for x, y, _, settled in _points(system, items) if settled]
    x, y = (np.concatenate(values, axis=1) for values in zip(*steps, strict=True))
    low = np.stack([x.min(1), y.min(1)], axis=1)
    size = np.maximum(np.stack([x.max(1), y.max(1)], axis=1) - low + 1, 1)
    column, row = ((v - low[:, k : k + 1]) * _GRID // size[:, k : k + 1] for k, v in enumerate((x, y)))
    cells = (np.arange(len(items))[:, None] * _GRID + row) * _GRID + column
    covered = (np.bincount(cells.ravel(), minlength=len(items) * _GRID**2).reshape(len(items), -1) > 0).sum(1)
    return np.concatenate([low, size], axis=1), (covered >= _COVERED[0]) & (covered <= _COVERED[1])
