"""The array cache of a node: images are decoded once among all processes, and damage is detected."""

import io
import os
import pwd
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
from workers.data import arrays


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
    arrays._verified.clear()


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


@pytest.mark.parametrize("place", ["/proc/nowhere", "file", "dangling", "loop", "file/deep/er"])
@pytest.mark.parametrize("planned", [False, True])
def test_a_home_that_cannot_hold_a_cache_is_told_with_the_advice(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, planned: bool
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("/proc/nowhere/at/all")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / place))
    expect = datasets.identify("cifar10", root) if planned else None
    with pytest.raises(OSError, match=r"cannot write the array cache .*\.cache/archsweep.*name a writable folder"):
        datasets.prepare("cifar10", root, expect=expect)


def test_data_that_cannot_be_read_is_not_blamed_on_the_cache(root: Path, cache: Path) -> None:
    (root / "cifar10" / "train.parquet").unlink()
    (root / "cifar10" / "train.parquet").symlink_to("/proc/self/mem")
    with pytest.raises((OSError, ValueError), match=r"train\.parquet") as told:
        datasets.prepare("cifar10", root, cache)
    assert "array cache" not in str(told.value)


@pytest.mark.parametrize("home", [None, "", "relative", "."])
def test_without_a_home_no_folder_is_made_in_the_working_directory(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", nobody)  # a container's user, whom no file lists
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")  # relative, so it counts for nothing
    monkeypatch.delenv("HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    for ask in (datasets.identify, datasets.prepare):
        with pytest.raises(ValueError, match="name a writable folder as cache_dir, or set XDG_CACHE_HOME or HOME"):
            ask("cifar10", root)
    assert sorted(tmp_path.iterdir()) == before
    assert datasets.prepare("cifar10", root, tmp_path / "given").train.images.shape == (12, 32, 32, 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert datasets.cache_folder() == tmp_path / "xdg" / "archsweep"


def test_a_user_without_home_variable_has_the_home_that_the_system_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    for home in (None, ""):
        monkeypatch.delenv("HOME", raising=False) if home is None else monkeypatch.setenv("HOME", home)
        assert datasets.cache_folder() == Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache", "archsweep")


@pytest.mark.parametrize("where", ["~no-such-user-here/data", "~no-such-user-here"])
def test_a_home_of_nobody_is_no_folder_of_that_name(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    for folders in ((where, None), (root, where)):
        for ask in (datasets.identify, datasets.prepare):
            with pytest.raises(ValueError, match="no such home folder; give the whole path"):
                ask("cifar10", *folders)
    assert sorted(tmp_path.iterdir()) == before


def test_half_of_the_files_is_not_the_published_set(tmp_path: Path, cache: Path) -> None:
    """Neither for plans nor for what was prepared before; where the other layout is whole, that is read."""
    for name, folder, files in (
        ("cifar10", "cifar-10-batches-py", ["data_batch_1"]),
        ("cifar10", "cifar-10-batches-py", []),
        ("cifar100", "cifar-100-python", ["train"]),
        ("svhn", ".", ["test_32x32.mat"]),
        ("stl10", "stl10_binary", ["train_X.bin"]),
        ("fashion_mnist", "FashionMNIST/raw", ["train-images-idx3-ubyte.gz"]),
        ("imagenet16_120", "ImageNet16", ["val_data"]),
    ):
        base = tmp_path / f"{name}{len(files)}"
        (base / name / folder).mkdir(parents=True)
        for file in files:
            (base / name / folder / file).write_bytes(b"x")
        for ask in (datasets.identify, datasets.prepare):
            with pytest.raises(
                FileNotFoundError, match=rf"{name}/.* missing from the original archive's files of {name}"
            ):
                ask(name, base, cache)
    write(tmp_path / "cifar100more" / "cifar10" / "cifar-10-batches-py" / "..")
    assert len(datasets.prepare("cifar10", tmp_path / "cifar100more", cache).train) == 12


@pytest.mark.parametrize("lost", ["test.parquet", "train.parquet", "train-00001-of-00002.parquet"])
def test_half_of_the_parquet_files_is_not_the_published_set(root: Path, cache: Path, lost: str) -> None:
    folder = root / "cifar10"
    if "-of-" in lost:
        (folder / "train.parquet").rename(folder / "train-00000-of-00002.parquet")
    else:
        (folder / lost).unlink()
    for ask in (datasets.identify, datasets.prepare):
        with pytest.raises(FileNotFoundError, match=r"holds no (train|test)\*|train shards \[1\] are missing"):
            ask("cifar10", root, cache)


def test_a_fetch_that_fails_names_address_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10, SVHN, FashionMNIST

    nowhere = "http://127.0.0.1:9/"
    monkeypatch.setattr(CIFAR10, "url", nowhere + CIFAR10.filename)
    monkeypatch.setattr(FashionMNIST, "mirrors", [nowhere])
    monkeypatch.setattr(
        SVHN, "split_list", {split: [nowhere + file, file, md5] for split, (_, file, md5) in SVHN.split_list.items()}
    )
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / CIFAR10.filename).write_bytes(b"<html>moved</html>")
    for name in ("cifar10", "svhn", "fashion_mnist"):
        fetch = datasets.get(name).download  # type: ignore[attr-defined]
        with pytest.raises(OSError, match=rf"{name} cannot be fetched from {nowhere}.*into {tmp_path / name}") as told:
            fetch(tmp_path)
        assert ("lies there, but its MD5" in str(told.value)) == (name == "cifar10")


def test_a_note_that_cannot_be_written_costs_time_and_nothing_else(tmp_path: Path, cache: Path) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / "own" / split / name).mkdir(parents=True)
            pixels = np.random.default_rng(len(split + name)).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "own" / split / name / "1.png")
    own, planned = datasets.describe("mine", datasets.Source(kind="folder", size=16), tmp_path / "own", cache)
    datasets.prepare(own, tmp_path / "own", cache)
    (note,) = (cache / "sources").glob("own-*.json")
    note.unlink()
    note.mkdir()
    assert datasets.prepare(own, tmp_path / "own", cache).dataset_id == planned


def test_a_lock_that_only_its_owner_may_write_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / ".name.lock").touch(mode=0o444)
    with arrays.lock(tmp_path, "name"):
        pass


def test_the_cache_lies_where_the_desktop_standard_says(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    found = datasets.prepare("cifar10", root).dataset_id
    assert (tmp_path / "xdg" / "archsweep" / "arrays" / found).is_dir()
