"""Fashion-MNIST (Xiao et al. 2017): 70,000 grey images of 28 px in 10 classes, from IDX or Parquet files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.data.dataset import Dataset
from workers.data.image_types import Images, Labels, SplitName
from workers.data.parquet import read_images
from workers.data.published_files import PublishedFiles, check_complete, download_errors
from workers.data.small import Small

_PUBLISHED = PublishedFiles(
    name="fashion_mnist",
    folder="FashionMNIST/raw",
    files={
        "train": ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
        "test": ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
    },
    layouts=(".", "fashion_mnist", "data"),
)


@dataclass(frozen=True, kw_only=True)
class FashionMnist(Small):
    """Three equal channels, so that networks are the same as for other datasets; task `col` is not possible."""

    name: str = "fashion_mnist"
    classes: int = 10
    class_names: tuple[str, ...] = (
        *("T-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )
    size: int = 28
    # The commonly used constants, measured on the training split.
    mean: tuple[float, float, float] = (0.2860, 0.2860, 0.2860)
    std: tuple[float, float, float] = (0.3530, 0.3530, 0.3530)
    train_images: int = 60_000
    test_images: int = 10_000
    grey: bool = True

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """IDX files if both formats exist."""
        return _PUBLISHED.all_files(root)

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Images in the original order."""
        original, files = _PUBLISHED.locate(root)
        if not original:
            return read_images(files[split], split, self.size, self.classes, grey=True)
        from torchvision.datasets import FashionMNIST

        check_complete(files[split], split, {})  # torchvision knows only the checksums of the compressed files
        folder = files[split][0].parents[2]
        try:
            data = FashionMNIST(str(folder), train=split == "train", download=False)
            images, labels = data.data.numpy(), data.targets.numpy()
        except (RuntimeError, ValueError, AssertionError, KeyError, IndexError) as error:
            raise ValueError(f"{files[split][0].parent} ({split}) cannot be read: {error!r}") from error
        if images.shape != (len(labels), self.size, self.size):
            raise ValueError(f"{files[split][0]} ({split}) holds images {images.shape} and {len(labels):,} labels")
        return np.repeat(images[..., None], 3, axis=3), labels.astype(np.int64)

    def download(self, root: Path) -> None:
        """Download the original files into `root/fashion_mnist` and check them."""
        from torchvision.datasets import FashionMNIST

        folder = root.expanduser() / "fashion_mnist"
        with download_errors(
            "fashion_mnist", folder / _PUBLISHED.folder, FashionMNIST.mirrors, dict(FashionMNIST.resources)
        ):
            FashionMNIST(str(folder), download=True)


DATASET: Dataset = FashionMnist()
