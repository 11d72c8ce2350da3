"""CIFAR-10 (Krizhevsky 2009): 60,000 images of 32 px in 10 classes, from pickles or Parquet files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workers.data.dataset import Dataset
from workers.data.image_types import Images, Labels, SplitName
from workers.data.parquet import read_images
from workers.data.published_files import PublishedFiles, check_complete, download_errors
from workers.data.small import Small

_PUBLISHED = PublishedFiles(
    name="cifar10",
    folder="cifar-10-batches-py",
    files={"train": [f"data_batch_{k}" for k in range(1, 6)], "test": ["test_batch"]},
    layouts=(".", "plain_text", "data"),  # folders of Parquet files in hub repositories
)


@dataclass(frozen=True, kw_only=True)
class Cifar10(Small):
    """`data_root` contains `cifar10/` or is that folder; it holds the original pickles or Parquet files."""

    name: str = "cifar10"
    classes: int = 10
    class_names: tuple[str, ...] = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    size: int = 32
    # UnNAS's constants, with its rounding.
    mean: tuple[float, float, float] = (125.3 / 255, 123.0 / 255, 113.9 / 255)
    std: tuple[float, float, float] = (63.0 / 255, 62.1 / 255, 66.7 / 255)
    published_id: str | None = "cifar10-5eb90c224ed3d7da"
    train_images: int = 50_000
    test_images: int = 10_000

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """Pickles if both formats exist: the original is preferred to a copy."""
        return _PUBLISHED.all_files(root)

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Pixels and labels in the original order."""
        original, files = _PUBLISHED.locate(root)
        if original:
            from torchvision.datasets import CIFAR10

            return read_pickles(CIFAR10, files[split], split)
        return read_images(files[split], split, self.size, self.classes)

    def download(self, root: Path) -> None:
        """Download the original archive into `root/cifar10`, check and unpack it; only `download` uses the network."""
        from torchvision.datasets import CIFAR10

        folder = root.expanduser() / "cifar10"
        with download_errors("cifar10", folder, [CIFAR10.url], {CIFAR10.filename: CIFAR10.tgz_md5}):
            CIFAR10(str(folder), download=True)


def read_pickles(archive: Any, files: Sequence[Path], split: SplitName) -> tuple[Images, Labels]:
    """The original pickles, read by torchvision, which compares their checksums before it opens them.

    `archive` is torchvision's class.
    """
    check_complete(files, split, dict(archive.train_list if split == "train" else archive.test_list))
    try:
        data = archive(str(files[0].parent.parent), train=split == "train", download=False)
    except RuntimeError as error:
        raise ValueError(f"{files[0].parent} ({split}) cannot be read: {error}") from error
    return np.ascontiguousarray(data.data, dtype=np.uint8), np.asarray(data.targets, dtype=np.int64)


DATASET: Dataset = Cifar10()
