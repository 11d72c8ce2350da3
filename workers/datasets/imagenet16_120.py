"""ImageNet16-120 (Chrabaszcz et al. 2017; Dong & Yang 2020): the first 120 classes of ImageNet, resized to 16 px.

Read from the published pickles of the downsampled ImageNet with all 1,000 classes, or from Parquet files with the 120.
NAS-Bench-201 divides the validation images into halves by a list in its repository; here all 6,000 are the test split.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workers.data.dataset import Dataset
from workers.data.image_types import Images, Labels, SplitName
from workers.data.parquet import read_images
from workers.data.published_files import PublishedFiles, check_complete
from workers.data.small import Small

_PUBLISHED = PublishedFiles(
    name="imagenet16_120",
    folder="ImageNet16",
    files={"train": [f"train_data_batch_{k}" for k in range(1, 11)], "test": ["val_data"]},
    layouts=(".", "data"),
    download=False,
    test="val",
)
# All names that a pickle of arrays, lists and numbers refers to, in NumPy 1 and 2.  None of them executes other code.
_ALLOWED = {
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    *(("numpy", name) for name in ("ndarray", "dtype")),
    ("_codecs", "encode"),
}


@dataclass(frozen=True, kw_only=True)
class ImageNet16x120(Small):
    """`data_root` contains `imagenet16_120/`, with `ImageNet16/` in it, the ten training batches and `val_data`."""

    name: str = "imagenet16_120"
    classes: int = 120
    size: int = 16
    # The constants of NAS-Bench-201.
    mean: tuple[float, float, float] = (122.68 / 255, 116.66 / 255, 104.01 / 255)
    std: tuple[float, float, float] = (63.22 / 255, 61.26 / 255, 65.09 / 255)
    train_images: int = 151_700
    test_images: int = 6_000

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """Pickles if both formats exist."""
        return _PUBLISHED.all_files(root)

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """The images of the first 120 classes, batch after batch in their order."""
        original, files = _PUBLISHED.locate(root)
        if not original:
            return read_images(files[split], split, self.size, self.classes)
        check_complete(files[split], split, {})
        parts = [self._batch(file, split) for file in files[split]]
        return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])

    def _batch(self, file: Path, split: SplitName) -> tuple[Images, Labels]:
        found = _unpickled(file, split)
        try:
            pixels, numbers = np.asarray(found["data"]), np.asarray(found["labels"])
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"{file} ({split}) is not a batch of the downsampled ImageNet: {error!r}") from error
        if (
            pixels.dtype != np.uint8
            or pixels.shape != (len(numbers), 3 * self.size**2)
            or numbers.dtype.kind not in "iu"
        ):
            raise ValueError(
                f"{file} ({split}) holds {pixels.dtype} {pixels.shape} with {numbers.dtype} {numbers.shape} labels; "
                f"expected uint8 (N, {3 * self.size**2}) and N class numbers from 1"
            )
        kept = (numbers >= 1) & (numbers <= self.classes)
        images = pixels[kept].reshape(-1, 3, self.size, self.size).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(images), numbers[kept].astype(np.int64) - 1


class _Plain(pickle.Unpickler):
    """Unpickles arrays and plain values; any other name in a pickle is rejected before it is imported."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which batches do not need")
        return super().find_class(module, name)


def _unpickled(file: Path, split: SplitName) -> Any:
    try:
        with file.open("rb") as opened:
            return _Plain(opened, encoding="latin1").load()  # the published files were written by Python 2
    except OSError:
        raise
    except Exception as error:  # invalid bytes make an unpickler raise almost any exception
        raise ValueError(f"{file} ({split}) is not a pickle of arrays: {type(error).__name__}: {error}") from error


DATASET: Dataset = ImageNet16x120()
