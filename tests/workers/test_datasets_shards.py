"""Parquet files as they occur in the wild: which split they belong to, what names them, how they are read."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.workers.described import BOTH, EXACT, SAME, classes, described, pngs, shard
from tests.workers.photographs import encoded, picture
from workers import datasets
from workers.datasets import Form, Source


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@BOTH
@pytest.mark.parametrize("labels", [([0, 0, 0, 1, 0, 1, 1, 1]), (["cat", "cat", "cat", "dog", "cat", *["dog"] * 3])])
def test_corrected_labels_of_shards_are_another_dataset(
    tmp_path: Path, cache: Path, form: Form, labels: list[Any]
) -> None:
    root, former = tmp_path / "data", sorted(labels, key=str)
    images = pngs(8)
    shard(root / "test.parquet", pngs(4, 100), [former[0], former[-1]] * 2)
    shard(root / "train.parquet", images, former)
    size = (root / "train.parquet").stat().st_size
    _, before = described(root, cache, form, kind="parquet")
    shard(root / "train.parquet", images, labels)
    assert (root / "train.parquet").stat().st_size == size
    _, after = described(root, cache, form, kind="parquet")
    assert after.dataset_id != before.dataset_id
    assert before.train.labels.tolist() == [0] * 4 + [1] * 4
    assert after.train.labels.tolist() == [0, 0, 0, 1, 0, 1, 1, 1]


def test_corrected_labels_of_the_shards_of_imagenet_are_another_dataset(tmp_path: Path, cache: Path) -> None:
    ids = set()
    for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
        shard(tmp_path / "imagenet" / "train-00000-of-00001.parquet", pngs(4), labels)
        shard(tmp_path / "imagenet" / "validation-00000-of-00001.parquet", pngs(2, 9), [0, 1])
        stored = datasets.prepare("imagenet", tmp_path, cache, form=EXACT)
        assert stored.train.labels.tolist() == labels
        ids.add(stored.dataset_id)
    assert len(ids) == 2


@BOTH
def test_shards_of_the_same_size_with_other_images_are_another_dataset(tmp_path: Path, cache: Path, form: Form) -> None:
    found = []
    for first in (0, 1000):
        plain = {"compression": "none", "use_dictionary": False}
        shard(tmp_path / "data" / "train.parquet", pngs(6, first, "BMP"), [0, 1] * 3, **plain)
        shard(tmp_path / "data" / "test.parquet", pngs(2, 50, "BMP"), [0, 1], **plain)
        size = (tmp_path / "data" / "train.parquet").stat().st_size
        _, stored = described(tmp_path / "data", cache, form, kind="parquet")
        found.append((size, stored.dataset_id, stored.train.pixels(0).tobytes()))
    (size, one, pixels), (same, other, others) = found
    assert size == same
    assert one != other
    assert pixels != others


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
        (["train-00000-of-00001", "train-00000-of-00001" + MARK], "shard 0 exists more than once"),
        (["train", "train-00000-of-00001"], "more than once"),
        (["train-0", "train-2"], r"shards \[1\] are missing"),
        (["train_small", "training-00000-of-00001"], "not valid names for split train"),
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
    assert listing.unused == (f"left out: not looked at: {strangers}" if "train_small-00000-of-00001" in names else "")


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


@pytest.mark.parametrize("empty", ["train", "validation"])
def test_a_split_of_imagenet_without_rows_is_refused(tmp_path: Path, cache: Path, empty: str) -> None:
    for number, split in enumerate(("train", "validation")):
        images = [] if split == empty else pngs(4, number)
        shard(tmp_path / "imagenet" / f"{split}.parquet", images, [0, 1, 0, 1][: len(images)])
    with pytest.raises(FileNotFoundError, match="holds no image: its Parquet files have no rows"):
        datasets.prepare("imagenet", tmp_path, cache)
