"""Files that appear whole, on disks and object stores; rows that keep their schema."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from workers import files
from workers.row import SCHEMA, parquet_bytes, table


@pytest.fixture(params=["disk", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "new" / "folder") if request.param == "disk" else f"memory://{tmp_path.name}/new"


def test_published_files_are_read_back_and_replaced(folder: str) -> None:
    url = f"{folder}/a.bin"
    assert files.read(url) is None
    files.publish(url, b"one")
    files.publish(url, b"two")
    assert files.read(url) == b"two"
    files.remove(url)
    files.remove(url)
    assert files.read(url) is None


def test_a_failed_publish_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(tmp_path / "a.bin")
    files.publish(url, b"old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.publish(url, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert files.read(url) == b"old"


def test_a_row_keeps_types_and_version(tmp_path: Path) -> None:
    path = tmp_path / "row.parquet"
    path.write_bytes(parquet_bytes([{"trial_id": "a", "curve_test_score": [0.5, 0.25], "score_best": 0.5}]))
    assert pq.read_schema(path).metadata[b"schema_version"] == b"1"
    assert pq.read_schema(path).names == SCHEMA.names
    frame = pd.read_parquet(path)
    assert list(frame["curve_test_score"][0]) == [0.5, 0.25]
    assert frame["error_text"].isna().all()


def test_a_column_the_schema_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="accuracy"):
        table([{"trial_id": "a", "accuracy": 0.5}])
