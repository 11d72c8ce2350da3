"""The permutations of the jigsaw task are exactly those of UnNAS."""

import hashlib
from itertools import permutations

import numpy as np
import pytest

from workers.tasks._permutations import orders

PUBLISHED = {
    1000: "c72787dbc222f6327a37a52b604a20531835f6a597a43800a1cd50682e2f53fa",
    2000: "35c7e4a2fefd3808458976d31e6f040bbef5a524474171a22bdb7ccd9c00bda8",
}


def test_a_2x2_grid_has_all_orders_the_untouched_first() -> None:
    assert orders(4, 24).tolist() == [list(p) for p in permutations(range(4))]


@pytest.mark.parametrize("count", sorted(PUBLISHED))
def test_the_sets_of_a_3x3_grid(count: int) -> None:
    made = orders(9, count)
    assert hashlib.sha256(made.astype("<i2").tobytes()).hexdigest() == PUBLISHED[count]
    assert len({tuple(row) for row in made.tolist()}) == count


def test_the_shared_table_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        orders(4, 24)[0, 0] = 1
    assert np.array_equal(orders(4, 24)[0], np.arange(4))
