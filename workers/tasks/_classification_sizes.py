"""Base class of cls, rot and col: their crops of images of any size."""

from torch import Generator, Tensor

from workers.datasets import Dataset
from workers.tasks._classification import Top1
from workers.tasks._crops import centred, draw_sized, draw_zoomed, sized, zoomed


class CroppedTask(Top1):
    """Training: a crop of random area and aspect ratio, or a square at a random scale if the dataset is `zoomed`.

    Tests: the centre of the resized image (UnNAS).
    """

    def draw_crop_box(self, n: int, dataset: Dataset, generator: Generator) -> dict[str, Tensor]:
        """Random draws for the crop boxes of n training images."""
        zooms = dataset.large is not None and dataset.large.zoomed
        return draw_zoomed(n, generator) if zooms else draw_sized(n, generator)

    def crops(self, sizes: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
        """Crop boxes for images of these sizes, (B, 2) -> (B, 8)."""
        if dataset.large is None:
            raise ValueError(f"{dataset.name} has one image size: crop boxes do not apply")
        if "area" in draws:
            return sized(sizes, draws, dataset.size)
        if "zoom" in draws:
            return zoomed(sizes, draws, dataset.large.scaled, dataset.size)
        return centred(sizes, dataset.large.scaled, dataset.size)
