"""Folders and files as they occur in the wild: the right images, or a refusal that names what is wrong."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.workers.photographs import WNIDS, encoded, folder, picture
from workers import agreement, datasets
from workers.datasets import Choice, Own, Source, Stored
from workers.datasets._listing import find

EXACT, ARRAY = Choice(), Choice("array", short_side=48)
BOTH = pytest.mark.parametrize("choice", [EXACT, ARRAY], ids=["exact", "array"])
SAME = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    return folder(tmp_path / "imagenet", each=3, tests=1)


def classes(root: Path, kind: str = "PNG", end: str = ".png", first: int = 0) -> Path:
    """train/ and val/ with the classes a and b, four images of 120 px each."""
    for split in ("train", "val"):
        for number, name in enumerate("ab"):
            (root / split / name).mkdir(parents=True)
            for i in range(4):
                seed = first + 10 * number + i + (100 if split == "val" else 0)
                (root / split / name / f"{i}{end}").write_bytes(encoded(picture(seed, (120, 120)), kind))
    return root


def shard(file: Path, images: list[bytes], labels: list[Any], **more: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image": [{"bytes": b, "path": "x.png"} for b in images], "label": labels})
    pq.write_table(table, file, **more)


def pngs(count: int, first: int = 0, kind: str = "PNG") -> list[bytes]:
    return [encoded(picture(first + i, (120, 120)), kind) for i in range(count)]


def described(root: Path, cache: Path, choice: Choice = EXACT, **keys: Any) -> tuple[Own, Stored]:
    """A described set of 96 px as a run would see it: planned, then prepared."""
    source = Source(**{"kind": "folder", "size": 96, **SAME, **keys})
    own, dataset_id = datasets.describe("mine", source, root, cache, choice)
    stored = datasets.prepare(own, root, cache, expect=dataset_id, choice=choice)
    assert isinstance(stored, Stored)
    return own, stored


def rewritten(file: Path, data: bytes) -> None:
    """Other content of the same length; the time moves on as on any disk, however coarse its clock."""
    assert len(data) == file.stat().st_size
    when = file.stat().st_mtime_ns + 10**9
    file.write_bytes(data)
    os.utime(file, ns=(when, when))


# --- what is trained on is what lies there ---


@BOTH
@pytest.mark.parametrize("labels", [([0, 0, 0, 1, 0, 1, 1, 1]), (["cat", "cat", "cat", "dog", "cat", *["dog"] * 3])])
def test_corrected_labels_of_shards_are_another_dataset(
    tmp_path: Path, cache: Path, choice: Choice, labels: list[Any]
) -> None:
    root, former = tmp_path / "data", sorted(labels, key=str)
    images = pngs(8)
    shard(root / "test.parquet", pngs(4, 100), [former[0], former[-1]] * 2)
    shard(root / "train.parquet", images, former)
    size = (root / "train.parquet").stat().st_size
    _, before = described(root, cache, choice, kind="parquet")
    shard(root / "train.parquet", images, labels)
    assert (root / "train.parquet").stat().st_size == size
    _, after = described(root, cache, choice, kind="parquet")
    assert after.dataset_id != before.dataset_id
    assert before.train.labels.tolist() == [0] * 4 + [1] * 4
    assert after.train.labels.tolist() == [0, 0, 0, 1, 0, 1, 1, 1]


def test_corrected_labels_of_the_shards_of_imagenet_are_another_dataset(tmp_path: Path, cache: Path) -> None:
    ids = set()
    for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
        shard(tmp_path / "imagenet" / "train-00000-of-00001.parquet", pngs(4), labels)
        shard(tmp_path / "imagenet" / "validation-00000-of-00001.parquet", pngs(2, 9), [0, 1])
        stored = datasets.prepare("imagenet", tmp_path, cache, choice=EXACT)
        assert stored.train.labels.tolist() == labels
        ids.add(stored.dataset_id)
    assert len(ids) == 2


@BOTH
def test_files_replaced_by_others_of_the_same_size_are_seen(imagenet: Path, cache: Path, choice: Choice) -> None:
    """The id covers names, sizes and labels; the pixels are those of today, also where the id is known already."""
    for file in imagenet.rglob("*.JPEG"):
        file.write_bytes(encoded(picture(int(file.stem[-1]), (50, 50)), "BMP"))
    planned = datasets.prepare("imagenet", imagenet, cache, choice=choice).dataset_id
    victim = imagenet / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    new = picture(77, (50, 50))
    rewritten(victim, encoded(new, "BMP"))
    told: list[str] = []
    again = datasets.prepare("imagenet", imagenet, cache, expect=planned, note=told.append)
    assert again.dataset_id == planned
    assert (
        abs(again.train.pixels(0).astype(int) - np.asarray(new.resize((48, 48)) if choice == ARRAY else new)).max() < 60
    )
    if choice == EXACT:
        assert np.array_equal(again.train.pixels(0), np.asarray(new))
    else:
        fresh = datasets.prepare("imagenet", imagenet, cache.with_name("fresh"), choice=choice)
        assert np.array_equal(again.train.pixels(0), fresh.train.pixels(0))
    assert any("looked at anew" in line for line in told)


@BOTH
def test_a_copy_elsewhere_is_not_trained_from_the_cache_of_another(tmp_path: Path, cache: Path, choice: Choice) -> None:
    """Two folders with the same names and sizes, all of fixed size: other pixels are another set."""
    roots = [classes(tmp_path / f"v{n}", "BMP", ".bmp", first=1000 * n) for n in (1, 2)]
    found = [described(root, cache, choice)[1] for root in roots]
    assert found[0].dataset_id != found[1].dataset_id
    for root, stored in zip(roots, found, strict=True):
        fresh = described(root, tmp_path / f"fresh-{root.name}", choice)[1]
        assert np.array_equal(stored.train.pixels(0), fresh.train.pixels(0))


@BOTH
def test_two_images_that_change_places_are_noticed(tmp_path: Path, cache: Path, choice: Choice) -> None:
    root = classes(tmp_path / "data", "TIFF", ".tif")
    _, before = described(root, cache, choice)
    first, second = before.train.pixels(0).copy(), before.train.pixels(4).copy()
    a, b = root / "train/a/0.tif", root / "train/b/0.tif"
    old, new = a.read_bytes(), b.read_bytes()
    rewritten(a, new)
    rewritten(b, old)
    _, after = described(root, cache, choice)
    assert after.dataset_id != before.dataset_id
    assert np.array_equal(after.train.pixels(0), second)
    assert np.array_equal(after.train.pixels(4), first)


@BOTH
def test_shards_of_the_same_size_with_other_images_are_another_dataset(
    tmp_path: Path, cache: Path, choice: Choice
) -> None:
    found = []
    for first in (0, 1000):
        plain = {"compression": "none", "use_dictionary": False}
        shard(tmp_path / "data" / "train.parquet", pngs(6, first, "BMP"), [0, 1] * 3, **plain)
        shard(tmp_path / "data" / "test.parquet", pngs(2, 50, "BMP"), [0, 1], **plain)
        size = (tmp_path / "data" / "train.parquet").stat().st_size
        _, stored = described(tmp_path / "data", cache, choice, kind="parquet")
        found.append((size, stored.dataset_id, stored.train.pixels(0).tobytes()))
    (size, one, pixels), (same, other, others) = found
    assert size == same
    assert one != other
    assert pixels != others


def test_a_cache_without_its_files_serves_and_half_of_the_files_do_not(imagenet: Path, cache: Path) -> None:
    planned = datasets.prepare("imagenet", imagenet, cache, choice=ARRAY).dataset_id
    shutil.rmtree(imagenet / "val")
    with pytest.raises(FileNotFoundError, match="no imagenet at"):
        datasets.prepare("imagenet", imagenet, cache, expect=planned)
    shutil.rmtree(imagenet)
    assert len(datasets.prepare("imagenet", imagenet, cache, expect=planned).train) == 9


@pytest.mark.parametrize("change", ["deleted", "replaced", "touched"])
def test_a_file_that_changes_while_it_is_trained_on_is_named(imagenet: Path, cache: Path, change: str) -> None:
    for file in imagenet.rglob("*.JPEG"):
        file.write_bytes(encoded(picture(int(file.stem[-1]), (50, 50)), "BMP"))
    stored = datasets.prepare("imagenet", imagenet, cache, choice=EXACT)
    victim = imagenet / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    if change == "deleted":
        victim.unlink()
    else:
        rewritten(victim, encoded(picture(77, (50, 50)), "BMP") if change == "replaced" else victim.read_bytes())
    with pytest.raises(ValueError, match=rf"{victim.name} below .* has changed since it was checked"):
        stored.train.pixels(0)
    assert stored.train.pixels(1).shape == (50, 50, 3)


# --- nothing vanishes without a word ---


def test_hidden_and_foreign_folders_are_no_classes(imagenet: Path, cache: Path) -> None:
    clean = datasets.prepare("imagenet", imagenet, cache, choice=EXACT)
    for name in (".ipynb_checkpoints", "@eaDir", "__MACOSX", "lost+found"):
        (imagenet / "train" / name).mkdir()
        (imagenet / "val" / name).mkdir()
        (imagenet / "train" / name / "x.jpg").write_bytes(encoded(picture(5, (50, 50))))
    (imagenet / "train" / WNIDS[0] / "._x.JPEG").write_bytes(b"resource fork")
    found = datasets.prepare("imagenet", imagenet, cache, choice=EXACT)
    assert found.dataset_id == clean.dataset_id
    assert found.train.labels.tolist() == clean.train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert datasets.look("imagenet", imagenet, cache).unused == "left out: 5 hidden images"


@pytest.mark.parametrize("classes_at_most", [3, 1000])
def test_a_foreign_folder_with_images_is_no_class_of_imagenet(imagenet: Path, classes_at_most: int) -> None:
    (imagenet / "train" / "backup").mkdir()
    (imagenet / "train" / "backup" / "x.JPEG").write_bytes(encoded(picture(5, (50, 50))))
    with pytest.raises(ValueError, match="beside 3 classes named like n01440764 the folders backup"):
        find(imagenet, "imagenet", classes_at_most)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_class_without_images_is_refused_by_name(imagenet: Path, split: str) -> None:
    shutil.rmtree(imagenet / split / WNIDS[1])
    (imagenet / split / WNIDS[1] / "inner").mkdir(parents=True)
    (imagenet / split / WNIDS[1] / "inner" / "x.JPEG").write_bytes(encoded(picture(5, (50, 50))))
    with pytest.raises(ValueError, match=rf"{WNIDS[1]} holds no image.*1 image in folders inside of classes"):
        datasets.look("imagenet", imagenet)


def test_what_is_not_read_is_counted_by_kind(tmp_path: Path, cache: Path) -> None:
    root = classes(tmp_path / "data")
    place = root / "train" / "a"
    for name in ("1.gif", "2.GIF", "3.heic", "plain", "notes.txt"):
        (place / name).write_bytes(b"?")
    (place / "inner" / "more").mkdir(parents=True)
    for file in (place / "inner" / "4.png", place / "inner" / "more" / "5.jpg"):
        file.write_bytes(pngs(1)[0])
    (root / "val" / "labels.csv").write_text("x")
    (root / "extra").mkdir()
    own, _ = described(root, cache)
    assert own.unused == (
        "left out: 5 files of train (.gif 2, .heic 1, .txt 1, none 1); 1 file of val (.csv 1); "
        "2 images in folders inside of classes; not looked at: extra/"
    )
    assert own.train_images == 8
    assert described(root, cache)[0].unused == own.unused  # also when all is known already


@pytest.mark.parametrize("end", [".jfif", ".jpe", ".JPE"])
def test_rarer_names_of_jpegs_are_read(tmp_path: Path, cache: Path, end: str) -> None:
    own, stored = described(classes(tmp_path / "data", "JPEG", end), cache)
    assert (len(stored.train), own.unused) == (8, "")


@BOTH
def test_names_of_any_bytes_are_read(tmp_path: Path, cache: Path, choice: Choice) -> None:
    root = classes(tmp_path / "data")
    odd = root / "train" / "a" / os.fsdecode(b"\xff\xfe.png")
    odd.write_bytes(encoded(picture(900, (120, 120)), "PNG"))
    _, stored = described(root, cache, choice)
    assert len(stored.train) == 9
    image = np.asarray(picture(900, (120, 120)))
    assert choice == ARRAY or any(np.array_equal(stored.train.pixels(n), image) for n in range(9))
    odd.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"1 images cannot be decoded"):
        described(root, cache, choice)


def flat_images(root: Path) -> None:
    (root / "train" / "stray.png").write_bytes(pngs(1)[0])


def half_sorted(root: Path) -> None:
    for file in (root / "val" / "b").iterdir():
        file.rename(root / "val" / f"b_{file.name}")
    (root / "val" / "b").rmdir()


def dead_image(root: Path) -> None:
    (root / "train" / "a" / "9.png").symlink_to("/nowhere/9.png")


def dead_class(root: Path) -> None:
    (root / "train" / "c").symlink_to("/nowhere/c")


def dead_split(root: Path) -> None:
    classes(root / "more")
    (root / "more" / "val").rename(root / "test")
    shutil.rmtree(root / "val")
    (root / "val").symlink_to("/nowhere/val")


def circle(root: Path) -> None:
    (root / "train" / "a" / "9.png").symlink_to("9.png")


def same_looks(root: Path) -> None:
    shutil.copytree(root / "train" / "a", root / "train" / "a ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (flat_images, "beside them 1 image without a class.*stray.png"),
        (half_sorted, "beside them 4 images without a class"),
        (dead_image, "9.png is a link to /nowhere/9.png"),
        (dead_class, "c is a link to /nowhere/c"),
        (dead_split, "val is a link to /nowhere/val"),
        (circle, "9.png"),
        (same_looks, "'a' and 'a ' look the same"),
        (lambda r: (r / "val" / "b").rename(r / "val" / "B"), "test classes that train lacks: B .*train has 'b'"),
        (lambda r: (r / "val").rename(r / "Val"), "there is Val/"),
        (lambda r: (r / "train").rename(r / "Train"), "there is Train/"),
    ],
)
def test_what_looks_like_an_accident_is_refused(tmp_path: Path, change: Callable[[Path], object], says: str) -> None:
    root = classes(tmp_path / "data")
    change(root)
    with pytest.raises((ValueError, OSError), match=f"(?s){says}"):
        Source(kind="folder", size=96).listing("mine", root)


@pytest.mark.parametrize("split", ["train", "val"])
def test_dead_links_and_flat_images_are_refused_in_imagenet_too(imagenet: Path, split: str) -> None:
    dead = imagenet / split / WNIDS[0] / "dead.JPEG"
    dead.symlink_to("/nowhere/dead.JPEG")
    with pytest.raises(ValueError, match=r"dead.JPEG is a link to /nowhere/dead.JPEG"):
        datasets.look("imagenet", imagenet)
    dead.unlink()
    (imagenet / split / "flat.JPEG").write_bytes(encoded(picture(5, (50, 50))))
    with pytest.raises(ValueError, match=r"1 image without a class \(flat.JPEG\)"):
        datasets.look("imagenet", imagenet)


# --- Parquet files and the splits they belong to ---


def named(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        shard(root / f"{name}.parquet", pngs(2, 10 * number), [0, 1])


MARK = "-0123456789abcdef"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["train-00000-of-00003" + MARK, "train-00001-of-00003" + MARK], r"train shards \[2\] are missing"),
        (["train-00000-of-00003", "train-00002-of-00003"], r"train shards \[1\] are missing"),
        (["train-00000-of-00002", "train-00001-of-00002", *(f"train-0000{i}-of-00003" for i in range(3))], "more than"),
        (["train-00000-of-00001", "train-00000-of-00001" + MARK], "shard 0 is there more than once"),
        (["train", "train-00000-of-00001"], "more than once"),
        (["train-0", "train-2"], r"shards \[1\] are missing"),
        (["train_small", "training-00000-of-00001"], "no files of a split train"),
    ],
)
def test_shards_that_are_missing_or_doubled_are_refused(tmp_path: Path, names: list[str], says: str) -> None:
    named(tmp_path / "data", *names, "test")
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        Source(kind="parquet", size=96).listing("mine", tmp_path / "data")


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        (["train-00000-of-00002" + MARK, "train-00001-of-00002-fedcba9876543210", "validation-00000-of-00001"], 4, 2),
        (["train-0", "train-1", "valid"], 4, 2),
        (["train-00001-of-00002", "train-00002-of-00002", "val"], 4, 2),
        (["train", "train_small-00000-of-00001", "test", "test_hard-00000-of-00001", "._train"], 2, 2),
    ],
)
def test_splits_are_the_files_that_are_named_so(tmp_path: Path, names: list[str], train: int, test: int) -> None:
    named(tmp_path / "data", *names)
    listing, _ = Source(kind="parquet", size=96).listing("mine", tmp_path / "data")
    assert (len(listing.train), len(listing.test)) == (train, test)
    strangers = "test_hard-00000-of-00001.parquet, train_small-00000-of-00001.parquet"
    assert listing.left == (f"left out: not looked at: {strangers}" if "train_small-00000-of-00001" in names else "")


def test_a_test_split_may_be_named_by_how_its_files_begin(tmp_path: Path) -> None:
    named(tmp_path / "data", "train", "test", "test_hard-00000-of-00001", "exam_of_2019")
    for test, file in (("test", "test"), ("test_hard", "test_hard-00000-of-00001"), ("exam", "exam_of_2019")):
        listing, _ = Source(kind="parquet", size=96, test=test).listing("mine", tmp_path / "data")
        assert {e.file for e in listing.test} == {f"{file}.parquet"}


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_the_training_split_is_no_test_split(tmp_path: Path, kind: Any) -> None:
    classes(tmp_path / "data")
    named(tmp_path / "data", "train", "test")
    for test in ("train", *(["tr"] if kind == "parquet" else [])):
        with pytest.raises(ValueError, match="nothing would be tested"):
            Source(kind=kind, size=96, test=test).listing("mine", tmp_path / "data")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    named(tmp_path / "data", "train", "test")
    table = pq.read_table(tmp_path / "data" / "train.parquet")
    for name in ("label", "image"):
        pq.write_table(table.append_column(name, table[name]), tmp_path / "data" / "train.parquet")
        with pytest.raises(ValueError, match=f"has 2 columns {name}"):
            Source(kind="parquet", size=96).listing("mine", tmp_path / "data")
    more = table.append_column("x", table["label"]).append_column("x", table["label"])
    pq.write_table(more, tmp_path / "data" / "train.parquet")
    assert len(Source(kind="parquet", size=96).listing("mine", tmp_path / "data")[0].train) == 2


@pytest.mark.parametrize("image", ["a.png", {"path": "a.png"}, {"bytes": None, "path": "a.png"}])
@pytest.mark.parametrize("size", [32, 96])
def test_paths_instead_of_images_are_told_in_one_line(tmp_path: Path, cache: Path, image: Any, size: int) -> None:
    named(tmp_path / "data", "test")
    if isinstance(image, str):
        kind = pa.string()
    else:
        kind = pa.struct([(key, pa.string() if key == "path" else pa.binary()) for key in image])
    table = pa.table({"image": pa.array([image] * 2, kind), "label": [0, 1]})
    pq.write_table(table, tmp_path / "data" / "train.parquet")
    with pytest.raises(ValueError, match="paths of images, not the images") as told:
        described(tmp_path / "data", cache, kind="parquet", size=size)
    assert "\n" not in str(told.value)


def test_rows_of_a_large_row_group_are_read_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One group of 1,500 rows, three chunks: with the first images tried and all made, hardly more rows are read."""
    small = [encoded(picture(i, (20, 20)), "BMP") for i in range(1500)]
    shard(tmp_path / "data" / "train.parquet", small, [i % 2 for i in range(1500)])
    shard(tmp_path / "data" / "test.parquet", small[:2], [0, 1])
    read, iterate = [0], pq.ParquetFile.iter_batches

    def counted(self: Any, *words: Any, **keys: Any) -> Any:
        for batch in iterate(self, *words, **keys):
            read[0] += len(batch)
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    source = Source(kind="parquet", size=96, **SAME)
    own, dataset_id = datasets.describe("mine", source, tmp_path / "data", cache)
    read[0] = 0
    stored = datasets.prepare(own, tmp_path / "data", cache, expect=dataset_id)
    assert len(stored.train) == 1500
    assert read[0] <= 1600
    for number in (0, 511, 512, 1499):
        assert stored.train.pixels(number).tobytes() == picture(number, (20, 20)).tobytes()


# --- what cannot be read, and what is left out ---


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_could_not_be_read_is_tried_again_by_permission(tmp_path: Path, cache: Path) -> None:
    root = classes(tmp_path / "data")
    (root / "train/a/0.png").chmod(0)
    with pytest.raises(PermissionError, match=r"train/a/0\.png"):
        described(root, cache, Choice(skip_broken=True))
    (root / "train/a/0.png").chmod(0o644)
    assert len(described(root, cache)[1].train) == 8


@pytest.mark.parametrize("size", [32, 96])
def test_a_disk_that_fails_for_a_moment_breaks_no_image(
    tmp_path: Path, cache: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on any machine and for any user: the first read of one file is answered with ESTALE."""
    import errno

    root, whole, failed = classes(tmp_path / "data"), Path.read_bytes, []

    def read_bytes(self: Path) -> bytes:
        if self.name == "2.png" and not failed:
            failed.append(self)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return whole(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    keys = {"mean": None, "std": None, "size": size}  # measured, so that images are read when it is described
    with pytest.raises(OSError, match=r"Stale.*2\.png"):
        described(root, cache, **keys)
    own, _ = datasets.describe("mine", Source(kind="folder", size=size), root, cache)
    stored = datasets.prepare(own, root, cache)
    assert len(stored.train) == 8
    assert own == datasets.describe("mine", Source(kind="folder", size=size), root, tmp_path / "other")[0]


def test_machines_that_leave_out_other_images_do_not_train_in_one_run(imagenet: Path, tmp_path: Path) -> None:
    """A copy of the same size is broken on one of them."""
    shutil.copytree(imagenet, tmp_path / "copy" / "imagenet")
    victim = tmp_path / "copy" / "imagenet" / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    rewritten(victim, bytes(victim.stat().st_size))
    choice, run = Choice(skip_broken=True), str(tmp_path / "run")
    here = datasets.prepare("imagenet", imagenet, tmp_path / "a", choice=choice)
    there = datasets.prepare("imagenet", tmp_path / "copy", tmp_path / "b", choice=choice)
    assert here.dataset_id == there.dataset_id
    agreement.agree(run, here)
    agreement.agree(run, here)
    with pytest.raises(ValueError, match=r"leaves out 1 image on this machine .*but 0 images where the run began"):
        agreement.agree(run, there)
    agreement.agree(str(tmp_path / "other"), there)


# --- caches that others made ---


def test_a_cache_that_may_only_be_read_serves(tmp_path: Path, cache: Path) -> None:
    root = classes(tmp_path / "data")
    ids = [described(root, cache, size=size)[1].dataset_id for size in (96,)]
    small, small_id = datasets.describe("mine", Source(kind="folder", size=32), root, cache)
    datasets.prepare(small, root, cache)
    folders = [cache, *(p for p in cache.rglob("*") if p.is_dir())]
    for place in folders:
        place.chmod(0o555)
    try:
        assert datasets.prepare(small, root, cache).dataset_id == small_id
        own, dataset_id = datasets.describe("mine", Source(kind="folder", size=96, **SAME), root, cache)
        assert datasets.prepare(own, root, cache, check=True).dataset_id == dataset_id == ids[0]
    finally:
        for place in folders:
            place.chmod(0o755)


def test_the_lock_of_another_user_is_no_obstacle(tmp_path: Path, cache: Path) -> None:
    described(classes(tmp_path / "one"), cache)
    for file in cache.rglob("*.lock"):
        file.chmod(0o444)
    described(classes(tmp_path / "two", first=500), cache)
