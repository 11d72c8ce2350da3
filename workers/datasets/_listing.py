"""What lies in the folder of a varied dataset, before any image is opened.  In one like ImageNet's:

train/<wnid>/*.JPEG   val/<wnid>/*.JPEG          the usual layout
train/<wnid>/*.JPEG   val/ILSVRC2012_val_*.JPEG  as unpacked, with the devkit's ground truth beside it
train-*.parquet       validation-*.parquet       shards of encoded images (here or in data/), as hubs keep them
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workers.datasets._dataset import SPLITS, Dataset, Images, Labels, SplitName

SUFFIXES = (".jpeg", ".jpg", ".png")
DEVKIT = ("ILSVRC2012_devkit_t12/data", "devkit/data", "data", ".")
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_NUMBER = re.compile(r"_(\d{8})\.[A-Za-z]+$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One image: a file below the root, or a row of a shard.  `stamp` changes when the bytes may have.

    `map` is the file of its label map, where it has one.
    """

    file: str
    row: int | None
    label: int
    stamp: str
    map: str | None = None
    column: str = ""  # of a shard, that holds the image; "": the usual one

    @property
    def name(self) -> str:
        """`train/n01440764/n01440764_18.JPEG`, or the shard with `#` and the row."""
        return self.file if self.row is None else f"{self.file}#{self.row}"


@dataclass(frozen=True)
class Listing:
    """The images of both splits in order: by path, or by shard and row."""

    root: Path
    files: dict[str, str]  # what a file's line of the digest says besides its path: its size
    train: Sequence[Entry]
    test: Sequence[Entry]
    about: str = ""  # what else the digest is to tell apart

    @property
    def digest(self) -> str:
        """16 hex digits: sha256 over the sorted lines `<relative path> <size in bytes>`.

        A file of a flat `val` has its label in its line, since its path does not tell it.
        """
        lines = "".join(f"{path} {about}\n" for path, about in sorted(self.files.items()))
        return hashlib.sha256((lines + self.about).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def count(self, fraction: float) -> int:
        """How many training images `part` keeps, without choosing them."""
        by_class = Counter(entry.label for entry in self.train)
        return sum(_share(fraction, count) for count in by_class.values())

    def part(self, fraction: float) -> "Listing":
        """The same with a fraction of the training images, at least one of each class; the test images stay.

        An image's place in its class is decided by a hash of its name: a smaller fraction is part of a larger one.
        """
        if fraction == 1:
            return self
        by_class: dict[int, list[Entry]] = {}
        for entry in self.train:
            by_class.setdefault(entry.label, []).append(entry)
        chosen = set()
        for entries in by_class.values():
            entries.sort(key=lambda e: hashlib.sha256(f"fraction|{e.name}".encode("utf-8", "surrogateescape")).digest())
            chosen |= {e.name for e in entries[: _share(fraction, len(entries))]}
        return replace(self, train=[entry for entry in self.train if entry.name in chosen])


def _share(fraction: float, count: int) -> int:
    """How many of a class's images a fraction of them is."""
    return max(1, round(fraction * count))


def listing_of(dataset: Dataset, root: Path | None) -> Listing:
    """The images of a varied dataset below `root/<name>` or `root`; FileNotFoundError where there are none, ValueError
    where they are not laid out as they should be."""
    if dataset.varied is None or dataset.varied.listing is None:
        return find(root, dataset.name, dataset.classes)
    if root is None:
        raise FileNotFoundError(
            f"{dataset.name} needs data_root: a folder that holds {dataset.name}/, or is that folder"
        )
    for folder in (root / dataset.name, root):
        if next(folder.glob(dataset.varied.mark), None):
            return dataset.varied.listing(folder)
    raise FileNotFoundError(f"no {dataset.name} at {root} or {root / dataset.name}: no {dataset.varied.mark} there")


class Listed:
    """What such datasets have in common: their files are listed, and read image by image."""

    def files(self: Dataset, root: Path | None) -> tuple[Path, ...]:
        """Every image, label map or shard."""
        listing = listing_of(self, root)
        return tuple(listing.root / file for file in listing.files)

    def read(self: Dataset, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """Refused: images of many sizes are no one array."""
        raise ValueError(f"{self.name} is read image by image; see workers.datasets.prepare")


def entry(root: Path, image: str, label: int, files: dict[str, str], label_map: str | None = None) -> Entry:
    """An image file below the root, and its label map; `files` gets their lines of the digest."""
    stamp = []
    for file in (image, label_map) if label_map else (image,):
        about = (root / file).stat()
        files[file] = str(about.st_size)
        stamp.append(f"{about.st_size} {about.st_mtime_ns}")
    return Entry(image, None, label, " ".join(stamp), label_map)


def find(root: Path | None, name: str, classes: int) -> Listing:
    """The images below `root/<name>` or `root`; FileNotFoundError where there are none, ValueError where they are
    of more than `classes` classes."""
    if root is None:
        raise FileNotFoundError(f"{name} needs data_root: a folder that holds {name}/, or is that folder")
    for folder in (root / name, root):
        if (folder / "train").is_dir() and (folder / "val").is_dir():
            return _folders(folder, name, classes)
        for layout in (folder, folder / "data"):
            if found := _shards(layout, name, classes):
                return found
    raise FileNotFoundError(
        f"no {name} at {root} or {root / name}: neither train/ and val/ with a folder a class, nor train*.parquet and "
        "validation*.parquet (here or in data/)"
    )


def _folders(root: Path, name: str, classes: int) -> Listing:
    wnids = sorted(entry.name for entry in os.scandir(root / "train") if entry.is_dir())
    if not 1 <= len(wnids) <= classes:
        raise ValueError(f"{root / 'train'} holds {len(wnids):,} folders; right is one a class, at most {classes:,}")
    rank = {wnid: label for label, wnid in enumerate(wnids)}
    strange = sorted(e.name for e in os.scandir(root / "val") if e.is_dir() and e.name not in rank)
    if strange:
        raise ValueError(f"{root / 'val'} holds classes that train lacks: {', '.join(strange[:5])}")
    files: dict[str, str] = {}
    train = [e for wnid in wnids for e in _images(root, f"train/{wnid}", rank[wnid], files)]
    test = [e for wnid in wnids for e in _images(root, f"val/{wnid}", rank[wnid], files)]
    if not test:
        test = _flat(root, rank, files)
    for split, entries in (("train", train), ("val", test)):
        if not entries:
            raise FileNotFoundError(f"{root / split} holds no image ({', '.join(SUFFIXES)})")
    return Listing(root, files, train, test)


def _images(root: Path, folder: str, label: int, files: dict[str, str]) -> list[Entry]:
    """The images of one folder by name; [] where there is no such folder."""
    if not (root / folder).is_dir():
        return []
    found = []
    for item in os.scandir(root / folder):
        if item.name.lower().endswith(SUFFIXES) and not item.name.startswith(".") and item.is_file():
            about = item.stat()
            path = f"{folder}/{item.name}"
            files[path] = str(about.st_size)
            found.append(Entry(path, None, label, f"{about.st_size} {about.st_mtime_ns}"))
    return sorted(found, key=lambda entry: entry.file)


def _flat(root: Path, rank: dict[str, int], files: dict[str, str]) -> list[Entry]:
    """The validation images as they are unpacked: all in one folder, their classes in a file of the devkit."""
    images = _images(root, "val", 0, files)
    if not images:
        return []
    devkit = next((root / place for place in DEVKIT if (root / place / TRUTH).is_file()), None)
    if devkit is None:
        raise FileNotFoundError(
            f"{root / 'val'} has no folder a class, so the classes must be told by {TRUTH} and meta.mat: unpack "
            f"ILSVRC2012_devkit_t12 in {root}"
        )
    wnid_of = _synsets(devkit / "meta.mat")
    truth = (devkit / TRUTH).read_text(encoding="ascii").split()
    labelled = []
    for image in images:
        number = _NUMBER.search(image.file)
        place = int(number[1]) - 1 if number else -1
        if not 0 <= place < len(truth):
            raise ValueError(
                f"{root / image.file}: its name ends in no number from 00000001 to {len(truth):08d}, "
                f"the lines of {TRUTH}"
            )
        wnid = wnid_of.get(truth[place], "")
        if wnid not in rank:
            raise ValueError(f"{root / image.file} is of class {wnid or truth[place]}, which train/ does not hold")
        files[image.file] += f" {rank[wnid]}"
        labelled.append(replace(image, label=rank[wnid]))
    return labelled


def _synsets(file: Path) -> dict[str, str]:
    """The wnid of each class number of the ground truth, from the devkit's MATLAB file."""
    from scipy.io import loadmat

    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: it says which class a number of {TRUTH} is")
    try:
        synsets = loadmat(str(file), squeeze_me=True)["synsets"]
        return {str(int(s["ILSVRC2012_ID"])): str(s["WNID"]) for s in np.atleast_1d(synsets)}
    except (ValueError, KeyError, IndexError, TypeError, OSError) as error:
        raise ValueError(f"{file} is not the devkit's list of classes: {error}") from error


def _shards(root: Path, name: str, classes: int) -> Listing | None:
    """Parquet files of both splits, None where there is none."""
    from workers.datasets._parquet import labels, shards

    found = {"train": shards(root, "train"), "test": shards(root, "val")}
    if not any(found.values()):
        return None
    if absent := [split for split in SPLITS if not found[split]]:
        wanted = "train" if absent[0] == "train" else "validation"
        raise FileNotFoundError(f"{root} holds no {wanted}*.parquet; {name} needs both splits")
    files: dict[str, str] = {}
    entries: dict[SplitName, list[Entry]] = {}
    for split in SPLITS:
        entries[split] = []
        for shard in found[split]:
            about = shard.stat()
            files[shard.name] = str(about.st_size)
            stamp = f"{about.st_size} {about.st_mtime_ns}"
            of_shard: Labels = labels(shard, split, classes)
            entries[split] += [Entry(shard.name, row, int(label), stamp) for row, label in enumerate(of_shard)]
    return Listing(root, files, entries["train"], entries["test"])
