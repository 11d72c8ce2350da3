"""Base class of cls and rot: the whole image, or a crop of a large one, augmented before any rotation."""

from torch import Generator, Tensor

from workers.datasets import Dataset
from workers.tasks._augment_large import augment_large, draw_light
from workers.tasks._augment_small import augment_small, draw_crop, draw_flip
from workers.tasks._classification_sizes import CroppedTask


class WholeImageTask(CroppedTask):
    """Images at the dataset's size; training uses random crops and horizontal flips (UnNAS's pipelines).

    Small images are padded and cropped; large images are cropped, resized and get PCA lighting.
    """

    in_channels: int = 3

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """One image."""
        return (3, dataset.size, dataset.size)

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """`flip` (n,) and `crop` (n, 2); for large images `flip`, a crop box and `light` (n, 3); empty at test time."""
        if not train:
            return {}
        flip = {"flip": draw_flip(n, generator)}
        if dataset.large is None:
            return {**flip, "crop": draw_crop(n, generator)}
        return {**flip, **self.draw_crop_box(n, dataset, generator), "light": draw_light(n, generator)}

    def augment(self, images: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
        """(B, S, S, 3) -> float32 (B, 3, S, S), augmented."""
        augment = augment_small if dataset.large is None else augment_large
        return augment(images, draws, dataset)
