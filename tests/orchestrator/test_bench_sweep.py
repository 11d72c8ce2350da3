"""`bench sweep`: all documented values are present; their sizes are not tested."""

import json
from pathlib import Path

import pytest

from .conftest import cli

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("clusters")]


def test_smoke_writes_the_documented_keys(tmp_path: Path) -> None:
    file = tmp_path / "sweep.json"
    ended = cli("bench", "sweep", "--smoke", "--json", file)
    assert ended.code == 0, ended.err
    assert "through Ray" in ended.out
    found = json.loads(file.read_text())
    assert found["bench"] == "sweep"
    assert found["trials"] == found["at_once"] == 1
    (reading,) = found["rounds"]
    assert reading["trained"] == 1
    assert found["ratio"] == reading["ratio"] == reading["bare_seconds"] / reading["seconds"]
    assert all(found[key] > 0 for key in ("seconds", "bare_seconds", "start_up_s", "besides_training_s"))
