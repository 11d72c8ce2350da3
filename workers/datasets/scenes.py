"""Drawn scenes of 32 px: a dataset that needs no download and is learned within seconds.

Code draws every image from a seed, in integer arithmetic, so all machines have the same bytes
(`workers.data.generated`).  They are no photographs, and accuracies on them say nothing about photographs.  Each task
has an answer in them:
- cls: the kind of the object (house, tree, car, boat, teapot, lamp, bird, dog, chair or boot).  Size, position, lean,
  colours and light vary, clutter may cover a part, and every object is seen from both sides.  The shape tells the
  kind; the mean colour hardly does.
- rot: objects stand upright, give or take a small lean.  Sky and ground do not suffice: the horizon is at any height,
  mostly tilted or missing, either side of it may be the brighter or the bluer one, and light comes from any side.
- col: the place (meadow, street, shore, room, sand) has a texture and a colour, and the sky one by day and one by
  dusk; some objects have the hue that is usual for their kind.
- jig: an object extends over all four quarters of its image.

A study gets other ones with `kind = "scenes"`; this dataset has the default values.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workers.data.dataset import Dataset
from workers.data.generated import Scenes
from workers.data.image_types import Images, Labels, SplitName
from workers.data.small import Small


@dataclass(frozen=True, kw_only=True)
class DrawnScenes(Small):
    """750 training and 600 test images drawn by code, the same number of each of ten kinds of objects."""

    DRAWN: ClassVar[Scenes] = Scenes()

    name: str = "scenes"
    classes: int = DRAWN.classes
    class_names: tuple[str, ...] = DRAWN.names
    size: int = DRAWN.size
    # Measured on the training images, rounded to four decimals.
    mean: tuple[float, float, float] = (0.4219, 0.4675, 0.4328)
    std: tuple[float, float, float] = (0.2063, 0.2061, 0.246)
    published_id: str | None = "scenes-2cecdfd3288ac717"
    train_images: int = DRAWN.images[0]
    test_images: int = DRAWN.images[1]

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """None: the images are drawn; `root` is ignored."""
        return ()

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """All images of a split; image i has kind i % 10."""
        return self.DRAWN.draw(split)


DATASET: Dataset = DrawnScenes()
