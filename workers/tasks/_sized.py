"""The cut that cls, rot and col take of an image of any size."""

from torch import Tensor

from workers.datasets import Dataset
from workers.tasks._cuts import centred, sized
from workers.tasks._top1 import Top1


class Sized(Top1):
    """A crop of random area and shape in training, the middle of the scaled image at test time (UnNAS)."""

    def cuts(self, sizes: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
        """The cuts of images of these sizes (B, 2) -> (B, 8)."""
        if dataset.varied is None:
            raise ValueError(f"images of {dataset.name} are seen whole")
        if "area" in draws:
            return sized(sizes, draws, dataset.size)
        return centred(sizes, dataset.varied.scaled, dataset.size)
