"""Sines and cosines in integers: the same on every machine."""

import math

import numpy as np

from workers.data.generated.integers import Ints

TURN = 1024  # steps of a whole turn
ONE = 4096  # the scale of values
# Rounding hides the last bits of a machine's cosine: no value is near the middle of two integers (a test).
_COSINES = np.array([round(ONE * math.cos(2 * math.pi * k / TURN)) for k in range(TURN)], np.int32)


def cosine(angle: Ints) -> Ints:
    """ONE times the cosine of angles in steps of a TURN."""
    found: Ints = _COSINES[angle & (TURN - 1)]
    return found


def sine(angle: Ints) -> Ints:
    """ONE times the sine of angles in steps of a TURN."""
    return cosine(angle - TURN // 4)
