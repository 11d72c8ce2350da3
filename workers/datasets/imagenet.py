"""ImageNet-1K (Russakovsky et al. 2015): 1.28 million images of many sizes in 1,000 classes."""

from dataclasses import dataclass
from typing import Literal

from workers.data.dataset import Dataset, Jigsaw, LargeImages
from workers.data.listed import FileListDataset

_JIGSAW = Jigsaw(side=255, grid=3)
_VARIED = LargeImages(scaled=256)


@dataclass(frozen=True)
class ImageNet(FileListDataset):
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


DATASET: Dataset = ImageNet()
