"""ImageNet-1K (Russakovsky et al. 2015): the facts that plans, costs and networks need; no reader yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from workers.datasets._dataset import Dataset, Jigsaw, SplitName

_JIGSAW = Jigsaw(side=255, grid=3)


@dataclass(frozen=True)
class ImageNet:
    """1,000 classes, seen at 224 px (255 px by the jigsaw task)."""

    name: str = "imagenet"
    classes: int = 1000
    class_names: tuple[str, ...] = ()
    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    stem: Literal["cifar", "imagenet"] = "imagenet"
    jigsaw: Jigsaw = _JIGSAW
    # Not a digest: a name for plans. The reader will identify folders by their sorted files and sizes.
    published_id: str | None = "imagenet-1k-2012"
    train_images: int = 1_281_167
    test_images: int = 50_000

    def files(self, root: Path | None) -> NoReturn:
        """No file can be read yet."""
        raise FileNotFoundError(_ADVICE)

    def read(self, split: SplitName, root: Path | None) -> NoReturn:
        """Nothing can be read yet."""
        raise ValueError(_ADVICE)


_ADVICE = (
    "imagenet: the reader of ImageNet images is still to come in a later version. Plans, networks and their "
    "costs work without it; to train now, choose the dataset cifar10 or photos"
)
DATASET: Dataset = ImageNet()
