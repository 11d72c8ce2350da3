"""STL-10 (Coates et al. 2011): 13,000 labelled images of 96 px in 10 classes, from its binary or Parquet files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.data.dataset import Dataset
from workers.data.image_types import Images, Labels, SplitName
from workers.data.parquet import read_images
from workers.data.published_files import PublishedFiles, check_complete, download_errors
from workers.data.small import Small

_PUBLISHED = PublishedFiles(
    name="stl10",
    folder="stl10_binary",
    files={"train": ["train_X.bin", "train_y.bin"], "test": ["test_X.bin", "test_y.bin"]},
    layouts=(".", "data"),
)


@dataclass(frozen=True, kw_only=True)
class Stl10(Small):
    """All 5,000 training and 8,000 test images; the unlabelled images and the ten folds are not used."""

    name: str = "stl10"
    classes: int = 10
    class_names: tuple[str, ...] = (
        *("airplane", "bird", "car", "cat", "deer"),
        *("dog", "horse", "monkey", "ship", "truck"),
    )
    size: int = 96
    # The commonly used constants, measured on the training split.
    mean: tuple[float, float, float] = (0.4467, 0.4398, 0.4066)
    std: tuple[float, float, float] = (0.2603, 0.2566, 0.2713)
    train_images: int = 5_000
    test_images: int = 8_000

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """Binary files if both formats exist."""
        return _PUBLISHED.all_files(root)

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Images in the original order."""
        original, files = _PUBLISHED.locate(root)
        if not original:
            return read_images(files[split], split, self.size, self.classes)
        # Read here, since torchvision also requires the 2.8 GB of unlabelled images.
        from torchvision.datasets import STL10

        check_complete(files[split], split, dict([*STL10.train_list, *STL10.test_list]))
        pixels, labels = (np.fromfile(file, np.uint8) for file in files[split])
        if len(pixels) != len(labels) * 3 * self.size**2:
            raise ValueError(f"{files[split][0]} holds {len(pixels):,} bytes, which are not {len(labels):,} images")
        # A file holds image by image, each channel by channel, each column by column.
        images = pixels.reshape(-1, 3, self.size, self.size).transpose(0, 3, 2, 1)
        return np.ascontiguousarray(images), labels.astype(np.int64) - 1

    def download(self, root: Path) -> None:
        """Download the original archive (2.6 GB) into `root/stl10` and check it."""
        from torchvision.datasets import STL10

        folder = root.expanduser() / "stl10"
        with download_errors("stl10", folder, [STL10.url], {STL10.filename: STL10.tgz_md5}):
            STL10(str(folder), download=True)


DATASET: Dataset = Stl10()
