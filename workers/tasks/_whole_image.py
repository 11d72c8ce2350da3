"""Base class of cls and rot: the whole image, or a crop of a large one, augmented before any rotation."""

from dataclasses import dataclass, replace
from typing import Self

from torch import Generator, Tensor

from workers.datasets import Dataset
from workers.recipes import Base
from workers.tasks._augment_large import augment_large, draw_light
from workers.tasks._augment_small import augment_small, cut_out, draw_crop, draw_flip, draw_hole
from workers.tasks._classification_sizes import CroppedTask


@dataclass(frozen=True)
class WholeImageTask(CroppedTask):
    """Images at the dataset's size; training uses random crops and horizontal flips (UnNAS's pipelines).

    Small images are padded and cropped, and a square is cut out if a recipe says so; large images are cropped, resized
    and get PCA lighting.
    """

    in_channels: int = 3
    cutout: int = 0  # side of the square in pixels

    def configured(self, recipe: Base) -> Self:
        """The task with the recipe's cutout; LookupError if the recipe has settings of segmentation."""
        length = getattr(recipe, "cutout", None)
        return replace(super().configured(recipe), cutout=length) if length else super().configured(recipe)

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """One image."""
        return (3, dataset.size, dataset.size)

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """`flip` (n,), `crop` (n, 2) and with cutout `hole` (n, 2); for large images `flip`, a crop box and `light`
        (n, 3); empty at test time."""
        if not train:
            return {}
        flip = {"flip": draw_flip(n, generator)}
        if dataset.large is None:
            crop = {"crop": draw_crop(n, generator)}
            # The last draw: flips and crops are the same with and without cutout.
            hole = {"hole": draw_hole(n, dataset.size, generator)} if self.cutout else {}
            return {**flip, **crop, **hole}
        return {**flip, **self.draw_crop_box(n, dataset, generator), "light": draw_light(n, generator)}

    def augment(self, images: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
        """(B, S, S, 3) -> float32 (B, 3, S, S), augmented."""
        if dataset.large is not None:
            return augment_large(images, draws, dataset)
        inputs = augment_small(images, draws, dataset)
        return cut_out(inputs, draws["hole"], self.cutout) if "hole" in draws else inputs
