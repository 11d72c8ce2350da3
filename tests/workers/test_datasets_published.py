"""CIFAR-100, SVHN, STL-10, Fashion-MNIST, ImageNet16-120 in the layouts they are published in, made here and small.

No copy of the real files is at hand: what is tried is that files of their form give the pixels and labels that were put
into them, and that other files are refused.
"""

import hashlib
import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torchvision
from PIL import Image
from scipy.io import savemat

from workers import datasets

SPLITS = ("train", "test")
N = {"train": 12, "test": 5}
Content = dict[str, tuple[np.ndarray, np.ndarray]]


def content(name: str) -> Content:
    """Images and labels of both splits as they should be read."""
    d, rng = datasets.get(name), np.random.default_rng(0)
    found = {}
    for split in SPLITS:
        images = rng.integers(0, 256, (N[split], d.size, d.size, 3), dtype=np.uint8)
        images = images[..., :1].repeat(3, axis=3) if getattr(d, "grey", False) else images
        found[split] = (images, rng.integers(0, d.classes, N[split]))
    return found


def cifar100(root: Path, made: Content) -> list[Path]:
    folder = root / "cifar100" / "cifar-100-python"
    folder.mkdir(parents=True)
    for split, (images, labels) in made.items():
        flat = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        entry = {"data": flat, "fine_labels": labels.tolist(), "coarse_labels": [0] * len(labels)}
        (folder / split).write_bytes(pickle.dumps(entry, protocol=2))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["x"] * 100}, protocol=2))
    return [folder / name for name in ("train", "test", "meta")]


def svhn(root: Path, made: Content) -> list[Path]:
    (root / "svhn").mkdir()
    for split, (images, labels) in made.items():
        ten = np.where(labels == 0, 10, labels)[:, None].astype(np.uint8)
        savemat(root / "svhn" / f"{split}_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": ten})
    return [root / "svhn" / f"{split}_32x32.mat" for split in SPLITS]


def stl10(root: Path, made: Content) -> list[Path]:
    folder = root / "stl10" / "stl10_binary"
    folder.mkdir(parents=True)
    for split, (images, labels) in made.items():
        images.transpose(0, 3, 2, 1).tofile(folder / f"{split}_X.bin")
        (labels + 1).astype(np.uint8).tofile(folder / f"{split}_y.bin")
    return [folder / f"{split}_{part}.bin" for split in SPLITS for part in "Xy"]


def fashion_mnist(root: Path, made: Content) -> list[Path]:
    folder = root / "fashion_mnist" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for split, (images, labels) in made.items():
        name = "train" if split == "train" else "t10k"
        head = struct.pack(">IIII", 0x803, len(images), 28, 28)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(head + images[..., 0].tobytes())
        head = struct.pack(">II", 0x801, len(labels))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(head + labels.astype(np.uint8).tobytes())
    return []


def imagenet16_120(root: Path, made: Content) -> list[Path]:
    """Ten batches, each with an image of class 121 and one of class 1000 among the others."""
    folder = root / "imagenet16_120" / "ImageNet16"
    folder.mkdir(parents=True)
    strange = np.zeros((2, 16, 16, 3), np.uint8)
    for split, (images, labels) in made.items():
        parts = [f"train_data_batch_{k}" for k in range(1, 11)] if split == "train" else ["val_data"]
        pixels, numbers = np.array_split(images, len(parts)), np.array_split(labels, len(parts))
        for name, some, of_them in zip(parts, pixels, numbers, strict=True):
            flat = np.concatenate([strange, some]).transpose(0, 3, 1, 2).reshape(len(some) + 2, -1)
            entry = {"data": flat, "labels": [121, 1000, *(of_them + 1).tolist()], "mean": flat.mean(axis=0)}
            (folder / name).write_bytes(pickle.dumps(entry, protocol=2 if split == "train" else 4))
    return []


MAKERS: dict[str, Callable[[Path, Content], list[Path]]] = {
    f.__name__: f for f in (cifar100, svhn, stl10, fashion_mnist, imagenet16_120)
}
named = pytest.mark.parametrize("name", list(MAKERS))


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Path]], None]:
    """Lets torchvision take files of our own for the originals: their checksums in the place of those."""

    def trust(files: list[Path]) -> None:
        md5 = {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in files}

        def known(entries: Any) -> list[Any]:
            return [[name, md5.get(name, old)] for name, old in entries]

        for kind in (torchvision.datasets.CIFAR100, torchvision.datasets.STL10):
            monkeypatch.setattr(kind, "train_list", known(kind.train_list))
            monkeypatch.setattr(kind, "test_list", known(kind.test_list))
        meta = {**torchvision.datasets.CIFAR100.meta, "md5": md5.get("meta")}
        monkeypatch.setattr(torchvision.datasets.CIFAR100, "meta", meta)
        lists = {s: [u, n, md5.get(n, old)] for s, (u, n, old) in torchvision.datasets.SVHN.split_list.items()}
        monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", lists)

    return trust


def check(name: str, root: Path, made: Content) -> None:
    for split in SPLITS:
        images, labels = datasets.get(name).read(split, root)
        assert np.array_equal(images, made[split][0])
        assert np.array_equal(labels, made[split][1])
        assert labels.dtype == np.int64


@named
def test_the_published_files_are_read(name: str, tmp_path: Path, trusting: Callable[[list[Path]], None]) -> None:
    made = content(name)
    trusting(MAKERS[name](tmp_path, made))
    check(name, tmp_path, made)
    check(name, tmp_path / name, made)  # the folder itself
    arrays = datasets.prepare(name, tmp_path, tmp_path / "cache")
    assert datasets.identify(name, tmp_path, tmp_path / "none") == arrays.dataset_id
    assert datasets.is_read(name, arrays.dataset_id)


@named
def test_parquet_files_are_read(name: str, tmp_path: Path) -> None:
    made, d = content(name), datasets.get(name)
    folder = tmp_path / name / "data"
    folder.mkdir(parents=True)
    for split, (images, labels) in made.items():
        rows = []
        for image in images:
            out = io.BytesIO()
            Image.fromarray(image[..., 0] if getattr(d, "grey", False) else image).save(out, "PNG")
            rows.append({"bytes": out.getvalue(), "path": None})
        test = "validation" if name == "imagenet16_120" else "test"
        columns = {"image": rows, "fine_label" if name == "cifar100" else "label": labels.tolist()}
        file = folder / f"{split if split == 'train' else test}-00000-of-00001.parquet"
        pq.write_table(pa.table(columns), file)
    check(name, tmp_path, made)


@named
def test_what_is_missing_is_said_with_the_layouts(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"no {name} at .*neither .* nor train\*\.parquet"):
        datasets.prepare(name, tmp_path, tmp_path / "cache")
    files = MAKERS[name](tmp_path, content(name)) or list(tmp_path.rglob("t*"))
    gone = next(f for f in files if f.is_file())
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=str(gone)):
        datasets.prepare(name, tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("name", ["cifar100", "svhn", "stl10"])
def test_files_that_are_not_the_originals_are_refused(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path, content(name))
    with pytest.raises(ValueError, match="is not the original: its MD5"):
        datasets.prepare(name, tmp_path, tmp_path / "cache")


class Bomb:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("change", ["bomb", "words", "short", "text", "empty"])
def test_a_strange_pickle_in_the_place_of_a_batch_is_not_run(change: str, tmp_path: Path) -> None:
    imagenet16_120(tmp_path, content("imagenet16_120"))
    file = tmp_path / "imagenet16_120" / "ImageNet16" / "train_data_batch_3"
    whole = file.read_bytes()
    file.write_bytes(
        {
            "bomb": pickle.dumps({"data": Bomb(tmp_path / "mark"), "labels": [1]}, protocol=2),
            "words": pickle.dumps({"data": np.zeros((1, 768), np.uint8), "labels": ["n01440764"]}, protocol=2),
            "short": whole[: len(whole) // 2],
            "text": b"version https://git-lfs.example\n",
            "empty": b"",
        }[change]
    )
    with pytest.raises(ValueError, match="train_data_batch_3"):
        datasets.prepare("imagenet16_120", tmp_path, tmp_path / "cache")
    assert not (tmp_path / "mark").exists()
