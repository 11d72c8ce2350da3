"""Files that appear whole, on disks and object stores; rows that keep their schema."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


GROUP = 54321


@contextlib.contextmanager
def another_user(group: int = 65534) -> Iterator[None]:
    """As a user who owns nothing, and is in this group alone."""
    os.setegid(group)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def shared_folder() -> Iterator[str]:
    """A folder that every user may write, below one that every user may enter."""
    if os.geteuid():
        pytest.skip("only root can be two users")
    before = os.umask(0o022)
    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        folder = f"{above}/run"
        os.mkdir(folder)
        os.chmod(folder, 0o777)
        yield folder
    os.umask(before)


@pytest.mark.parametrize("mode", [None, 0o644, 0o600])
@pytest.mark.parametrize("whose", ["everybody's", "a group's"])
def test_two_users_share_a_folder(whose: str, mode: int | None, shared_folder: str) -> None:
    """With the lock that replacing left, and with locks as earlier versions and stricter users leave them."""
    if whose == "a group's":
        os.chown(shared_folder, -1, GROUP)
        os.chmod(shared_folder, 0o775)
    url = f"{shared_folder}/lease.json"
    assert files.create(url, b"theirs")
    assert files.replace(url, b"theirs again", expected=b"theirs")
    if mode is not None:
        os.chmod(f"{url}.lock", mode)
    files.publish(f"{shared_folder}/attempts/deep/a", b"theirs")
    with another_user(GROUP):
        assert not files.replace(url, b"ours", expected=b"theirs")
        assert files.replace(url, b"ours", expected=b"theirs again")
        assert files.read(url) == b"ours"
        files.publish(f"{shared_folder}/attempts/deep/b", b"ours")
        files.remove(f"{shared_folder}/attempts/deep/a")
    assert files.names(f"{shared_folder}/attempts/deep") == ["b"]
    if whose == "a group's":
        with another_user(), pytest.raises(PermissionError):
            files.publish(f"{shared_folder}/attempts/deep/c", b"a stranger's")


def test_a_folder_of_one_s_own_is_not_opened_to_others(shared_folder: str) -> None:
    os.chmod(shared_folder, 0o1777)  # as /tmp is
    files.publish(f"{shared_folder}/mine/rows/a", b"")
    os.chmod(shared_folder, 0o755)
    files.publish(f"{shared_folder}/yours/rows/a", b"")
    for name in ("mine", "mine/rows", "yours", "yours/rows"):
        assert os.stat(f"{shared_folder}/{name}").st_mode & 0o777 == 0o755


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_one_of_many_creates_a_file_where_there_are_no_hard_links(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(source: str, target: str) -> None:
        raise OSError(code, os.strerror(code), source, None, target)

    monkeypatch.setattr("os.link", none)
    for turn in range(10):
        url = str(tmp_path / str(turn) / "lease.json")
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n, url=url: files.create(url, str(n).encode()), range(8)))  # type: ignore[misc]
        assert made.count(True) == 1
        assert files.read(url) == str(made.index(True)).encode()
        assert files.names(str(tmp_path / str(turn))) == ["lease.json", "lease.json.lock"]
