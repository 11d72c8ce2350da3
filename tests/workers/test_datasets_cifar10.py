"""CIFAR-10 in all its layouts, and messages for invalid files."""

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from workers import datasets

RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
TEST = RNG.integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
LABELS = {"train": np.arange(20) % 10, "test": np.arange(7)}
PIXELS = {"train": TRAIN, "test": TEST}


def encoded(image: np.ndarray, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def rows(split: str) -> tuple[list[Any], list[int]]:
    return [encoded(image) for image in PIXELS[split]], LABELS[split].tolist()


def save(path: Path, images: list[Any], labels: list[Any], column: str = "image") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({column: images, "label": labels}), path)


def plain(folder: Path) -> None:
    for split in PIXELS:
        save(folder / f"{split}.parquet", *rows(split))


def webp(folder: Path) -> None:
    for split, images in PIXELS.items():
        save(folder / f"{split}.parquet", [encoded(i, "webp", lossless=True) for i in images], LABELS[split].tolist())


def hub(folder: Path) -> None:
    for split in PIXELS:
        images, labels = rows(split)
        save(
            folder / "plain_text" / f"{split}-00000-of-00001.parquet",
            [{"bytes": image, "path": None} for image in images],
            labels,
            "img",
        )


def sharded(folder: Path) -> None:
    images, labels = rows("train")
    for k in range(12):
        part = slice(2 * k, 2 * k + 2)
        path = folder / "data" / f"train-{k:05d}-of-00012.parquet"
        typed = pa.table({"image": pa.array(images[part], pa.binary()), "label": pa.array(labels[part], pa.int64())})
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(typed, path)
    save(folder / "data" / "test-00000-of-00001.parquet", *rows("test"))


@pytest.mark.parametrize("layout", [plain, webp, hub, sharded])
@pytest.mark.parametrize("place", [".", "cifar10"])
def test_every_layout_is_the_same_dataset(layout: Callable[[Path], None], place: str, tmp_path: Path) -> None:
    layout(tmp_path / place)
    for split in ("train", "test"):
        images, labels = datasets.get("cifar10").read(split, tmp_path)
        np.testing.assert_array_equal(images, PIXELS[split])
        np.testing.assert_array_equal(labels, LABELS[split])
    plain(tmp_path / "other")
    ids = {datasets.identify("cifar10", where, tmp_path / "c") for where in (tmp_path, tmp_path / "other")}
    assert len(ids) == 1
    assert ids != {datasets.get("cifar10").published_id}


def pickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The original's folder, with checksums as if these small files were the original."""
    from torchvision.datasets import CIFAR10

    batches = folder / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    sums = {}

    def dump(name: str, content: dict[str, Any]) -> None:
        raw = pickle.dumps(content)
        (batches / name).write_bytes(raw)
        sums[name] = hashlib.md5(raw).hexdigest()

    def rows_of(images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        return {"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1), "labels": labels.tolist()}

    for k in range(5):
        part = slice(4 * k, 4 * k + 4)
        dump(f"data_batch_{k + 1}", rows_of(TRAIN[part], LABELS["train"][part]))
    dump("test_batch", rows_of(TEST, LABELS["test"]))
    dump("batches.meta", {"label_names": list(datasets.get("cifar10").class_names)})
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{k}", sums[f"data_batch_{k}"]] for k in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    return batches


@pytest.mark.parametrize("root", [".", "cifar10", "cifar10/cifar-10-batches-py"])
def test_the_original_pickles_are_the_same_dataset(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled(tmp_path / "cifar10", monkeypatch)
    plain(tmp_path / "parquet")
    seen = datasets.identify("cifar10", tmp_path / root, tmp_path / "c")
    assert seen == datasets.identify("cifar10", tmp_path / "parquet", tmp_path / "c")


def test_a_changed_pickle_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = pickled(tmp_path, monkeypatch)
    (batches / "data_batch_3").write_bytes(b"cos\nabort\n(tR.")
    with pytest.raises(ValueError, match=r"data_batch_3 \(train\) is not the original: its MD5"):
        datasets.get("cifar10").read("train", tmp_path)
    (batches / "data_batch_3").unlink()
    with pytest.raises(FileNotFoundError, match="data_batch_3"):
        datasets.identify("cifar10", tmp_path, tmp_path / "c")


def test_a_broken_image_is_named_by_file_row_and_split(tmp_path: Path) -> None:
    plain(tmp_path)
    images, labels = rows("test")
    images[4] = images[4][:700]
    save(tmp_path / "test.parquet", images, labels)
    with pytest.raises(ValueError, match=r"test\.parquet, row 4 \(test\): image of 700 bytes cannot be decoded"):
        datasets.identify("cifar10", tmp_path, tmp_path / "c")


GREY = encoded(np.zeros((32, 32), np.uint8))
LARGE = encoded(np.zeros((48, 40, 3), np.uint8))


@pytest.mark.parametrize(
    ("image", "label", "said"),
    [
        (GREY, 0, r"row 2 \(train\): image is 32x32 L; expected 32x32 RGB"),
        (LARGE, 0, r"row 2 \(train\): image is 40x48 RGB; expected 32x32 RGB"),
        (b"", 0, r"row 2 \(train\): image of 0 bytes cannot be decoded"),
        (None, 0, r"row 2 \(train\): the image is NoneType"),
        (encoded(TRAIN[0]), 10, r"row 2 \(train\): label is 10; expected an integer in 0\.\.9"),
        (encoded(TRAIN[0]), -1, r"label is -1"),
        (encoded(TRAIN[0]), None, r"label is None"),
    ],
)
def test_wrong_rows_are_explained(image: bytes | None, label: int | None, said: str, tmp_path: Path) -> None:
    plain(tmp_path)
    images, labels = rows("train")
    images[2], labels[2] = image, label
    save(tmp_path / "train.parquet", images, labels)
    with pytest.raises(ValueError, match=said):
        datasets.get("cifar10").read("train", tmp_path)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    plain(tmp_path)
    save(tmp_path / "train.parquet", *rows("train"), column="picture")
    with pytest.raises(ValueError, match=r"train\.parquet \(train\) has the columns picture, label; expected image"):
        datasets.get("cifar10").read("train", tmp_path)


def test_a_parquet_file_cut_short_is_named(tmp_path: Path) -> None:
    plain(tmp_path)
    path = tmp_path / "train.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"train\.parquet \(train\) is not a readable Parquet file"):
        datasets.get("cifar10").read("train", tmp_path)


def test_a_missing_shard_is_not_a_smaller_dataset(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / "data" / "train-00011-of-00012.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"train shards \[11\] are missing"):
        datasets.prepare("cifar10", tmp_path, tmp_path / "c")


def test_where_nothing_lies_the_error_says_what_would(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no cifar10 at .*cifar-10-batches-py/ nor train\*\.parquet"):
        datasets.prepare("cifar10", tmp_path / "nowhere", tmp_path / "c")
    with pytest.raises(FileNotFoundError, match="needs data_root"):
        datasets.prepare("cifar10", None, tmp_path / "c")
    save(tmp_path / "train.parquet", *rows("train"))
    with pytest.raises(FileNotFoundError, match=r"holds no test\*\.parquet"):
        datasets.prepare("cifar10", tmp_path, tmp_path / "c")


def test_the_small_subset_is_not_the_published_set(data: Path, tmp_path: Path) -> None:
    if not (data / "cifar10_small").is_dir():
        pytest.skip("no cifar10_small")
    arrays = datasets.prepare("cifar10", data / "cifar10_small", tmp_path)
    assert np.bincount(arrays.train.labels).tolist() == [500] * 10
    assert arrays.dataset_id != datasets.get("cifar10").published_id
