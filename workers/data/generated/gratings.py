"""kind gratings: a patch with two crossed waves; the class is their direction, frequency, strength and colours.

The phase, the place and size of the patch, contrast, brightness and a small jitter of direction and frequency vary
within a class.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from workers.data.generated.integers import Draws, Ints, Words
from workers.data.generated.source import Generated
from workers.data.generated.waves import ONE, TURN, cosine, sine
from workers.data.image_types import Images, Labels

_JITTER = TURN // 90  # of a direction, to each side: 4 degrees


class Gratings(Generated):
    """The numbers that gratings are drawn from."""

    VERSION: ClassVar[int] = 1
    NO_ANSWER: ClassVar[dict[str, str]] = {"rot": "an image that is turned is one of another class"}

    kind: Literal["gratings"] = "gratings"
    classes: int = Field(10, ge=2, le=1000, description="number of classes")

    @property
    def names(self) -> tuple[str, ...]:
        """Classes are numbers."""
        return tuple(f"grating {k}" for k in range(self.classes))

    def paint(self, items: Words, labels: Labels) -> Images:
        """One image for each key and class."""
        of_class, draws = Draws(self.class_keys(labels)), Draws(items)
        side = self.size
        y, x = np.mgrid[:side, :side].astype(np.int32)
        value = np.zeros((len(items), side, side, 3), np.int32)
        for wave in range(2):
            angle = of_class.below(TURN // 2) + draws.between(-_JITTER, _JITTER)
            # Cycles per image in 16ths; the classes are as far apart at high frequencies as at low ones.
            cycles = 24 * (16 + of_class.below(64)) // 16 * draws.between(94, 106) // 100
            fx, fy = (cycles * part(angle) for part in (cosine, sine))
            phase = draws.below(TURN)
            at = (_at(fx) * x + _at(fy) * y) // side * (TURN // 16) // ONE + _at(phase)
            colour = np.stack([of_class.between(-ONE, ONE) for _ in range(3)], axis=-1)
            if wave:  # the second one is weaker
                colour = colour * of_class.between(ONE // 4, ONE)[:, None] // ONE
            value += (cosine(at)[..., None] * colour[:, None, None] >> 12).astype(np.int32)
        window = _window(draws, side, x, y)
        contrast, level = draws.between(70, 120), draws.between(96, 160)
        ground = np.stack([of_class.between(-24, 24) for _ in range(3)], axis=-1) + level[:, None]
        found = ground[:, None, None] + (value * (window * _at(contrast) >> 8)[..., None] >> 12)
        noise = (draws.grid(side, side) & np.uint64(15)).astype(np.int32) - 8
        return (found + noise[..., None]).clip(0, 255).astype(np.uint8)


def _at(values: Ints) -> Ints:
    return values[:, None, None]


def _window(draws: Draws, side: int, x: Ints, y: Ints) -> Ints:
    """How strong the waves are at each pixel, 0 to 256: a soft round patch that covers half of the image or more."""
    left, top = (draws.between(side * 3 // 8, side * 5 // 8) for _ in range(2))
    radius = draws.between(side * 5 // 8, side)
    far = (x - _at(left)) ** 2 + (y - _at(top)) ** 2
    return (256 - far * 256 // _at(radius * radius)).clip(0, 256).astype(np.int32)
