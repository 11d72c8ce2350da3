"""The node's array cache: decoded once, by whichever process, and never wrong in silence."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from workers import datasets
from workers.datasets import _arrays


def write(folder: Path, rows: int = 12, seed: int = 0) -> Path:
    """A small cifar10: `rows` training images and half as many for testing."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for split, n in (("train", rows), ("test", rows // 2)):
        encoded = []
        for _ in range(n):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "png")
            encoded.append(file.getvalue())
        table = pa.table({"image": encoded, "label": pa.array(rng.integers(0, 10, n), pa.int64())})
        save(table, folder / f"{split}.parquet")
    return folder


def save(table: pa.Table, path: Path) -> None:
    """Plainly: the order of the rows does not change the size of the file."""
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "data" / "cifar10").parent


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def forget() -> None:
    """As a new process, which has verified nothing yet."""
    _arrays._verified.clear()


def spoil(root: Path) -> None:
    """Makes the pixels unreadable without changing what `stat` says: whoever decodes again fails."""
    for path in root.rglob("*.parquet"):
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_the_second_time_nothing_is_decoded(root: Path, cache: Path) -> None:
    first = datasets.prepare("cifar10", root, cache)
    images = first.train.images.copy()
    spoil(root)
    again = datasets.prepare("cifar10", root, cache)
    assert again.dataset_id == first.dataset_id == datasets.identify("cifar10", root, cache)
    np.testing.assert_array_equal(again.train.images, images)
    assert again.train.images.shape == (12, 32, 32, 3)
    assert again.test.labels.shape == (6,)


def test_the_data_s_folder_is_only_read(root: Path, cache: Path) -> None:
    before = files(root)
    for folder in (root / "cifar10", root):
        folder.chmod(0o555)
    datasets.prepare("cifar10", root, cache)
    assert files(root) == before


def test_identify_writes_nothing(root: Path, cache: Path) -> None:
    found = datasets.identify("cifar10", root, cache)
    assert not cache.exists()
    assert found == datasets.prepare("cifar10", root, cache).dataset_id


def test_the_folder_itself_and_its_parent_are_one_dataset(root: Path, cache: Path) -> None:
    assert datasets.identify("cifar10", root, cache) == datasets.identify("cifar10", root / "cifar10", cache)


def test_a_subset_is_another_dataset_and_a_copy_is_not(root: Path, cache: Path, tmp_path: Path) -> None:
    whole = datasets.identify("cifar10", root, cache)
    shutil.copytree(root, tmp_path / "copy")
    assert datasets.identify("cifar10", tmp_path / "copy", cache) == whole
    table = pq.read_table(root / "cifar10" / "test.parquet")
    pq.write_table(table.slice(0, 5), tmp_path / "copy" / "cifar10" / "test.parquet")
    assert datasets.identify("cifar10", tmp_path / "copy", cache) != whole
    pq.write_table(table.take(list(range(5, -1, -1))), tmp_path / "copy" / "cifar10" / "test.parquet")
    assert datasets.identify("cifar10", tmp_path / "copy", cache) != whole


def test_other_data_than_planned_is_refused(root: Path, cache: Path) -> None:
    actual = datasets.identify("cifar10", root, cache)
    planned = datasets.get("cifar10").published_id
    with pytest.raises(ValueError, match=f"is {actual}, but {planned} was planned"):
        datasets.prepare("cifar10", root, cache, expect=planned)


def test_files_that_changed_are_decoded_again(root: Path, cache: Path) -> None:
    before = datasets.prepare("cifar10", root, cache).dataset_id
    path = root / "cifar10" / "train.parquet"
    size, table = path.stat().st_size, pq.read_table(path)
    save(table.take(list(range(len(table) - 1, -1, -1))), path)
    assert path.stat().st_size == size  # only its time tells
    assert datasets.prepare("cifar10", root, cache).dataset_id != before
    assert datasets.identify("cifar10", root, cache) != before


def test_a_machine_without_the_data_uses_what_it_has_prepared(root: Path, cache: Path) -> None:
    planned = datasets.prepare("cifar10", root, cache).dataset_id
    shutil.rmtree(root)
    for nowhere in (None, root):
        assert datasets.prepare("cifar10", nowhere, cache, expect=planned).dataset_id == planned
    with pytest.raises(FileNotFoundError, match="cifar10"):
        datasets.prepare("cifar10", root, cache)


@pytest.mark.parametrize("harm", ["a flipped byte", "a cut", "an empty file", "a missing file"])
@pytest.mark.parametrize("victim", ["train-images.npy", "test-labels.npy"])
def test_damage_is_noticed_and_repaired(root: Path, cache: Path, harm: str, victim: str) -> None:
    good = datasets.prepare("cifar10", root, cache)
    images, labels = good.train.images.copy(), good.test.labels.copy()
    path = cache / "arrays" / good.dataset_id / victim
    raw = path.read_bytes()
    path.unlink()
    if harm != "a missing file":
        path.write_bytes(
            {"a flipped byte": raw[:-1] + bytes([raw[-1] ^ 1]), "a cut": raw[:-9], "an empty file": b""}[harm]
        )
    forget()
    again = datasets.prepare("cifar10", root, cache, expect=good.dataset_id)
    np.testing.assert_array_equal(again.train.images, images)
    np.testing.assert_array_equal(again.test.labels, labels)


def test_damage_without_the_data_is_an_error(root: Path, cache: Path) -> None:
    planned = datasets.prepare("cifar10", root, cache).dataset_id
    shutil.rmtree(root)
    (cache / "arrays" / planned / "train-images.npy").write_bytes(b"nonsense")
    forget()
    with pytest.raises(FileNotFoundError, match="cifar10"):
        datasets.prepare("cifar10", root, cache, expect=planned)


def test_processes_that_prepare_at_once_do_no_harm(root: Path, cache: Path, tmp_path: Path) -> None:
    # One pair shares the files, the third has a copy: it is not held up by the lock of the others.
    shutil.copytree(root, tmp_path / "copy")
    code = (
        "import sys; from workers.datasets import prepare;"
        "a = prepare('cifar10', sys.argv[1], sys.argv[2]); print(a.dataset_id, a.train.images.sum())"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, where, cache], stdout=subprocess.PIPE, text=True)
        for where in (root, root, tmp_path / "copy")
    ]
    said = {run.communicate(timeout=120)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    here = datasets.prepare("cifar10", root, cache)
    assert said == {f"{here.dataset_id} {here.train.images.sum()}\n"}
    assert [f for f in files(cache / "arrays") if not f.endswith(".npy")] == []


def test_a_cache_that_cannot_be_written_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/cache.*name a writable folder as cache_dir"):
        datasets.prepare("cifar10", root, tmp_path / "file" / "cache")


def test_the_cache_lies_where_the_desktop_standard_says(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    found = datasets.prepare("cifar10", root).dataset_id
    assert (tmp_path / "xdg" / "archsweep" / "arrays" / found).is_dir()
