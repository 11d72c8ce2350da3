"""Datasets with images of many sizes: their identity, their preparation, and access to single images.

    <cache_dir>/photographs/<dataset_id>.arrow     one line per image: name, label, size, place in the chunks
    <cache_dir>/chunks/                            see workers/data/chunks.py

The index is written last, so the preparation is complete if the index exists.  It is memory-mapped, so a million lines
need no memory per process.

The id of such a dataset covers names, sizes and labels, so other files may have the same id.  The index names its
chunks, whose names are digests of folder, sizes and times of all files.  If these have changed, the dataset is prepared
again, reusing the chunks that are still valid.
"""

import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workers.data import chunks as _chunks
from workers.data import index as _index
from workers.data.arrays import lock, writing
from workers.data.chunks import Chunk, Keep, Plan
from workers.data.dataset import Dataset, DatasetInfo, Maps
from workers.data.decode import BrokenImageError, decoded, decoded_map
from workers.data.form import UNREAD, Form
from workers.data.image_files import Listing
from workers.data.image_types import LabelMap, Labels, Pixels
from workers.data.listed import folder_of, listing_of, partly_exists
from workers.data.notes import background_notes
from workers.data.parquet import Rows
from workers.data.preparation import ProgressNotes, estimate_preparation
from workers.data.walk import listed, shown
from workers.files import publish_local

log = logging.getLogger(__name__)

FOLDERS = ("photographs", "chunks")
Note = Callable[[str], None]


@dataclass(frozen=True)
class LargeSplit:
    """One split: N images of many sizes, each decoded or mapped when it is used."""

    table: pa.Table
    chunks: tuple[str, ...]
    keep: Keep
    root: Path | None
    cache: Path
    maps: Maps | None = None
    _maps: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def labels(self) -> Labels:
        """The class of each image, (N,)."""
        return self._columns["label"].astype(np.int64)

    def relabelled(self, labels: Labels) -> "LargeSplit":
        """The same images with other labels (N,)."""
        place = self.table.column_names.index("label")
        return replace(self, table=self.table.set_column(place, "label", pa.array(labels)))

    def part(self, positions: npt.NDArray[np.int64]) -> "LargeSplit":
        """The images at these positions (n,)."""
        return replace(self, table=self.table.take(positions))

    def sizes(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Heights and widths of some images, (B, 2)."""
        return np.stack([self._columns[name][numbers] for name in ("height", "width")], axis=1).astype(np.int64)

    @cached_property
    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        """The numeric columns of the index, memory-mapped."""
        names = ("label", "height", "width", "chunk", "offset", "length")
        return {name: np.asarray(self.table.column(name).combine_chunks().to_numpy()) for name in names}

    def pixels(self, number: int) -> Pixels:
        """An image (H, W, 3), in mode array a view of the mapped file; ValueError if its file has changed."""
        height, width, chunk, offset, length = (
            int(self._columns[name][number]) for name in ("height", "width", "chunk", "offset", "length")
        )
        if self.keep == "pixels":
            return self._map(chunk)[offset : offset + 3 * height * width].reshape(height, width, 3)
        name = _index.file_of(self.table, "name", number)
        if self.keep == "bytes":
            data = self._map(chunk)[offset : offset + length].tobytes()
        else:
            data = self._bytes(name, number, 0)
        try:
            found = decoded(data)
        except BrokenImageError as error:
            raise ValueError(f"{name} below {self.root} has changed since it was checked: {error}") from error
        if found.shape[:2] != (height, width):
            raise ValueError(
                f"{name} below {self.root} has changed since it was checked: it is {found.shape[1]}x{found.shape[0]}, "
                f"and was {width}x{height}"
            )
        return found

    def label_map(self, number: int) -> LabelMap:
        """The classes of an image's pixels (H, W); ValueError if their file has changed."""
        height, width, chunk, offset, length = (
            int(self._columns[name][number]) for name in ("height", "width", "chunk", "offset", "length")
        )
        if self.keep == "pixels":
            return self._map(chunk)[offset + 3 * height * width : offset + length].reshape(height, width)
        if self.maps is None:
            raise ValueError("the images of this dataset have no label maps")
        file = _index.file_of(self.table, "map", number)
        try:
            return decoded_map(self._bytes(file, number, 1), file, self.maps, (height, width))
        except BrokenImageError as error:
            raise ValueError(f"{file} below {self.root} has changed since it was checked: {error}") from error

    def _bytes(self, file: str, number: int, which: int) -> bytes:
        """The content of an image's file (`which` 0) or of its label map (1); ValueError if it has changed since it was
        checked."""
        if self.root is None:
            raise FileNotFoundError("images in mode exact are read from their files: data_root is needed")
        changed = f"{file} below {self.root} has changed since it was checked"
        try:
            with (self.root / file).open("rb") as opened:
                about = os.fstat(opened.fileno())
                data = opened.read()
        except FileNotFoundError as error:
            raise ValueError(f"{changed}: it no longer exists") from error
        stamp = str(self.table.column("stamp")[number]).split()[2 * which : 2 * which + 2]
        if [str(about.st_size), str(about.st_mtime_ns)] != stamp:
            raise ValueError(f"{changed}: it was written or copied again; `archsweep prepare` checks it again")
        return data

    def _map(self, chunk: int) -> npt.NDArray[np.uint8]:
        if chunk not in self._maps:
            self._maps[chunk] = _chunks.memory_map(self.cache / "chunks" / f"{self.chunks[chunk]}.bin")
        return self._maps[chunk]


@dataclass(frozen=True)
class LargeDataset:
    """A dataset of images of many sizes, prepared on this machine."""

    dataset_id: str
    train: LargeSplit
    test: LargeSplit
    skipped: str = (
        ""  # number of broken images that are left out and 16 hex digits over their names: `2-0f...`; "": none
    )


def look(dataset: Dataset, root: Path | None, form: Form) -> DatasetInfo:
    """The id of the files below `root`, from their sorted paths and sizes, and the numbers of images, broken ones
    included; an id for plans if there are no files."""
    try:
        listing = listing_of(dataset, root)
    except FileNotFoundError:
        if partly_exists(dataset, root) or dataset.published_id is None:
            raise
        name = dataset.published_id if form == Form() else f"{dataset.name}-{form.text}-{UNREAD}"
        return DatasetInfo(name, round(dataset.train_images * form.fraction), dataset.test_images)
    return DatasetInfo(_id(dataset, listing, form), listing.count(form.fraction), len(listing.test), listing.unused)


def _id(dataset: Dataset, listing: Listing, form: Form) -> str:
    return f"{dataset.name}-{form.text}-{listing.digest}"


def prepare(
    dataset: Dataset,
    root: Path | None,
    cache: Path,
    expect: str | None,
    form: Form,
    check: bool = False,
    note: Note = log.info,
    recent: bool = False,
) -> LargeDataset:
    """The prepared dataset: decoded (mode array), or decoded once to check all images (mode exact).

    Continues where an earlier call was interrupted.  The cache is valid only for the files that it was made of; without
    any files it is used as it is, except in mode exact.  `check`: compare the cache with its checksums and rebuild what
    differs.  `recent`: a slow listing by another process of this machine is reused for a while.  ValueError naming
    broken images unless they are skipped, or if the files are not `expect`; OSError if a file cannot be read or the
    disk is full.
    """
    with ExitStack() as stack:
        if recent and expect is not None and Path(expect).name == expect:
            # If several processes start at once, only one lists the files: a million of them need some 500 MB.
            with suppress(OSError):  # nothing was prepared here, or the cache is read-only
                stack.enter_context(lock(cache / "photographs", expect))
            recorded = _index.checked_recently(cache, expect, root)
            if recorded and (stored := _open(dataset, cache, expect, folder_of(dataset, root))):
                return stored
        return _prepared(dataset, root, cache, expect, form, check, note)


def _prepared(
    dataset: Dataset, root: Path | None, cache: Path, expect: str | None, form: Form, check: bool, note: Note
) -> LargeDataset:
    """The prepared dataset, after listing all its files."""
    began = time.monotonic()
    try:
        listing = listing_of(dataset, root)
    except FileNotFoundError:
        stored = None if expect is None or partly_exists(dataset, root) else _open(dataset, cache, expect, None)
        if stored is None or stored.train.keep == "nothing":
            raise
        return stored
    dataset_id = _id(dataset, listing, form)
    if expect is not None and (expect == dataset.published_id or expect.endswith(UNREAD)):
        raise ValueError(
            f"the study was planned on a machine that saw no files of {dataset.name}, so its trials have no ids yet; "
            f"plan it where the files can be listed (they are {dataset_id})"
        )
    if expect is not None and dataset_id != expect:
        raise ValueError(
            f"{dataset.name} at {root} is {dataset_id}, but {expect} was planned; "
            "provide the data that the plan was made with, or plan again with this data"
        )
    plans = _plans(dataset, listing, form)
    keys = [plan.key for plan in plans]
    listed = time.monotonic() - began
    stored = None if check else _open(dataset, cache, dataset_id, listing.root, keys)
    if stored is None:
        # Only one process of a machine makes chunks at a time; the others find them in the cache.
        with background_notes(note) as note, writing(cache, FOLDERS), lock(cache / "chunks", "making"):
            there = _open(dataset, cache, dataset_id, listing.root, keys)
            stored = None if check else there
            if stored is None:
                _make(plans, cache, dataset_id, form, check, there is not None, note)
                stored = _open(dataset, cache, dataset_id, listing.root, keys)
    if stored is None:
        raise OSError(f"the index just written to {cache / 'photographs'} cannot be read back; check the disk")
    _index.record_check(cache, dataset_id, root, listed)
    return stored


def _plans(dataset: Dataset, listing: Listing, form: Form) -> list[Plan]:
    part = listing.part(form.fraction)
    if form.mode == "array":
        keep: Keep = "pixels"
    else:
        keep = "nothing" if part.train[0].row is None else "bytes"
    maps = dataset.large.maps if dataset.large else None
    return list(_chunks.plans(part.root, (("train", part.train), ("test", part.test)), keep, form.short_side, maps))


def _make(plans: list[Plan], cache: Path, dataset_id: str, form: Form, check: bool, there: bool, note: Note) -> None:
    """Make all chunks, then the index, unless it exists and is valid."""
    folder, index = cache / "chunks", cache / "photographs" / f"{dataset_id}.arrow"
    former = _index.metadata(index)
    if not there and former.get("form") == _index.FORM and former.get("chunks") != [plan.key for plan in plans]:
        note(
            f"{dataset_id} was prepared from files of another folder or time; the files are checked again.  The id is "
            "the same, as names, sizes and labels are the same: rows of the former files count for these as well"
        )
    _chunks.remove_drafts(folder)
    chunks = _all_chunks(plans, folder, check, note)
    broken = {name: why for chunk in chunks for name, why in chunk.broken.items()}
    if broken:
        _report_broken(plans[0].root, cache, dataset_id, broken, form.skip_broken, note)
    if not there or former.get("crcs") != [chunk.crc for chunk in chunks]:
        publish_local(index, lambda file: _index.write(file, plans, chunks, plans[0].keep, _index.skipped(broken)))


def _all_chunks(plans: list[Plan], folder: Path, check: bool, note: Note) -> list[Chunk]:
    """The chunks of all plans in order; missing ones are made."""
    found = {plan.key: chunk for plan in plans if (chunk := _chunks.load(plan, folder))}
    if check:
        for number, key in enumerate(list(found)):
            if not _chunks.is_intact(found[key], folder):
                note(f"chunk {key} is damaged and is made again")
                del found[key]
            elif number % 100 == 99:
                note(f"checked {number + 1:,} of {len(plans):,} chunks")
    missing = [plan for plan in plans if plan.key not in found]
    if missing:
        todo = sum(len(plan.entries) for plan in missing)
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        rows = Rows() if missing[0].entries[0].row is not None else None
        if rows is not None:
            missing[0] = replace(missing[0], data=_chunks.read_rows(missing[0], rows))
        note(estimate_preparation(missing, folder, threads).text(sum(len(plan.entries) for plan in plans)))
        progress = ProgressNotes(todo, note)
        for plan, chunk in zip(missing, _make_each(missing, folder, threads, rows), strict=True):
            found[plan.key] = chunk
            progress.add(len(plan.entries))
    return [found[plan.key] for plan in plans]


def _make_each(missing: Sequence[Plan], folder: Path, threads: int, rows: Rows | None) -> Iterator[Chunk]:
    """Make chunks in threads; rows of shards are read in this thread, in order, a few chunks ahead."""
    waiting: deque[Future[Chunk]] = deque()
    with _chunks.single_threads() as single, ThreadPoolExecutor(threads, initializer=single) as pool:
        try:
            for plan in missing:
                if rows is not None and plan.data is None:
                    plan = replace(plan, data=_chunks.read_rows(plan, rows))
                waiting.append(pool.submit(_chunks.make, plan, folder))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _report_broken(root: Path, cache: Path, dataset_id: str, broken: dict[str, str], skip: bool, note: Note) -> None:
    """Write the list of broken images to a file; ValueError unless they are skipped."""
    file = cache / "photographs" / f"{dataset_id}.broken.txt"
    lines = [shown(f"{root / name}: {why}") for name, why in sorted(broken.items())]
    publish_local(file, lambda out: out.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace")))
    if skip:
        note(f"{len(broken):,} broken images are left out (list {_index.skipped(broken)}); they are named in {file}")
        return
    raise ValueError(
        f"{len(broken):,} images cannot be decoded (all are listed in {file}):\n{listed(lines)}\n"
        "replace them, or leave them out: skip_broken = true in the study's dataset, --skip-broken of prepare"
    )


def _open(
    dataset: Dataset, cache: Path, dataset_id: str, below: Path | None, keys: Sequence[str] | None = None
) -> LargeDataset | None:
    """The prepared dataset of that id from the cache; None if it is missing or damaged, or made of other chunks than
    `keys`."""
    path = cache / "photographs" / f"{dataset_id}.arrow"
    if Path(dataset_id).name != dataset_id or not os.path.isfile(path):
        return None
    maps = dataset.large.maps if dataset.large else None
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        about = json.loads(table.schema.metadata[b"archsweep"])
        if about.get("form") != _index.FORM or about.get("decoded") != _index.decoder_version(maps):
            return None  # made by a version that decodes some files differently
        if keys is not None and about["chunks"] != list(keys):
            return None
        for key, size in zip(about["chunks"], about["bytes"], strict=True):
            if os.stat(cache / "chunks" / f"{key}.bin").st_size != size:
                raise ValueError(f"chunk {key} has another length than recorded")
        train, test = table.slice(0, about["train"]), table.slice(about["train"])
        chunks, keep, skipped = tuple(about["chunks"]), about["keep"], str(about["skipped"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        log.warning("the prepared dataset in %s is damaged (%s)", path, error)
        return None
    first, second = (LargeSplit(part, chunks, keep, below, cache, maps) for part in (train, test))
    return LargeDataset(dataset_id, first, second, skipped)
