"""What cls and rot have in common: the whole image, augmented upright."""

from torch import Generator, Tensor

from workers.datasets import Dataset
from workers.tasks._images import draw_crop, draw_flip
from workers.tasks._top1 import Top1


class Upright(Top1):
    """Whole images at the dataset's native side, mirrored and cropped in training (UnNAS's CIFAR pipeline)."""

    in_channels: int = 3

    def side(self, dataset: Dataset) -> int:
        """The native side."""
        return dataset.size

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """One image, turned or not."""
        return (3, dataset.size, dataset.size)

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """`flip` (n,) and `crop` (n, 2); nothing at test time."""
        if not train:
            return {}
        return {"flip": draw_flip(n, generator), "crop": draw_crop(n, generator)}
