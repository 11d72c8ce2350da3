"""Datasets of images of many sizes: which files they are, what is prepared of them, and one image of them.

    <cache_dir>/photographs/<dataset_id>.arrow     one line an image: name, label, size, where it lies in the chunks
    <cache_dir>/chunks/                            see `_chunks`

The index is published last: where it is, everything is.  It is mapped, so a million lines cost a process nothing.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workers.datasets import _chunks
from workers.datasets._arrays import lock, publish, writing
from workers.datasets._choice import UNREAD, Choice
from workers.datasets._chunks import Chunk, Keep, Plan
from workers.datasets._dataset import SPLITS, Dataset, LabelMap, Labels, Maps, Pixels, Seen
from workers.datasets._decoding import BrokenImageError, decoded
from workers.datasets._listing import Listing, listing_of
from workers.datasets._own import Own
from workers.datasets._rehearsal import Pace, rehearse
from workers.notes import delivered

log = logging.getLogger(__name__)

FOLDERS = ("photographs", "chunks")
SHOWN = 20  # broken images that a message names
Note = Callable[[str], None]


@dataclass(frozen=True)
class Photographs:
    """One split: N images of many sizes, each made when it is asked for."""

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

    def sizes(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Height and width of some images, (B, 2)."""
        return np.stack([self._columns[name][numbers] for name in ("height", "width")], axis=1).astype(np.int64)

    @cached_property
    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        """The numbers of the index, where they are mapped."""
        names = ("label", "height", "width", "chunk", "offset", "length")
        return {name: np.asarray(self.table.column(name).combine_chunks().to_numpy()) for name in names}

    def pixels(self, number: int) -> Pixels:
        """An image (H, W, 3), in mode array a view of the mapped file; ValueError where its file is not the same."""
        height, width, chunk, offset, length = (
            int(self._columns[name][number]) for name in ("height", "width", "chunk", "offset", "length")
        )
        if self.keep == "pixels":
            return self._map(chunk)[offset : offset + 3 * height * width].reshape(height, width, 3)
        name = str(self.table.column("name")[number])
        if self.keep == "bytes":
            data = self._map(chunk)[offset : offset + length].tobytes()
        else:
            if self.root is None:
                raise FileNotFoundError("images in mode exact are read from their files: give data_root")
            data = (self.root / name).read_bytes()
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
        """The classes of an image's pixels (H, W); ValueError where their file is not the same any more."""
        height, width, chunk, offset, length = (
            int(self._columns[name][number]) for name in ("height", "width", "chunk", "offset", "length")
        )
        if self.keep == "pixels":
            return self._map(chunk)[offset + 3 * height * width : offset + length].reshape(height, width)
        if self.maps is None or self.root is None:
            raise FileNotFoundError("label maps in mode exact are read from their files: give data_root")
        file = str(self.table.column("map")[number])
        try:
            return _chunks.label_map(self.root, file, self.maps, (height, width))
        except BrokenImageError as error:
            raise ValueError(f"{file} below {self.root} has changed since it was checked: {error}") from error

    def _map(self, chunk: int) -> npt.NDArray[np.uint8]:
        if chunk not in self._maps:
            # Private pages, as with the arrays of small datasets: torch may take them, and no write reaches the file.
            path = self.cache / "chunks" / f"{self.chunks[chunk]}.bin"
            self._maps[chunk] = np.memmap(path, np.uint8, mode="c")
        return self._maps[chunk]


@dataclass(frozen=True)
class Stored:
    """A dataset of images of many sizes, prepared on this machine."""

    dataset_id: str
    train: Photographs
    test: Photographs


def look(dataset: Dataset, root: Path | None, choice: Choice) -> Seen:
    """What lies below `root`: the id of the files by their sorted paths and sizes, and how many images are trained on,
    broken ones among them; a name for plans where there is nothing."""
    try:
        listing = _listing(dataset, root)
    except FileNotFoundError:
        mark = f"{dataset.varied.mark if dataset.varied else 'train'}*"
        begun = root is not None and any(next(root.glob(f"{place}{mark}"), None) for place in ("", f"{dataset.name}/"))
        if begun or dataset.published_id is None:
            raise
        name = dataset.published_id if choice == Choice() else f"{dataset.name}-{choice.text}-{UNREAD}"
        return Seen(name, round(dataset.train_images * choice.fraction), dataset.test_images)
    return Seen(_id(dataset, listing, choice), listing.count(choice.fraction), len(listing.test))


def _listing(dataset: Dataset, root: Path | None) -> Listing:
    return dataset.listing(root) if isinstance(dataset, Own) else listing_of(dataset, root)


def _id(dataset: Dataset, listing: Listing, choice: Choice) -> str:
    return f"{dataset.name}-{choice.text}-{listing.digest}"


def prepare(
    dataset: Dataset,
    root: Path | None,
    cache: Path,
    expect: str | None,
    choice: Choice,
    check: bool = False,
    note: Note = log.info,
) -> Stored:
    """The dataset, decoded (mode array) or decoded once to see that it can be (mode exact).

    Goes on where an earlier call was killed.  With `check` what lies in the cache is read and compared with its
    checksums, and made anew where it differs.  ValueError naming the broken images unless they are to be skipped, and
    where the files are others than `expect`; OSError where the disk has no room.
    """
    if expect is not None and not check and (stored := _open(dataset, cache, expect, root)):
        return stored
    listing = _listing(dataset, root)
    dataset_id = _id(dataset, listing, choice)
    if expect is not None and (expect == dataset.published_id or expect.endswith(UNREAD)):
        raise ValueError(
            f"the study was planned on a machine that saw no files of {dataset.name}, so its trials have no names yet; "
            f"plan it where the files can be listed (they are {dataset_id})"
        )
    if expect is not None and dataset_id != expect:
        raise ValueError(
            f"{dataset.name} at {root} is {dataset_id}, but {expect} was planned; "
            "give the data the plan was made with, or plan again with this data"
        )
    # One process of a machine makes chunks at a time; the others find them made.
    with delivered(note) as note, writing(cache, FOLDERS), lock(cache / "chunks", "making"):
        stored = None if check else _open(dataset, cache, dataset_id, root)
        if stored is None:
            _make(dataset, listing, cache, dataset_id, choice, check, note)
            stored = _open(dataset, cache, dataset_id, root)
    if stored is None:
        raise OSError(f"the index just written to {cache / 'photographs'} does not read back; check the disk")
    return stored


def _make(
    dataset: Dataset, listing: Listing, cache: Path, dataset_id: str, choice: Choice, check: bool, note: Note
) -> None:
    """All chunks, then the index."""
    part, folder = listing.part(choice.fraction), cache / "chunks"
    _chunks.tidy(folder)
    if choice.mode == "array":
        keep: Keep = "pixels"
    else:
        keep = "nothing" if part.train[0].row is None else "bytes"
    maps = dataset.varied.maps if dataset.varied else None
    plans = list(_chunks.plans(part.root, (("train", part.train), ("test", part.test)), keep, choice.short_side, maps))
    chunks = _all(plans, folder, check, note)
    broken = {name: why for chunk in chunks for name, why in chunk.broken.items()}
    if broken:
        _tell(part.root, cache, dataset_id, broken, choice.skip_broken, note)
    publish(cache / "photographs" / f"{dataset_id}.arrow", lambda file: _write(file, plans, chunks, keep))


def _all(plans: list[Plan], folder: Path, check: bool, note: Note) -> list[Chunk]:
    """The chunks of all plans in order, those made that are missing."""
    found = {plan.key: chunk for plan in plans if (chunk := _chunks.known(plan, folder))}
    if check:
        for number, key in enumerate(list(found)):
            if not _chunks.sound(found[key], folder):
                note(f"chunk {key} is damaged and is made again")
                del found[key]
            elif number % 100 == 99:
                note(f"checked {number + 1:,} of {len(plans):,} chunks")
    missing = [plan for plan in plans if plan.key not in found]
    if missing:
        todo = sum(len(plan.entries) for plan in missing)
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        note(rehearse(missing, folder, threads).text(sum(len(plan.entries) for plan in plans)))
        pace = Pace(todo, note)
        with ThreadPoolExecutor(threads) as pool:
            try:
                for plan, chunk in zip(missing, pool.map(lambda p: _chunks.make(p, folder), missing), strict=True):
                    found[plan.key] = chunk
                    pace.add(len(plan.entries))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return [found[plan.key] for plan in plans]


def _tell(root: Path, cache: Path, dataset_id: str, broken: dict[str, str], skip: bool, note: Note) -> None:
    """List the broken images in a file; ValueError unless they are to be skipped."""
    file = cache / "photographs" / f"{dataset_id}.broken.txt"
    lines = [f"{root / name}: {why}" for name, why in sorted(broken.items())]
    publish(file, lambda out: out.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace")))
    if skip:
        note(f"{len(broken):,} broken images are left out; they are listed in {file}")
        return
    more = [f"and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
    raise ValueError(
        f"{len(broken):,} images cannot be decoded (all are listed in {file}):\n"
        + "\n".join(f"  {line}" for line in [*lines[:SHOWN], *more])
        + "\nreplace them, or leave them out: skip_broken = true in the study's dataset, --skip-broken of prepare"
    )


def _write(file: Any, plans: list[Plan], chunks: list[Chunk], keep: Keep) -> None:
    """The index: what was kept, of which chunks, and a batch of lines for each split."""
    lines: dict[str, list[tuple[Any, ...]]] = {split: [] for split in SPLITS}
    for number, (plan, chunk) in enumerate(zip(plans, chunks, strict=True)):
        lines[plan.split] += _lines(number, plan, chunk)
    about = {
        "keep": keep,
        "train": len(lines["train"]),
        "chunks": [chunk.key for chunk in chunks],
        "bytes": [sum(chunk.lengths) for chunk in chunks],
    }
    mapped = [("map", pa.string())] if plans[0].maps is not None else []
    schema = pa.schema([*_SCHEMA, *mapped]).with_metadata({"archsweep": json.dumps(about)})
    with pa.ipc.new_file(file, schema) as writer:
        for split in SPLITS:
            columns = list(zip(*lines[split], strict=True)) or [()] * len(schema)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("label", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("chunk", pa.int32()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
    ]
)


def _lines(number: int, plan: Plan, chunk: Chunk) -> Iterator[tuple[Any, ...]]:
    offset = 0
    for entry, height, width, length in zip(plan.entries, chunk.heights, chunk.widths, chunk.lengths, strict=True):
        if height:
            line = (entry.name, entry.label, height, width, number, offset, length)
            yield line if plan.maps is None else (*line, entry.map)
        offset += length


def _open(dataset: Dataset, cache: Path, dataset_id: str, root: Path | None) -> Stored | None:
    """What was prepared under that id; None where it is not there, or not as long as it was."""
    path = cache / "photographs" / f"{dataset_id}.arrow"
    if Path(dataset_id).name != dataset_id or not path.is_file():
        return None
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        about = json.loads(table.schema.metadata[b"archsweep"])
        for key, size in zip(about["chunks"], about["bytes"], strict=True):
            if os.stat(cache / "chunks" / f"{key}.bin").st_size != size:
                raise ValueError(f"chunk {key} is not as long as it was")
        train, test = table.slice(0, about["train"]), table.slice(about["train"])
        chunks, keep = tuple(about["chunks"]), about["keep"]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        log.warning("what was prepared in %s is damaged (%s)", path, error)
        return None
    below = root if isinstance(dataset, Own) else _below(root, dataset)
    maps = dataset.varied.maps if dataset.varied else None
    return Stored(dataset_id, *(Photographs(part, chunks, keep, below, cache, maps) for part in (train, test)))


def _below(root: Path | None, dataset: Dataset) -> Path | None:
    """The folder that names are relative to, without a look at its contents."""
    if root is None:
        return None
    mark = dataset.varied.mark if dataset.varied else "train"
    return next((folder for folder in (root / dataset.name, root) if next(folder.glob(mark), None)), root)
