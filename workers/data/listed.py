"""Datasets whose files are listed instead of read at once: those of many image sizes."""

from __future__ import annotations

from pathlib import Path

from workers.data import walk
from workers.data.dataset import Dataset
from workers.data.image_files import Listing, find
from workers.data.image_types import Images, Labels, SplitName


def listing_of(dataset: Dataset, root: Path | None) -> Listing:
    """The images of a large dataset below `root/<name>` or `root`; FileNotFoundError where there are none, ValueError
    where they are not laid out as they should be."""
    if dataset.large is None or dataset.large.listing is None:
        return find(root, dataset.name, dataset.classes)
    if root is None:
        raise FileNotFoundError(
            f"{dataset.name} needs data_root: a folder that holds {dataset.name}/, or is that folder"
        )
    walk.refuse_dead(root / dataset.name)
    for folder in (root / dataset.name, root):
        if next(folder.glob(dataset.large.mark), None):
            return dataset.large.listing(folder)
    raise FileNotFoundError(f"no {dataset.name} at {root} or {root / dataset.name}: no {dataset.large.mark} there")


class FileListDataset:
    """What such datasets have in common: their files are listed, and read image by image."""

    def files(self: Dataset, root: Path | None) -> tuple[Path, ...]:
        """Every image, label map or shard."""
        listing = listing_of(self, root)
        return tuple(listing.root / file for file in listing.files)

    def read(self: Dataset, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Refused: images of many sizes are no one array."""
        raise ValueError(f"{self.name} is read image by image; see workers.datasets.prepare")


def begun(dataset: Dataset, root: Path | None) -> bool:
    """Whether something of a large dataset lies below a root, be it half of it: then it is no absent dataset."""
    if root is None:
        return False
    mark = f"{dataset.large.mark if dataset.large else 'train'}*"
    folders = (root, root / "data", root / dataset.name, root / dataset.name / "data")
    return any(next(folder.glob(mark), None) for folder in folders)
