"""CIFAR-10 (Krizhevsky 2009): 60,000 images of 32 px in 10 classes, from pickles or Parquet files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from workers.datasets._dataset import SPLITS, Dataset, Images, Jigsaw, Labels, SplitName, Varied
from workers.datasets._parquet import read_images, shards

PICKLES = "cifar-10-batches-py"
LAYOUTS = (".", "plain_text", "data")  # where hub repositories keep their Parquet files
_JIGSAW = Jigsaw(side=32, grid=2)


@dataclass(frozen=True)
class Cifar10:
    """`data_root` holds `cifar10/` or is that folder; in it the original pickles or Parquet files lie."""

    name: str = "cifar10"
    classes: int = 10
    class_names: tuple[str, ...] = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    size: int = 32
    # UnNAS's constants, rounded as there.
    mean: tuple[float, float, float] = (125.3 / 255, 123.0 / 255, 113.9 / 255)
    std: tuple[float, float, float] = (63.0 / 255, 62.1 / 255, 66.7 / 255)
    stem: Literal["cifar", "imagenet"] = "cifar"
    jigsaw: Jigsaw = _JIGSAW
    varied: Varied | None = None
    published_id: str | None = "cifar10-5eb90c224ed3d7da"
    train_images: int = 50_000
    test_images: int = 10_000

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """Pickles where both are there: the original before a copy."""
        return tuple(path for split in SPLITS for path in _locate(root)[split])

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Pixels and labels in the original order."""
        files = _locate(root)[split]
        if files[0].parent.name == PICKLES:
            return _read_pickles(files, split)
        return read_images(files, split, self.size, self.classes)

    def download(self, root: Path) -> None:
        """Fetch the original archive into `root/cifar10`, check it, unpack it; nothing else uses a network."""
        from torchvision.datasets import CIFAR10

        CIFAR10(str(root.expanduser() / "cifar10"), download=True)


def _locate(root: Path | None) -> dict[SplitName, list[Path]]:
    """The files of each split, in order."""
    if root is None:
        raise FileNotFoundError("cifar10 needs data_root: a folder that holds cifar10/, or is that folder")
    for folder in (root / "cifar10", root):
        pickles = folder if folder.name == PICKLES else folder / PICKLES
        if pickles.is_dir():
            return {
                "train": [pickles / f"data_batch_{k}" for k in range(1, 6)],
                "test": [pickles / "test_batch"],
            }
        for layout in LAYOUTS:
            found: dict[SplitName, list[Path]] = {s: shards(folder / layout, s) for s in SPLITS}
            if all(found.values()):
                return found
            if any(found.values()):
                absent = next(split for split in SPLITS if not found[split])
                raise FileNotFoundError(f"{folder / layout} holds no {absent}*.parquet; cifar10 needs both splits")
    raise FileNotFoundError(
        f"no cifar10 at {root} or {root / 'cifar10'}: neither {PICKLES}/ nor train*.parquet and "
        f"test*.parquet (here or in {' or '.join(LAYOUTS[1:])}). "
        "`archsweep prepare cifar10 --data-root FOLDER --download` fetches it"
    )


def _read_pickles(files: list[Path], split: SplitName) -> tuple[Images, Labels]:
    """The original pickles through torchvision, which compares their checksums before it opens them."""
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    for name, md5 in CIFAR10.train_list if split == "train" else CIFAR10.test_list:
        file = files[0].parent / name
        if not file.is_file():
            raise FileNotFoundError(f"{file} ({split}) is missing from the original archive's files")
        if not check_integrity(str(file), md5):
            raise ValueError(f"{file} ({split}) is not the original: its MD5 differs from {md5}; copy it again")
    try:
        data = CIFAR10(str(files[0].parent.parent), train=split == "train", download=False)
    except RuntimeError as error:
        raise ValueError(f"{files[0].parent} ({split}) cannot be read: {error}") from error
    return np.ascontiguousarray(data.data, dtype=np.uint8), np.asarray(data.targets, dtype=np.int64)


DATASET: Dataset = Cifar10()
