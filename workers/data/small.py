"""Base class of datasets with square images of one size that fit into memory."""

from dataclasses import dataclass
from typing import Literal

from workers.data.dataset import Jigsaw, LargeImages

LARGEST_CIFAR = 64  # px; larger images use the stem that reduces resolution by 8


@dataclass(frozen=True, kw_only=True)
class Small:
    """The facts of such a dataset; a subclass adds `files` and `read` (see `Dataset`).

    Networks have the CIFAR stem up to 64 px, and ImageNet's stem above.  The jigsaw task uses four tiles; for images of
    16 px these have 6 px, which two poolings reduce to 1.
    """

    name: str
    classes: int
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    train_images: int
    test_images: int
    class_names: tuple[str, ...] = ()
    grey: bool = False  # whether all images are grey, even if stored as RGB: then `col` is not possible
    published_id: str | None = None
    large: LargeImages | None = None

    @property
    def prefix(self) -> str:
        """The name."""
        return self.name

    @property
    def stem(self) -> Literal["cifar", "imagenet"]:
        """By the size."""
        return "cifar" if self.size <= LARGEST_CIFAR else "imagenet"

    @property
    def jigsaw(self) -> Jigsaw:
        """The whole image, divided into four patches."""
        return Jigsaw(side=self.size, grid=2)
