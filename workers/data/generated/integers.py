"""Random integers as a function of a key and a counter: the same on every machine and with every library version.

The generator is the finaliser of SplitMix64 (Steele et al. 2014) applied to `key + (counter + 1) * STEP`, modulo 2**64.
"""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int32]

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


def words(keys: Words, counters: Words) -> Words:
    """A random 64-bit word for each key and counter, which are broadcast together."""
    # NumPy's arrays of integers wrap around without a warning, its scalars do not; hence at least one dimension.
    mixed = np.atleast_1d(keys) + (np.atleast_1d(counters) + np.uint64(1)) * STEP
    mixed ^= mixed >> SHIFTS[0]
    mixed *= FIRST
    mixed ^= mixed >> SHIFTS[1]
    mixed *= SECOND
    mixed ^= mixed >> SHIFTS[2]
    return mixed


class Draws:
    """Random integers for N items; each call uses the next counter of every item's key."""

    def __init__(self, keys: Words) -> None:
        self.keys = keys
        self._next = 0

    def word(self) -> Words:
        """A 64-bit word for each item, (N,)."""
        self._next += 1
        return words(self.keys, np.array([self._next], np.uint64))

    def below(self, n: int) -> Ints:
        """An integer from 0 to n - 1 for each item, (N,)."""
        scaled = ((self.word() >> _HALF) & _LOW) * np.uint64(n) >> _HALF
        return scaled.astype(np.int32)

    def between(self, low: int, high: int) -> Ints:
        """An integer from low to high, both included, for each item, (N,)."""
        return self.below(high - low + 1) + np.int32(low)

    def chance(self, mille: int) -> npt.NDArray[np.bool_]:
        """True with a probability of `mille` thousandths, for each item, (N,)."""
        return self.below(1000) < mille

    def grid(self, *shape: int) -> Words:
        """A word for each position of a grid of each item, (N, *shape)."""
        self._next += 1
        of_grid = words(self.keys, np.array([self._next], np.uint64))
        places = np.arange(int(np.prod(shape)), dtype=np.uint64)
        return words(of_grid[:, None], places[None]).reshape(len(self.keys), *shape)


def keys(seed: int, stream: int, items: npt.NDArray[np.int64]) -> Words:
    """A key for each item of a stream; streams of one seed have no key in common, except by chance."""
    of_seed = words(np.array([seed], np.uint64), np.array([stream], np.uint64))
    return words(of_seed, items.astype(np.uint64))
