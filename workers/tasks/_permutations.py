"""The permutations of tiles in the jigsaw task (Noroozi and Favaro 2016, as UnNAS uses them)."""

from functools import lru_cache
from itertools import permutations

import numpy as np
import numpy.typing as npt

Orders = npt.NDArray[np.int8]

# The first permutation of each 3x3 set; the only random choice in the published sets.
FIRST: dict[int, tuple[int, ...]] = {
    1000: (8, 1, 6, 3, 5, 0, 4, 2, 7),
    2000: (3, 4, 1, 7, 2, 6, 0, 8, 5),
}


@lru_cache(maxsize=4)
def orders(slots: int, count: int) -> Orders:
    """(count, slots): row y, entry q is the slot of the tile at grid position q in class y.

    Four slots: all 24 permutations, the identity first.  Nine slots: 1,000 or 2,000 permutations with large Hamming
    distances; computing them takes a second or two, so this is done only when batches are made.
    """
    every = np.array(list(permutations(range(slots))), dtype=np.int8)
    chosen = every if len(every) == count else every[_spread(every, FIRST[count], count)]
    chosen.setflags(write=False)
    return chosen


def _spread(every: Orders, first: tuple[int, ...], count: int) -> list[int]:
    """Rows chosen greedily: always the first one with the largest mean distance to the rows chosen before.

    Ties are frequent, and in the sets that UnNAS used rounding decides them.  Hence the distance of two permutations is
    computed as differing places * (1 / slots), distances are summed in the order of choice and divided by their number,
    all in float64: different arithmetic gives a different set.
    """
    slots = every.shape[1]
    differs = (every.T[:, None] != np.arange(slots)[:, None]).view(np.uint8)  # by place, and what is there
    distance = np.arange(slots + 1) * (1 / slots)
    total = np.zeros(len(every))
    chosen = [int(np.flatnonzero((every == np.array(first)).all(axis=1))[0])]
    while len(chosen) < count:
        differing = np.zeros(len(every), dtype=np.uint8)
        for place, value in enumerate(every[chosen[-1]]):
            differing += differs[place, value]
        total += distance[differing]
        total[chosen[-1]] = -np.inf  # never chosen twice
        chosen.append(int(np.argmax(total / len(chosen))))
    return chosen
