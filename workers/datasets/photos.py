"""Patches of eight colour photographs from the scikit-image package: a dataset that needs no download.

The dataset: 32 px RGB patches of photographs of an astronaut, a cat (chelsea), a cup of coffee, deep space
(hubble_deep_field), a stained tissue section (ihc), a motorcycle, a retina and a rocket; the class is the photograph.
It is not a benchmark: all patches of a class come from one photograph, training patches overlap, and the accuracy only
says how well a network distinguishes the textures of these eight photographs.  It serves for demonstrations and tests,
as all tasks (rotation, colorization, jigsaw) need natural images with structure.

How the patches are made:
- Each photograph is reduced by block averaging, by the largest integer factor that leaves a shorter side of at least
  100 px, so that a patch shows a part of an object and not only texture.
- Each channel is scaled to the same mean and standard deviation in all photographs.  Otherwise the mean colour of a
  patch would reveal its class, and any network would score near 100 %.
- The columns are divided into bands with a period of 96 px: 56 px for training, 2 px unused, 36 px for testing, 2 px
  unused.  A patch lies within one band, so no pixel is in both splits.  The bands are vertical, so both splits contain
  all heights of a photograph: tops and bottoms are needed to learn which side is up.
- Of all patches on a 2 px grid, the third with the highest contrast is kept, or as many as needed.  The contrast of a
  patch is the smallest variance of brightness among its four quarters, since a flat quarter is useless as a jigsaw
  tile.  Patches evenly spaced among these, in reading order, form the split.  All arithmetic is exact, so every machine
  makes the same patches.
"""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from workers.data.dataset import Dataset
from workers.data.image_types import Images, Labels, SplitName
from workers.data.small import Small

PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
SHORT_SIDE = 100
MEAN, DEVIATION = 118, 50  # of every channel of every photograph, on the 0..255 scale
PERIOD = 96
BANDS: dict[SplitName, tuple[int, int]] = {"train": (0, 56), "test": (58, 94)}  # columns within a period
STRIDE = 2


@dataclass(frozen=True, kw_only=True)
class Photos(Small):
    """768 training and 384 test patches, the same number from each photograph."""

    name: str = "photos"
    classes: int = 8
    class_names: tuple[str, ...] = tuple(Path(file).stem for file in PHOTOGRAPHS)
    size: int = 32
    # Measured on the training patches, rounded to four decimals.
    mean: tuple[float, float, float] = (0.4867, 0.4903, 0.4989)
    std: tuple[float, float, float] = (0.1732, 0.1829, 0.1912)
    published_id: str | None = "photos-48e2065f960dbfbd"
    train_images: int = 768
    test_images: int = 384

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """The photographs inside the installed scikit-image; `root` is ignored."""
        package = find_spec("skimage")
        if package is None or package.origin is None:
            raise FileNotFoundError("photos is made from images of scikit-image, which is not installed")
        files = tuple(Path(package.origin).parent / "data" / file for file in PHOTOGRAPHS)
        for file in files:
            if not file.is_file():
                raise FileNotFoundError(
                    f"{file} is missing; photos needs a complete installation of scikit-image >= 0.24"
                )
        return files

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Patches (N, 32, 32, 3) with alternating classes: image i has class i % 8."""
        each = (self.train_images if split == "train" else self.test_images) // self.classes
        cut = [_patches(_photograph(file), split, self.size, each) for file in self.files(root)]
        images = np.stack(cut, axis=1).reshape(-1, self.size, self.size, 3)
        return images, np.tile(np.arange(self.classes, dtype=np.int64), each)


def _photograph(file: Path) -> Images:
    """A photograph (H, W, 3), its shorter side between SHORT_SIDE and twice that."""
    with Image.open(file) as opened:
        pixels = np.asarray(opened.convert("RGB"), dtype=np.int64)
    factor = max(1, min(pixels.shape[:2]) // SHORT_SIDE)
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    blocks = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    area = factor**2
    reduced = (blocks.sum(axis=(1, 3)) + area // 2) // area
    return np.stack([_graded(reduced[..., channel]) for channel in range(3)], axis=-1)


def _graded(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """One channel, scaled to the common mean and standard deviation and clipped to 0..255."""
    n, total, squares = values.size, int(values.sum()), int((values**2).sum())
    mean, deviation = total / n, math.sqrt(n * squares - total**2) / n
    # A table of the 256 values, computed in Python: vectorised sums differ between processors.
    table = [round((value - mean) / deviation * DEVIATION + MEAN) for value in range(256)]
    return np.array([min(max(value, 0), 255) for value in table], dtype=np.uint8)[values]


def corners(shape: tuple[int, ...], split: SplitName, size: int) -> npt.NDArray[np.int64]:
    """Top left corners (M, 2), in reading order, of all patches of an (H, W) photograph that a split may use."""
    first, end = BANDS[split]
    top = np.arange(0, shape[0] - size + 1, STRIDE)
    left = np.arange(0, shape[1] - size + 1, STRIDE)
    left = left[(left % PERIOD >= first) & (left % PERIOD + size <= end)]
    return np.stack(np.meshgrid(top, left, indexing="ij"), axis=-1).reshape(-1, 2)


def _patches(photograph: Images, split: SplitName, size: int, n: int) -> Images:
    """n patches (n, size, size, 3) of a photograph."""
    at = corners(photograph.shape, split, size)
    contrast = _contrast(photograph, at, size)
    # Stable sort: patches of equal contrast stay in reading order on every machine.
    best = np.sort(np.argsort(-contrast, kind="stable")[: max(n, len(at) // 3)])
    chosen = at[best[np.arange(n) * len(best) // n]]
    return np.stack([photograph[y : y + size, x : x + size] for y, x in chosen])


def _contrast(photograph: Images, at: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """For each patch the smallest variance among its quarters (times the square of their area)."""
    bright = photograph.sum(axis=2, dtype=np.int64)
    half = size // 2
    sums, squares = _box_sums(bright, half), _box_sums(bright**2, half)
    variance = half**2 * squares - sums**2
    y, x = at[:, 0], at[:, 1]
    quarters = [variance[y + dy, x + dx] for dy in (0, half) for dx in (0, half)]
    least: npt.NDArray[np.int64] = np.minimum.reduce(quarters)
    return least


def _box_sums(values: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.int64]:
    """Sums over all side x side boxes, indexed by their top left corner."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    boxes: npt.NDArray[np.int64] = (
        total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    )
    return boxes


DATASET: Dataset = Photos()
