"""Datasets of square images of one size that fit into memory: what follows from the size is filled in."""

from dataclasses import dataclass
from typing import Literal

from workers.data.dataset import Jigsaw, LargeImages

LARGEST_CIFAR = 64  # px; larger images go through the stem that reduces them eightfold


@dataclass(frozen=True, kw_only=True)
class Small:
    """The facts of such a dataset; a subclass adds `files` and `read` (see `Dataset`).

    Up to 64 px networks begin with the CIFAR stem, above with ImageNet's.  Jigsaw cuts four tiles: of 16 px images they
    have 6 px, of which two poolings leave 1.
    """

    name: str
    classes: int
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    train_images: int
    test_images: int
    class_names: tuple[str, ...] = ()
    grey: bool = False  # whether all images are, whatever they are stored as: then there is nothing to colour
    published_id: str | None = None
    large: LargeImages | None = None

    @property
    def stem(self) -> Literal["cifar", "imagenet"]:
        """By the size."""
        return "cifar" if self.size <= LARGEST_CIFAR else "imagenet"

    @property
    def jigsaw(self) -> Jigsaw:
        """The whole image, cut in four."""
        return Jigsaw(side=self.size, grid=2)
