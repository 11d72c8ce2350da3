"""Datasets with images of many sizes: their files are listed, and each image is read when it is needed."""

from __future__ import annotations

from pathlib import Path

from workers.data import walk
from workers.data.dataset import Dataset
from workers.data.image_files import Listing, find
from workers.data.image_types import Images, Labels, SplitName


def listing_of(dataset: Dataset, root: Path | None) -> Listing:
    """The images of a large dataset below `root/<name>` or `root`; FileNotFoundError if there are none, ValueError if
    their layout is wrong."""
    if dataset.large is None or dataset.large.listing is None:
        return find(root, dataset.name, dataset.classes)
    if dataset.large.mark is None:
        return dataset.large.listing(root)
    if root is None:
        raise FileNotFoundError(
            f"{dataset.name} needs data_root: a folder that contains {dataset.name}/, or is that folder"
        )
    walk.refuse_broken_links(root / dataset.name)
    for folder in (root / dataset.name, root):
        if next(folder.glob(dataset.large.mark), None):
            return dataset.large.listing(folder)
    raise FileNotFoundError(f"no {dataset.name} at {root} or {root / dataset.name}: no {dataset.large.mark} there")


class FileListDataset:
    """Base class of datasets whose files are listed and read image by image."""

    grey: bool = False

    @property
    def prefix(self: Dataset) -> str:
        """The name."""
        return self.name

    def files(self: Dataset, root: Path | None) -> tuple[Path, ...]:
        """All images, label maps or shards."""
        listing = listing_of(self, root)
        return tuple(listing.root / file for file in listing.files)

    def read(self: Dataset, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Raises ValueError: images of many sizes do not fit one array."""
        raise ValueError(f"{self.name} does not fit one array; use workers.datasets.prepare()")


def partly_exists(dataset: Dataset, root: Path | None) -> bool:
    """Whether any part of a large dataset exists below a root; then it is incomplete, not absent."""
    if root is None:
        return False
    mark = dataset.large.mark if dataset.large else "train"
    if mark is None:
        return root.is_dir() and any(root.iterdir())
    folders = (root, root / "data", root / dataset.name, root / dataset.name / "data")
    return any(next(folder.glob(f"{mark}*"), None) for folder in folders)


def folder_of(dataset: Dataset, root: Path | None) -> Path | None:
    """The folder that names are relative to, found without listing it."""
    mark = dataset.large.mark if dataset.large else "train"
    if root is None or mark is None:
        return root
    return next((folder for folder in (root / dataset.name, root) if next(folder.glob(mark), None)), root)
