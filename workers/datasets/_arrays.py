"""The node-local cache of small datasets: one is decoded once, then every process of the machine maps the same arrays.

    <cache_dir>/arrays/<dataset_id>/{train,test}-{images,labels}.npy     content, named by its digest
    <cache_dir>/sources/<fingerprint>.json                               which files hold which content

Arrays are content-addressed, so nothing is ever rewritten with other bytes and processes need no agreement;
the lock only spares them from decoding the same files at the same time.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from workers.datasets._choice import UNREAD
from workers.datasets._dataset import SPLITS, Dataset, Images, Labels, Seen, SplitName, content_id

log = logging.getLogger(__name__)
Where = str | os.PathLike[str] | None

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")  # one plain name, whatever a note or a plan says

# Arrays this process has verified: folder -> what `stat` said of its files then.
_verified: dict[Path, tuple[tuple[int, int, int], ...]] = {}


@dataclass(frozen=True)
class Split:
    """Images (N, H, W, 3) uint8 and labels (N,) int64, mapped privately: writing to them changes no file."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Arrays:
    """A dataset as arrays, with the identity of exactly these pixels and labels."""

    dataset_id: str
    train: Split
    test: Split


def look(dataset: Dataset, data_root: Where = None, cache_dir: Where = None) -> Seen:
    """What lies below `data_root`, or what is known of the complete published set where there is nothing.

    Writes nothing. Files that `prepare` has seen before are not decoded again; others are (CIFAR-10: about
    15 s). Where there is neither data nor a published set, the id is a name for plans: `<name>-unread`.
    """
    published = dataset.train_images, dataset.test_images
    try:
        files = dataset.files(path_of(data_root))
    except FileNotFoundError:
        return Seen(dataset.published_id or f"{dataset.name}-{UNREAD}", *published)
    cache = cache_folder(cache_dir)
    if known := _known(cache, _fingerprint(dataset, files)):
        return Seen(known, *(_counted(cache, known) or published))
    content = _decode(dataset, path_of(data_root))
    train, test = (len(labels) for _, _, labels in content)
    return Seen(content_id(_prefix(dataset), content), train, test)


def _counted(cache: Path, dataset_id: str) -> tuple[int, int] | None:
    """How many images the cached arrays of that id have, by their headers; None where they are not there."""
    labels = (cache / "arrays" / dataset_id / f"{split}-labels.npy" for split in SPLITS)
    try:
        train, test = (len(np.load(file, mmap_mode="r", allow_pickle=False)) for file in labels)
    except (OSError, ValueError, EOFError, TypeError):
        return None
    return train, test


def prepare(dataset: Dataset, data_root: Where = None, cache_dir: Where = None, expect: str | None = None) -> Arrays:
    """The dataset as memory-mapped arrays, decoded into `cache_dir` unless they are there already.

    `data_root` holds a folder named like the dataset, or is that folder; it is only read, and not even
    opened where the cache holds `expect`. Arrays are checked against their digest once a process; damaged
    ones are decoded again. ValueError naming both ids where the data is another than `expect`;
    FileNotFoundError where there is neither data nor a cached copy; OSError where the cache is not writable.
    """
    cache, root = cache_folder(cache_dir), path_of(data_root)
    if expect is not None and (arrays := _open(cache, expect)):
        return arrays
    try:
        files = dataset.files(root)
    except FileNotFoundError:
        # Without data and without a wish, the published set is what `identify` promises.
        if expect is None and dataset.published_id and (arrays := _open(cache, dataset.published_id)):
            return arrays
        raise
    fingerprint = _fingerprint(dataset, files)
    arrays = _remembered(cache, fingerprint)
    if arrays is None:
        log.info("decoding %s into %s, unless another process does", dataset.name, cache)
        with writing(cache), lock(cache / "sources", fingerprint):
            # Another process may have decoded the files while this one waited.
            arrays = _remembered(cache, fingerprint)
            if arrays is None:
                arrays = _store(cache, fingerprint, files, _prefix(dataset), _decode(dataset, root))
    if expect is not None and arrays.dataset_id != expect:
        raise ValueError(
            f"{dataset.name} at {data_root or 'its embedded files'} is {arrays.dataset_id}, but {expect} was planned;"
            " give the data the plan was made with, or plan again with this data"
        )
    return arrays


def _prefix(dataset: Dataset) -> str:
    """What an id begins with: the name, and what else changes numbers besides pixels and labels."""
    return str(getattr(dataset, "prefix", dataset.name))


def path_of(folder: Where) -> Path | None:
    """A folder as an absolute path."""
    return None if folder is None else Path(os.path.expanduser(folder)).absolute()


def cache_folder(cache_dir: Where = None) -> Path:
    """The cache's folder: as given, else `archsweep` below XDG_CACHE_HOME or ~/.cache."""
    given = path_of(cache_dir)
    if given is not None:
        return given
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(home)).absolute() / "archsweep"


def _fingerprint(dataset: Dataset, files: Sequence[Path]) -> str:
    """Short digest of where the data lies, how large and how old it is: cheap, and changes when it does."""
    stats = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    # The published id stands for the reader: an embedded set that is cut anew has another one.
    from workers.datasets import registry

    # Beside the name all that decides how files are read: the keys of a study, the version of a foreign reader.
    reader = [_prefix(dataset), dataset.published_id, repr(getattr(dataset, "source", registry().source(dataset.name)))]
    text = json.dumps([*reader, stats])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _known(cache: Path, fingerprint: str) -> str | None:
    """The id that files of this fingerprint had when they were decoded, None where they never were."""
    try:
        text = (cache / "sources" / f"{fingerprint}.json").read_text(encoding="utf-8")
        known = json.loads(text)["dataset_id"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return known if isinstance(known, str) and _ID.fullmatch(known) else None


def _remembered(cache: Path, fingerprint: str) -> Arrays | None:
    """The arrays that files of this fingerprint were decoded to, None unless they are there and sound."""
    known = _known(cache, fingerprint)
    return _open(cache, known) if known else None


def _decode(dataset: Dataset, root: Path | None) -> list[tuple[SplitName, Images, Labels]]:
    return [(split, *dataset.read(split, root)) for split in SPLITS]


def _open(cache: Path, dataset_id: str) -> Arrays | None:
    """Cached arrays of that id, verified; None where they are absent, incomplete or damaged."""
    if not _ID.fullmatch(dataset_id):
        return None  # names no folder of the cache, perhaps one elsewhere
    folder = cache / "arrays" / dataset_id
    paths = [folder / f"{split}-{part}.npy" for split in SPLITS for part in ("images", "labels")]
    try:
        seen = tuple((s.st_ino, s.st_size, s.st_mtime_ns) for s in (path.stat() for path in paths))
        # Mode "c" maps private pages: torch may take them as its own, and no write reaches the file.
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
    except (ValueError, EOFError) as error:
        log.warning("cached arrays in %s are damaged (%s)", folder, error)
        return None
    return Arrays(dataset_id, train, test)


def _store(
    cache: Path,
    fingerprint: str,
    files: Sequence[Path],
    name: str,
    content: Sequence[tuple[SplitName, Images, Labels]],
) -> Arrays:
    """Writes decoded arrays and the note which files they came from; the arrays as they lie there now."""
    dataset_id = content_id(name, content)
    folder = cache / "arrays" / dataset_id
    folder.mkdir(parents=True, exist_ok=True)
    for split, images, labels in content:
        publish(folder / f"{split}-images.npy", lambda file, a=images: np.save(file, a))  # type: ignore[misc]
        publish(folder / f"{split}-labels.npy", lambda file, a=labels: np.save(file, a))  # type: ignore[misc]
    note = json.dumps({"dataset_id": dataset_id, "files": [str(file) for file in files]}, indent=1)
    publish(cache / "sources" / f"{fingerprint}.json", lambda file: file.write(note.encode()))
    arrays = _open(cache, dataset_id)
    if arrays is None:
        raise OSError(f"the arrays just written to {folder} do not read back; check the disk or its free space")
    return arrays


def publish(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """A file that is there whole or not at all, whoever reads it and whenever the machine stops."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def writing(cache: Path, parts: Sequence[str] = ("arrays", "sources")) -> Iterator[None]:
    """Makes the cache's folders, and turns the system's refusals to write there into advice."""
    try:
        for part in parts:
            (cache / part).mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(cache)):
            raise
        if error.errno is None:
            raise
        raise OSError(
            error.errno,
            f"cannot write the array cache {cache} ({error.strerror}); name a writable folder as cache_dir",
        ) from error


@contextmanager
def lock(folder: Path, name: str) -> Iterator[None]:
    """One process of this machine at a time; gone with the process that held it."""
    with (folder / f".{name}.lock").open("ab") as file:
        # Some file systems have no locks: then two processes decode the same files, which harms nobody.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
