"""The contract of datasets: facts that are consistent with each other, and with the images if they are available."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from workers.contracts._check import Check, expect
from workers.datasets import Dataset

_TOLERANCE = 0.02  # of mean and standard deviation, on the 0..1 scale


def dataset_checks(dataset: Dataset, data_root: str | Path | None = None) -> list[Check]:
    """The checks of a dataset; its images are checked only if they are below `data_root` or need no files."""
    checks = [Check("its facts agree with each other", lambda: _facts(dataset))]
    if dataset.large is None and _available(dataset, data_root):
        root = None if data_root is None else Path(data_root).expanduser()
        promises: list[tuple[str, Callable[[Dataset, Path | None], None]]] = [
            ("images and labels are what the facts say", _images),
            ("reading twice gives the same images", _reading_is_reproducible),
        ]
        checks += [
            Check(promise, lambda verify=verify: verify(dataset, root))  # type: ignore[misc]
            for promise, verify in promises
        ]
    return checks


def _available(dataset: Dataset, data_root: str | Path | None) -> bool:
    try:
        dataset.files(None if data_root is None else Path(data_root).expanduser())
    except FileNotFoundError:
        return False
    return True


def _facts(d: Dataset) -> None:
    maps = d.large is not None and d.large.maps is not None
    findings = d.large is not None and bool(d.large.findings)
    expect(d.classes > 0 or maps or findings, f"{d.name} has {d.classes} classes; expected at least 1")
    expect(
        d.class_names == () or len(set(d.class_names)) == d.classes,
        f"{d.name} names {len(set(d.class_names))} different classes of {d.classes}",
    )
    expect(all(0 < m < 1 for m in d.mean), f"mean is {d.mean}; expected values between 0 and 1, for pixels of 0 to 1")
    expect(all(0 < s <= 0.5 for s in d.std), f"std is {d.std}; expected values between 0 and 0.5")
    expect(min(d.train_images, d.test_images) > 0, f"{d.train_images} training and {d.test_images} test images")
    jigsaw = d.jigsaw
    expect(
        jigsaw.grid * jigsaw.patch <= jigsaw.side and 0 < jigsaw.tile < jigsaw.patch,
        f"{jigsaw} has patches of {jigsaw.patch} px and tiles of {jigsaw.tile} px; expected tiles smaller than patches",
    )


def _images(d: Dataset, root: Path | None) -> None:
    pixels = []
    for split, n in (("train", d.train_images), ("test", d.test_images)):
        images, labels = d.read(split, root)  # type: ignore[arg-type]
        expect(
            images.shape == (n, d.size, d.size, 3) and images.dtype == np.uint8,
            f"{split} images are {images.dtype} {images.shape}; expected uint8 {(n, d.size, d.size, 3)}",
        )
        expect(labels.shape == (n,), f"{split} has {len(labels)} labels for {n} images")
        expect(
            bool(np.issubdtype(labels.dtype, np.integer)) and labels.min() >= 0 and labels.max() < d.classes,
            f"{split} labels are {labels.dtype} from {labels.min()} to {labels.max()}; expected integers from 0 to "
            f"{d.classes - 1}",
        )
        pixels.append(images[:: max(1, n // 2_000)].reshape(-1, 3))
    seen = pixels[0] / 255
    for name, stated, found in (("mean", d.mean, seen.mean(axis=0)), ("std", d.std, seen.std(axis=0))):
        near = bool(np.all(np.abs(found - np.array(stated)) < _TOLERANCE))
        expect(near, f"{name} of the training images is {found.round(4).tolist()}; the facts say {stated}")


def _reading_is_reproducible(d: Dataset, root: Path | None) -> None:
    (one, first), (other, second) = d.read("test", root), d.read("test", root)
    same = np.array_equal(one, other) and np.array_equal(first, second)
    expect(same, "reading the test split twice gave different images or labels")
