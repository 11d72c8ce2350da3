"""kind leaves: the dead leaves model (Lee, Mumford and Huang 2001): shapes of many sizes that cover each other.

Natural images share its statistics: objects of all sizes, and occlusion.  The class is how sizes are distributed, the
shape and direction of the leaves, and their colours.  Light comes from above: each leaf is brighter at its top.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workers.data.generated.integers import Draws, Ints, Words
from workers.data.generated.source import Generated
from workers.data.generated.waves import ONE, TURN, cosine, sine
from workers.data.image_types import Images, Labels

LEAVES = 64  # per image, the last one on top
COLOURS = 4  # of a class
UNIT = 16  # units per pixel of an image of 32 px
_SIDE = 32 * UNIT
_SHAPES = 4
Inside = NDArray[np.bool_]


class Leaves(Generated):
    """The numbers that leaves are drawn from."""

    VERSION: ClassVar[int] = 1

    kind: Literal["leaves"] = "leaves"
    classes: int = Field(10, ge=2, le=1000, description="number of classes")

    @property
    def names(self) -> tuple[str, ...]:
        """Classes are numbers."""
        return tuple(f"leaves {k}" for k in range(self.classes))

    def paint(self, items: Words, labels: Labels) -> Images:
        """One image for each key and class."""
        of_class, draws = Draws(self.class_keys(labels)), Draws(items)
        steep = of_class.below(2) == 1
        least = of_class.between(UNIT, 3 * UNIT)
        most = least + of_class.between(3 * UNIT, 12 * UNIT)
        shape, long = of_class.below(_SHAPES), of_class.between(256, 640)  # the longer axis by the shorter, times 256
        angle, spread = of_class.below(TURN // 2), of_class.between(8, TURN // 6)
        palette = np.stack([of_class.between(24, 232) for _ in range(3 * COLOURS)], axis=-1)
        palette = palette.reshape(-1, COLOURS, 3)
        tint = np.stack([draws.between(-20, 20) for _ in range(3)], axis=-1)
        step = _SIDE // self.size if _SIDE % self.size == 0 else None
        at = np.arange(self.size, dtype=np.int32)
        at = at * step + step // 2 if step else (2 * at + 1) * (_SIDE // 2) // self.size
        y, x = at[None, :, None], at[None, None, :]
        rows = np.arange(len(items))
        members = [np.flatnonzero(shape == number) for number in range(_SHAPES)]
        covered = np.zeros((len(items), self.size, self.size), np.int16)  # the number of the leaf on top; 0: the ground
        colours, tops, radii = [palette[:, 0] + tint], [np.zeros_like(angle)], [np.full_like(angle, 1 << 20)]
        for number in range(1, LEAVES + 1):
            radius = _radius(draws.below(4096), least, most, steep)
            turned = angle + draws.below(2 * TURN) % (2 * spread) - spread
            left, top = (draws.between(-UNIT, _SIDE + UNIT) for _ in range(2))
            colours.append(palette[rows, draws.below(COLOURS)] + tint + draws.between(-28, 28)[:, None])
            tops.append(top)
            radii.append(radius)
            dx, dy, c, s = x - _at(left), y - _at(top), _at(cosine(turned)), _at(sine(turned))
            along, across = (dx * c + dy * s) // (_at(long) * (ONE // 256)), (dy * c - dx * s) // ONE
            for inside, own in zip(_INSIDE, members, strict=True):
                if len(own):
                    covered[own] = np.where(inside(along[own], across[own], _at(radius[own])), number, covered[own])
        which = covered.reshape(len(items), -1)
        colour = np.stack(colours, axis=1)[rows[:, None], which]
        high, size = (np.stack(values, axis=1)[rows[:, None], which].reshape(covered.shape) for values in (tops, radii))
        light = ((high - y) * 40 // size).clip(-48, 48)
        grain = (draws.grid(self.size, self.size) & np.uint64(15)).astype(np.int32) - 8
        return (colour.reshape(*covered.shape, 3) + (light + grain)[..., None]).clip(0, 255).astype(np.uint8)


def _at(values: Ints) -> Ints:
    return values[:, None, None]


def _radius(uniform: Ints, least: Ints, most: Ints, steep: Inside) -> Ints:
    """Radii with a density of r**-2, or of r**-3 where it is steep, between two limits; `uniform` is below 4096."""
    usual = least * most * 4096 // (least * 4096 + uniform * (most - least))
    low, high = least.astype(np.int64) ** 2, most.astype(np.int64) ** 2
    squared = low * high * 4096 // (low * 4096 + uniform * (high - low))
    return np.where(steep, _root(squared), usual).astype(np.int32)


def _root(squares: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest integers whose squares are not larger; exact, as squares are below 2**52."""
    found = np.sqrt(squares.astype(np.float64)).astype(np.int64)
    return found - (found * found > squares)


def _disc(along: Ints, across: Ints, radius: Ints) -> Inside:
    return along * along + across * across < radius * radius


def _square(along: Ints, across: Ints, radius: Ints) -> Inside:
    return np.maximum(abs(along), abs(across)) * 8 < radius * 7


def _diamond(along: Ints, across: Ints, radius: Ints) -> Inside:
    return abs(along) + abs(across) < radius * 5 // 4


def _ring(along: Ints, across: Ints, radius: Ints) -> Inside:
    far = along * along + across * across
    return (far < radius * radius) & (far * 16 > radius * radius * 5)


_INSIDE = (_disc, _square, _diamond, _ring)  # by the number of the shape: which pixels a leaf covers
