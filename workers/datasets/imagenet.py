"""ImageNet-1K (Russakovsky et al. 2015): 1.28 million images of many sizes in 1,000 classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.data.dataset import Dataset, Jigsaw, LargeImages
from workers.data.image_files import find
from workers.data.image_types import Images, Labels, SplitName

_JIGSAW = Jigsaw(side=255, grid=3)
_VARIED = LargeImages(scaled=256)


@dataclass(frozen=True)
class ImageNet:
    """Networks get 224 px (255 px in the jigsaw task).  A folder with fewer classes is a smaller dataset."""

    name: str = "imagenet"
    classes: int = 1000
    class_names: tuple[str, ...] = ()
    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    stem: Literal["cifar", "imagenet"] = "imagenet"
    jigsaw: Jigsaw = _JIGSAW
    large: LargeImages | None = _VARIED
    # Not a digest: the id in plans that are made without the files; the id of files is a digest of their sorted list.
    published_id: str | None = "imagenet-1k-2012"
    train_images: int = 1_281_167
    test_images: int = 50_000

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """All images or shards; more than a million images in the complete set."""
        listing = find(root, self.name, self.classes)
        return tuple(listing.root / file for file in listing.files)

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Raises ValueError: images of many sizes do not fit one array."""
        raise ValueError(f"{self.name} does not fit one array; use workers.datasets.prepare()")


DATASET: Dataset = ImageNet()
