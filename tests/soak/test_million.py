"""A million rows are read and correlated within the memory of a laptop."""

from pathlib import Path

import numpy as np
import pytest

from .million import measure, write


@pytest.mark.soak
def test_a_million_rows_take_less_than_4_gb(tmp_path: Path) -> None:
    rows = write(tmp_path / "run", 55_555, np.random.default_rng(0))
    found = measure(tmp_path / "run", 55_555)
    print(found)
    assert found["rows"] == rows == 999_990
    assert found["pairs"] == 15
    assert found["interval"] == "bca, grouped jackknife"
    assert found["peak_gib"] < 4e9 / 2**30
