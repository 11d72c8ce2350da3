"""Shared fixtures."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, or a skip that says how to name one."""
    folder = Path(os.environ.get("ARCHSWEEP_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set ARCHSWEEP_TEST_DATA to a folder that holds it")
    return folder

