"""SVHN (Netzer et al. 2011): house numbers, 99,289 cropped digits of 32 px, from MATLAB or Parquet files.

Flips and rotations are not meaningful for digits: a mirrored 2 is not a 2, and a 6 rotated by 180 degrees is a 9.  The
tasks still augment them as they augment CIFAR-10 (UnNAS's pipelines), so that rankings differ only by the data.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.data.dataset import Dataset
from workers.data.image_types import Images, Labels, SplitName
from workers.data.parquet import read_images
from workers.data.published_files import PublishedFiles, check_complete, download_errors
from workers.data.small import Small

_PUBLISHED = PublishedFiles(
    name="svhn",
    folder=".",
    files={"train": ["train_32x32.mat"], "test": ["test_32x32.mat"]},
    layouts=(".", "cropped_digits", "data"),
)


@dataclass(frozen=True, kw_only=True)
class Svhn(Small):
    """The training and the test split; the 531,131 easier `extra` digits are not used."""

    name: str = "svhn"
    classes: int = 10
    class_names: tuple[str, ...] = tuple("0123456789")
    size: int = 32
    # The commonly used constants, measured on the training split.
    mean: tuple[float, float, float] = (0.4377, 0.4438, 0.4728)
    std: tuple[float, float, float] = (0.1980, 0.2010, 0.1970)
    train_images: int = 73_257
    test_images: int = 26_032

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """MATLAB files if both formats exist."""
        return _PUBLISHED.all_files(root)

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Digits in the original order; the label is the digit."""
        original, files = _PUBLISHED.locate(root)
        if not original:
            return read_images(files[split], split, self.size, self.classes)
        from torchvision.datasets import SVHN

        (file,) = files[split]
        check_complete(files[split], split, {file.name: SVHN.split_list[split][2]})
        data = SVHN(str(file.parent), split=split, download=False)  # also maps the archive's label 10 to 0
        return np.ascontiguousarray(data.data.transpose(0, 2, 3, 1)), np.asarray(data.labels, dtype=np.int64)

    def download(self, root: Path) -> None:
        """Download both files into `root/svhn` and check them."""
        from torchvision.datasets import SVHN

        folder = root.expanduser() / "svhn"
        for split in ("train", "test"):
            address, file, md5 = SVHN.split_list[split]
            with download_errors("svhn", folder, [address], {file: md5}):
                SVHN(str(folder), split=split, download=True)


DATASET: Dataset = Svhn()
