"""The cut that cls, rot and col take of an image of any size."""

from torch import Generator, Tensor

from workers.datasets import Dataset
from workers.tasks._classification import Top1
from workers.tasks._crops import centred, draw_sized, draw_zoomed, sized, zoomed


class CroppedTask(Top1):
    """A crop of random area and shape in training, the middle of the scaled image at test time (UnNAS).

    Where images are zoomed, training takes a square of the image at a random scale.
    """

    def draw_crop_box(self, n: int, dataset: Dataset, generator: Generator) -> dict[str, Tensor]:
        """What chance decides about the cuts of n training images."""
        zooms = dataset.large is not None and dataset.large.zoomed
        return draw_zoomed(n, generator) if zooms else draw_sized(n, generator)

    def crops(self, sizes: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
        """The cuts of images of these sizes (B, 2) -> (B, 8)."""
        if dataset.large is None:
            raise ValueError(f"images of {dataset.name} are seen whole")
        if "area" in draws:
            return sized(sizes, draws, dataset.size)
        if "zoom" in draws:
            return zoomed(sizes, draws, dataset.large.scaled, dataset.size)
        return centred(sizes, dataset.large.scaled, dataset.size)
