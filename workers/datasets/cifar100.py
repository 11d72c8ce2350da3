"""CIFAR-100 (Krizhevsky 2009): 60,000 images of 32 px in 100 classes, from pickles or Parquet files."""

from dataclasses import dataclass
from pathlib import Path

from workers.data.dataset import Dataset
from workers.data.image_types import Images, Labels, SplitName
from workers.data.parquet import read_images
from workers.data.published_files import PublishedFiles, download_errors
from workers.data.small import Small
from workers.datasets.cifar10 import read_pickles

_PUBLISHED = PublishedFiles(
    name="cifar100",
    folder="cifar-100-python",
    files={"train": ["train"], "test": ["test"]},
    layouts=(".", "cifar100", "data"),
)


@dataclass(frozen=True, kw_only=True)
class Cifar100(Small):
    """The fine labels; Parquet files have them as `fine_label` or `label`."""

    name: str = "cifar100"
    classes: int = 100
    size: int = 32
    # The constants of NAS-Bench-201 (Dong & Yang 2020) and of most work on CIFAR-100.
    mean: tuple[float, float, float] = (129.3 / 255, 124.1 / 255, 112.4 / 255)
    std: tuple[float, float, float] = (68.2 / 255, 65.4 / 255, 70.4 / 255)
    train_images: int = 50_000
    test_images: int = 10_000

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """Pickles if both formats exist."""
        return _PUBLISHED.all_files(root)

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Pixels and fine labels in the original order."""
        original, files = _PUBLISHED.locate(root)
        if original:
            from torchvision.datasets import CIFAR100

            return read_pickles(CIFAR100, files[split], split)
        return read_images(files[split], split, self.size, self.classes, label=("fine_label", "label"))

    def download(self, root: Path) -> None:
        """Download the original archive into `root/cifar100` and check it."""
        from torchvision.datasets import CIFAR100

        folder = root.expanduser() / "cifar100"
        with download_errors("cifar100", folder, [CIFAR100.url], {CIFAR100.filename: CIFAR100.tgz_md5}):
            CIFAR100(str(folder), download=True)


DATASET: Dataset = Cifar100()
