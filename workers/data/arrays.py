"""The node-local cache of small datasets: each is decoded once, then all processes of the machine map the same arrays.

    <cache_dir>/arrays/<dataset_id>/{train,test}-{images,labels}.npy     content, named by its digest
    <cache_dir>/sources/<fingerprint>.json                               which files hold which content

Arrays are content-addressed: an existing array is never overwritten with different bytes, so processes need no
coordination.  The lock only avoids that several processes decode the same files at the same time.
"""

import fcntl
import hashlib
import json
import logging
import os
import pwd
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from workers.data import reader_code
from workers.data.dataset import Dataset, DatasetInfo, IncompleteError, content_id
from workers.data.form import UNREAD
from workers.data.image_types import DECODED, SPLITS, Images, Labels, SplitName
from workers.data.registry import registry
from workers.files import publish_local

log = logging.getLogger(__name__)
Where = str | os.PathLike[str] | None

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")  # a single path component; notes and plans may hold other text

# Arrays that this process has verified: folder -> inode, size and time of its files at that moment.
_verified: dict[Path, tuple[tuple[int, int, int], ...]] = {}


@dataclass(frozen=True)
class Split:
    """Images (N, H, W, 3) uint8 and labels (N,) int64, mapped privately: writing to them changes no file."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def relabelled(self, labels: Labels) -> "Split":
        """The same images with other labels (N,)."""
        return replace(self, labels=labels)

    def part(self, positions: npt.NDArray[np.int64]) -> "Split":
        """The images at these positions (n,), copied unless these are all."""
        if np.array_equal(positions, np.arange(len(self))):
            return replace(self)
        return Split(self.images[positions], self.labels[positions])


@dataclass(frozen=True)
class Arrays:
    """A dataset as arrays, with the id of exactly these pixels and labels."""

    dataset_id: str
    train: Split
    test: Split


def look(dataset: Dataset, data_root: Where = None, cache_dir: Where = None) -> DatasetInfo:
    """The id and number of images of the data below `data_root`, or of the complete published set if there is no data.

    Writes nothing.  Files that `prepare` has already decoded are not decoded again; others are (CIFAR-10: about 15 s).
    If there is neither data nor a published set, the id is a placeholder for plans: `<name>-unread`.
    IncompleteError if only some of the files exist.
    """
    published, root = (dataset.train_images, dataset.test_images), path_of(data_root)
    try:
        files = dataset.files(root)
    except IncompleteError:
        raise
    except FileNotFoundError:
        return DatasetInfo(dataset.published_id or f"{dataset.name}-{UNREAD}", *published)
    cache = cache_folder(cache_dir)
    if known := _known(cache, _fingerprint(dataset, files)):
        return DatasetInfo(known, *(_counted(cache, known) or published))
    content = _decode(dataset, root)
    train, test = (len(labels) for _, _, labels in content)
    return DatasetInfo(content_id(dataset.prefix, content), train, test)


def _counted(cache: Path, dataset_id: str) -> tuple[int, int] | None:
    """Numbers of images in the cached arrays of that id, from their headers; None if they are not cached."""
    labels = (cache / "arrays" / dataset_id / f"{split}-labels.npy" for split in SPLITS)
    try:
        train, test = (len(np.load(file, mmap_mode="r", allow_pickle=False)) for file in labels)
    except (OSError, ValueError, EOFError, TypeError):
        return None
    return train, test


def prepare(dataset: Dataset, data_root: Where = None, cache_dir: Where = None, expect: str | None = None) -> Arrays:
    """The dataset as memory-mapped arrays, decoded into `cache_dir` unless the cache holds them.

    `data_root` contains a folder named like the dataset, or is that folder; it is only read, and not opened at all if
    the cache holds `expect`.  Arrays are verified against their digest once per process; damaged ones are decoded
    again.  ValueError with both ids if the data is not `expect`; FileNotFoundError without data and without a cached
    copy; OSError if the cache is not writable.
    """
    cache, root = cache_folder(cache_dir), path_of(data_root)
    if expect is not None and (arrays := _open(cache, expect)):
        return arrays
    try:
        files = dataset.files(root)
    except IncompleteError:
        raise
    except FileNotFoundError:
        # Without data and without `expect`, `identify` gives the id of the published set.
        if expect is None and dataset.published_id and (arrays := _open(cache, dataset.published_id)):
            return arrays
        raise
    fingerprint = _fingerprint(dataset, files)
    arrays = _remembered(cache, fingerprint)
    if arrays is None:
        log.info("decoding %s into %s, unless another process is decoding it", dataset.name, cache)
        with ExitStack() as held:
            with writing(cache):
                held.enter_context(lock(cache / "sources", fingerprint or dataset.name))
            # Another process may have decoded the files while this one waited for the lock.
            arrays = _remembered(cache, fingerprint)
            if arrays is None:
                content = _decode(dataset, root)
                with writing(cache):
                    arrays = _store(cache, fingerprint, files, dataset.prefix, content)
    if expect is not None and arrays.dataset_id != expect:
        raise ValueError(
            f"{dataset.name} at {data_root or 'its embedded files'} is {arrays.dataset_id}, but {expect} was planned;"
            " provide the data that the plan was made with, or plan again with this data"
            + ("" if fingerprint else "; or does its `read` give other images on every call?")
        )
    return arrays


def path_of(folder: Where) -> Path | None:
    """A folder as an absolute path; ValueError if it begins with a home folder that does not exist."""
    if folder is None:
        return None
    found = os.path.expanduser(os.fspath(folder))
    if found.startswith("~"):
        raise ValueError(
            f"{folder}: there is no such home folder; give the whole path, or set HOME (./{found} is a folder of that "
            "name)"
        )
    return Path(found).absolute()


def cache_folder(cache_dir: Where = None) -> Path:
    """The folder of the cache: the given one, else `archsweep` below XDG_CACHE_HOME or ~/.cache.

    ValueError if the user has no home folder: a relative path would be another cache in each working directory.
    """
    given = path_of(cache_dir)
    if given is not None:
        return given
    # The XDG specification says that relative paths are ignored.
    standard = os.path.expanduser(os.environ.get("XDG_CACHE_HOME", ""))
    if os.path.isabs(standard):
        return Path(standard) / "archsweep"
    home = os.environ.get("HOME")
    if not home:
        with suppress(KeyError):
            home = pwd.getpwuid(os.getuid()).pw_dir
    if not home or not os.path.isabs(home):
        raise ValueError(
            f"there is no place for the array cache: HOME is {home or 'not set'}, and the user {os.getuid()} has no "
            "home folder; name a writable folder as cache_dir, or set XDG_CACHE_HOME or HOME"
        )
    return Path(home) / ".cache" / "archsweep"


def _fingerprint(dataset: Dataset, files: Sequence[Path]) -> str | None:
    """A short digest of the paths, sizes and times of the data files: fast, and different if the files change.

    None if only reading tells the content: for a dataset without files whose code is not installed.
    """
    stats = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    # The published id represents the reader: if an embedded set is made differently, it gets a new id.
    source = registry().source(dataset.name) if not hasattr(dataset, "source") else dataset.source
    # The name and everything that decides how files are read: keys of a study, or the version of a plug-in.
    reader = [DECODED, dataset.prefix, dataset.published_id, repr(source)]
    if _is_plugin(dataset):
        code = reader_code.digest(dataset)
        if code is None or not (files or reader_code.installed(dataset)):
            return None
        reader += [code, _ADDRESS.sub("", repr(reader_code.fields_of(dataset)))]
    text = json.dumps([*reader, stats])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _is_plugin(dataset: Dataset) -> bool:
    """Whether the dataset or its reader comes from another distribution or a script."""
    return reader_code.is_plugin(dataset) or registry().source(dataset.name) is not None


def _known(cache: Path, fingerprint: str | None) -> str | None:
    """The id that files with this fingerprint had when they were decoded; None if they never were."""
    if fingerprint is None:
        return None
    try:
        text = (cache / "sources" / f"{fingerprint}.json").read_text(encoding="utf-8")
        known = json.loads(text)["dataset_id"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return known if isinstance(known, str) and _ID.fullmatch(known) else None


def _remembered(cache: Path, fingerprint: str | None) -> Arrays | None:
    """The cached arrays of files with this fingerprint; None if they are missing or damaged."""
    known = _known(cache, fingerprint)
    return _open(cache, known) if known else None


def _decode(dataset: Dataset, root: Path | None) -> list[tuple[SplitName, Images, Labels]]:
    return [(split, *_checked(dataset, split, *dataset.read(split, root))) for split in SPLITS]


def _checked(dataset: Dataset, split: SplitName, images: Images, labels: Labels) -> tuple[Images, Labels]:
    """Images and labels that a dataset's `read` returned; ValueError if they contradict the facts of the dataset."""
    who, size = f"dataset {dataset.name}: read({split!r}) gives", dataset.size
    for array, expected, fits in (
        (images, f"(N, {size}, {size}, 3) uint8", lambda a: a.dtype == np.uint8 and a.shape[1:] == (size, size, 3)),
        (labels, f"({len(images)},) whole numbers", lambda a: a.dtype.kind in "iu" and a.shape == (len(images),)),
    ):
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{who} a {type(array).__name__}; expected an array {expected}")
        if not fits(array):
            raise ValueError(f"{who} {array.shape} {array.dtype}; expected {expected}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < dataset.classes:
        raise ValueError(f"{who} labels {labels.min()} to {labels.max()}; expected 0 to {dataset.classes - 1}")
    # A part of a published set is a dataset with another id; without a published set, the facts must be exact.
    promised = dataset.train_images if split == "train" else dataset.test_images
    if _is_plugin(dataset) and dataset.published_id is None and len(images) != promised:
        raise ValueError(f"{who} {len(images):,} images, and {split}_images says {promised:,}: correct one of them")
    return images, labels.astype(np.int64, copy=False)


def _open(cache: Path, dataset_id: str) -> Arrays | None:
    """Cached arrays of that id, verified; None if they are missing, incomplete or damaged."""
    if not _ID.fullmatch(dataset_id):
        return None  # not the name of a folder in the cache, perhaps a path elsewhere
    folder = cache / "arrays" / dataset_id
    paths = [folder / f"{split}-{part}.npy" for split in SPLITS for part in ("images", "labels")]
    try:
        seen = tuple((s.st_ino, s.st_size, s.st_mtime_ns) for s in (path.stat() for path in paths))
        # Mode "c" maps private pages: torch may share this memory, and no write reaches the file.
        maps = [np.load(path, mmap_mode="c", allow_pickle=False) for path in paths]
        train, test = Split(*maps[:2]), Split(*maps[2:])
        if _verified.get(folder) != seen:
            content = [("train", train.images, train.labels), ("test", test.images, test.labels)]
            actual = content_id(dataset_id.rpartition("-")[0], content)  # type: ignore[arg-type]
            if actual != dataset_id:
                log.warning("cached arrays in %s are damaged (they are %s)", folder, actual)
                return None
            _verified[folder] = seen
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        log.warning("cached arrays in %s are damaged (%s)", folder, error)
        return None
    return Arrays(dataset_id, train, test)


def _store(
    cache: Path,
    fingerprint: str | None,
    files: Sequence[Path],
    name: str,
    content: Sequence[tuple[SplitName, Images, Labels]],
) -> Arrays:
    """Write decoded arrays and a note of their source files; return the arrays as mapped from the cache.

    Without a fingerprint no note is written.
    """
    dataset_id = content_id(name, content)
    if fingerprint is None and (arrays := _open(cache, dataset_id)):
        return arrays
    folder = cache / "arrays" / dataset_id
    folder.mkdir(parents=True, exist_ok=True)
    for split, images, labels in content:
        publish_local(folder / f"{split}-images.npy", lambda file, a=images: np.save(file, a))  # type: ignore[misc]
        publish_local(folder / f"{split}-labels.npy", lambda file, a=labels: np.save(file, a))  # type: ignore[misc]
    note = json.dumps({"dataset_id": dataset_id, "files": [str(file) for file in files]}, indent=1)
    if fingerprint is not None:
        publish_local(cache / "sources" / f"{fingerprint}.json", lambda file: file.write(note.encode()))
    arrays = _open(cache, dataset_id)
    if arrays is None:
        raise OSError(f"the arrays just written to {folder} cannot be read back; check the disk and its free space")
    return arrays


@contextmanager
def writing(cache: Path, parts: Sequence[str] = ("arrays", "sources")) -> Iterator[None]:
    """Create the cache's folders, and add advice to errors of writing there."""
    try:
        for part in parts:
            (cache / part).mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno is None or not _concerns(error, cache):
            raise
        raise OSError(
            error.errno,
            f"cannot write the array cache {cache} ({error.strerror}); name a writable folder as cache_dir",
        ) from error


def _lock_file(path: Path) -> BinaryIO:
    """A lock file opened for writing if permitted, else for reading, which is enough to lock another user's file."""
    try:
        return path.open("ab")
    except OSError:
        return path.open("rb")


def _concerns(error: OSError, cache: Path) -> bool:
    """Whether an error concerns a file in the cache, or a parent folder that cannot be created or entered."""
    if error.filename is None:
        return True
    place = Path(os.fsdecode(error.filename)) if not isinstance(error.filename, int) else cache
    return place.is_relative_to(cache) or cache.is_relative_to(place)


@contextmanager
def lock(folder: Path, name: str) -> Iterator[None]:
    """An exclusive lock among the processes of this machine; released when the process ends."""
    with _lock_file(folder / f".{name}.lock") as file:
        # Some file systems have no locks: then two processes may decode the same files, which is harmless.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
