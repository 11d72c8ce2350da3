"""Lists the images in the folder of a large dataset, without opening them.  Layouts of ImageNet:

train/<wnid>/*.JPEG   val/<wnid>/*.JPEG          the usual layout
train/<wnid>/*.JPEG   val/ILSVRC2012_val_*.JPEG  as unpacked, with the devkit's ground truth
train-*.parquet       validation-*.parquet       shards of encoded images (here or in data/), as on dataset hubs
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workers.data import walk
from workers.data.image_types import SPLITS, Labels, SplitName
from workers.data.walk import PUBLISHED_SUFFIXES, Unused

DEVKIT = ("ILSVRC2012_devkit_t12/data", "devkit/data", "data", ".")
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_NUMBER = re.compile(r"_(\d{8})\.[A-Za-z]+$")
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One image: a file below the root, or a row of a shard.  `stamp` is its size and time of modification.

    `map` is the file of its label map, if it has one.
    """

    file: str
    row: int | None
    label: int
    stamp: str
    map: str | None = None
    column: str = ""  # of the image in a shard; "": the default column

    @property
    def name(self) -> str:
        """`train/n01440764/n01440764_18.JPEG`, or the shard, `#` and the row."""
        return self.file if self.row is None else f"{self.file}#{self.row}"


@dataclass(frozen=True)
class Listing:
    """The images of both splits, sorted by path, or by shard and row."""

    root: Path
    files: dict[str, str]  # path -> the rest of its line in the digest: its size
    train: Sequence[Entry]
    test: Sequence[Entry]
    about: str = ""  # further text that the digest covers
    unused: str = ""  # one line for display: files in the folder that are not used; "" if there are none

    @property
    def digest(self) -> str:
        """16 hex digits: sha256 over the sorted lines `<relative path> <size in bytes>`.

        Lines also hold labels that are not part of the path: the label of a file in a flat `val`, a digest of a shard's
        labels.
        """
        lines = "".join(f"{path} {about}\n" for path, about in sorted(self.files.items()))
        return hashlib.sha256((lines + self.about).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def count(self, fraction: float) -> int:
        """Number of training images that `part` selects."""
        by_class = Counter(entry.label for entry in self.train)
        return sum(_share(fraction, count) for count in by_class.values())

    def part(self, fraction: float) -> "Listing":
        """The listing with a fraction of the training images, at least one per class, and all test images.

        Images of a class are ordered by a hash of their names, so a smaller fraction is a subset of a larger one.
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
    """Number of images of a class that a fraction selects."""
    return max(1, round(fraction * count))


def entry(root: Path, image: str, label: int, files: dict[str, str], label_map: str | None = None) -> Entry:
    """The entry of an image file below the root and its label map; adds their lines of the digest to `files`."""
    stamp = []
    for file in (image, label_map) if label_map else (image,):
        about = (root / file).stat()
        files[file] = str(about.st_size)
        stamp.append(f"{about.st_size} {about.st_mtime_ns}")
    return Entry(image, None, label, " ".join(stamp), label_map)


def find(root: Path | None, name: str, classes: int) -> Listing:
    """The images below `root/<name>` or `root`; FileNotFoundError if there are none, ValueError if there are more than
    `classes` classes."""
    if root is None:
        raise FileNotFoundError(f"{name} needs data_root: a folder that contains {name}/, or is that folder")
    walk.refuse_broken_links(root / name)
    for folder in (root / name, root):
        walk.refuse_broken_links(folder / "train", folder / "val")
        if (folder / "train").is_dir() and (folder / "val").is_dir():
            return _folders(folder, name, classes)
        for layout in (folder, folder / "data"):
            if found := _shards(layout, name, classes):
                return found
    hint = "".join(walk.alike(folder, ("train", "val")) for folder in (root / name, root))
    raise FileNotFoundError(
        f"no {name} at {root} or {root / name}: neither train/ and val/ with one folder per class, nor "
        f"train*.parquet and validation*.parquet (here or in data/){hint}"
    )


def _folders(root: Path, name: str, classes: int) -> Listing:
    unused = Unused()
    wnids, flat = walk.classes(root / "train", "train", unused)
    tested, flat_tests = walk.classes(root / "val", "val", unused)
    odd = [wnid for wnid in wnids if not _WNID.fullmatch(wnid)]
    if 0 < len(odd) < len(wnids):
        raise ValueError(
            f"{root / 'train'} holds beside {len(wnids) - len(odd):,} classes named like n01440764 the folders "
            f"{', '.join(map(walk.shown, odd[:5]))}, which would be classes too: move them elsewhere"
        )
    if not 1 <= len(wnids) <= classes:
        raise ValueError(f"{root / 'train'} holds {len(wnids):,} folders; expected one per class, at most {classes:,}")
    if unknown := sorted({*tested} - {*wnids}):
        raise ValueError(f"{root / 'val'} holds classes that train lacks: {', '.join(map(walk.shown, unknown[:5]))}")
    walk.refuse_flat(root / "train", flat)
    files: dict[str, str] = {}
    rank = {wnid: label for label, wnid in enumerate(wnids)}
    train = [_images(root, f"train/{wnid}", "train", rank[wnid], files, unused) for wnid in wnids]
    test = [_images(root, f"val/{wnid}", "val", rank[wnid], files, unused) for wnid in tested]
    for split, names, found in (("train", wnids, train), ("val", tested, test)):
        for wnid, entries in zip(names, found, strict=True):
            # A val whose images were not sorted yet may have empty folders; a partly sorted one may not.
            if not entries and (split == "train" or any(test) or not flat_tests):
                raise walk.empty(root / split / wnid, PUBLISHED_SUFFIXES)
    if any(test):
        walk.refuse_flat(root / "val", flat_tests)
        tests = [entry for entries in test for entry in entries]
    else:
        flat_unused = Unused()  # unused files were counted above
        tests = _flat(root, _images(root, "val", "val", 0, files, flat_unused), rank, files)
        if unread := len(flat_tests) - len(tests):
            raise ValueError(
                f"{root / 'val'} holds {unread:,} images of formats that are not read; expected: "
                f"{', '.join(PUBLISHED_SUFFIXES)}"
            )
    if not tests:
        raise FileNotFoundError(f"{root / 'val'} holds no image ({', '.join(PUBLISHED_SUFFIXES)})")
    walk.beside(root, {"train", "val", *(Path(place).parts[0] for place in DEVKIT if place != ".")}, unused)
    return Listing(root, files, [e for entries in train for e in entries], tests, unused=unused.text)


def _images(root: Path, folder: str, split: str, label: int, files: dict[str, str], unused: Unused) -> list[Entry]:
    """The images of one folder, sorted by name."""
    found = []
    for name, about in walk.images(root / folder, PUBLISHED_SUFFIXES, split, unused):
        path = f"{folder}/{name}"
        files[path] = str(about.st_size)
        found.append(Entry(path, None, label, f"{about.st_size} {about.st_mtime_ns}"))
    return found


def _flat(root: Path, images: list[Entry], rank: dict[str, int], files: dict[str, str]) -> list[Entry]:
    """The validation images as unpacked: all in one folder, with their classes in a file of the devkit."""
    if not images:
        return []
    devkit = next((root / place for place in DEVKIT if (root / place / TRUTH).is_file()), None)
    if devkit is None:
        raise FileNotFoundError(
            f"{root / 'val'} has no class folders, so the classes are read from {TRUTH} and meta.mat: unpack "
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
                f"{root / image.file}: its name does not end in a number from 00000001 to {len(truth):08d}, "
                f"the lines of {TRUTH}"
            )
        wnid = wnid_of.get(truth[place], "")
        if wnid not in rank:
            raise ValueError(f"{root / image.file} is of class {wnid or truth[place]}, which train/ does not hold")
        files[image.file] += f" {rank[wnid]}"
        labelled.append(replace(image, label=rank[wnid]))
    return labelled


def _synsets(file: Path) -> dict[str, str]:
    """Class number of the ground truth -> wnid, from the devkit's MATLAB file."""
    from scipy.io import loadmat

    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: it maps the numbers of {TRUTH} to classes")
    try:
        synsets = loadmat(str(file), squeeze_me=True)["synsets"]
        return {str(int(s["ILSVRC2012_ID"])): str(s["WNID"]) for s in np.atleast_1d(synsets)}
    except (ValueError, KeyError, IndexError, TypeError, OSError) as error:
        raise ValueError(f"{file} is not the devkit's list of classes: {error}") from error


def _shards(root: Path, name: str, classes: int) -> Listing | None:
    """Parquet files of both splits; None if there are none."""
    from workers.data.parquet import labels, line, parquet_files, shards

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
            stamp = f"{about.st_size} {about.st_mtime_ns}"
            of_shard: Labels = labels(shard, split, classes)
            files[shard.name] = line(shard, about.st_size, of_shard.tolist())
            entries[split] += [Entry(shard.name, row, int(label), stamp) for row, label in enumerate(of_shard)]
        if not entries[split]:
            raise FileNotFoundError(f"{root} ({split}) holds no image: its Parquet files have no rows")
    unused = Unused()
    unused.others = [file.name for file in parquet_files(root) if file.name not in files]
    return Listing(root, files, entries["train"], entries["test"], unused=unused.text)
