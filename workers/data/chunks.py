"""Decoded images of a large dataset, several hundred per file (a chunk), named by a digest of their source files.

    <cache_dir>/chunks/<key>.bin     the stored images, one after the other
    <cache_dir>/chunks/<key>.json    their sizes, their lengths in the file, images that cannot be decoded, a checksum

A chunk is complete when its JSON file exists.  Its name is a digest of the images' names, sizes and times.  Therefore
an interrupted preparation continues where it stopped, a changed image invalidates one chunk only, and datasets with
common parts share chunks.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from workers.data.dataset import Maps
from workers.data.decode import BrokenImageError, decoded, decoded_map
from workers.data.image_files import Entry
from workers.data.image_types import DECODED, LabelMap, Pixels, SplitName
from workers.data.parquet import NoImageError, Rows
from workers.files import publish_local

log = logging.getLogger(__name__)

COUNT = 512  # images per chunk: 130 MB at a shorter side of 256 px, some seconds of decoding
NO_IMAGE = "there is no image in this row"
Keep = Literal["pixels", "bytes", "nothing"]  # bytes: encoded, as in the shard


@dataclass(frozen=True)
class Chunk:
    """The content of a chunk.  Lists have one value per image, broken images included (with size and length 0)."""

    key: str
    heights: list[int]
    widths: list[int]
    lengths: list[int]
    broken: dict[str, str]  # image name -> what is wrong with it
    crc: int


@dataclass(frozen=True)
class Plan:
    """The source images of a chunk, and what is to be stored of them."""

    root: Path
    entries: Sequence[Entry]
    split: SplitName
    keep: Keep
    short_side: int
    maps: Maps | None = None
    # For rows of a shard: the encoded images, None for a row without one.  One reader reads them in order, since a
    # shard may be a single row group, which can only be read from its beginning.
    data: Sequence[bytes | None] | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> str:
        """The chunk's name: 32 hex digits."""
        about = f"{DECODED} {self.root}\n{self.keep} {self.short_side if self.keep == 'pixels' else ''}\n"
        if self.maps is not None:
            about += f"{self.maps.values}\n"
        lines = about + "".join(f"{e.name} {e.stamp}\n" for e in self.entries)
        return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def plans(
    root: Path,
    splits: Sequence[tuple[SplitName, Sequence[Entry]]],
    keep: Keep,
    short_side: int,
    maps: Maps | None = None,
) -> Iterator[Plan]:
    """The plans of all chunks, split by split."""
    for split, entries in splits:
        for first in range(0, len(entries), COUNT):
            yield Plan(root, entries[first : first + COUNT], split, keep, short_side, maps)


def read_rows(plan: Plan, rows: Rows) -> Sequence[bytes | None]:
    """The encoded images of a chunk of shard rows, None for a row without one."""
    return [encoded_image(plan.root, entry, plan.split, rows) for entry in plan.entries]


def encoded_image(root: Path, entry: Entry, split: SplitName, rows: Rows) -> bytes | None:
    """The bytes of an encoded image, None for a row without one; OSError where its file cannot be read."""
    if entry.row is None:
        return file_bytes(root / entry.file)
    try:
        return rows.bytes_of(root / entry.file, entry.row, split, entry.column)
    except NoImageError:
        return None


def encoded(plan: Plan, place: int) -> bytes:
    """The encoded bytes of an image of a chunk; BrokenImageError if the row has no image.

    A file that cannot be read raises OSError.  It is not recorded as a broken image, since it may be intact and only a
    permission or a disk may be missing.
    """
    if plan.data is None:
        return file_bytes(plan.root / plan.entries[place].file)
    data = plan.data[place]
    if data is None:
        raise BrokenImageError(NO_IMAGE)
    return data


def file_bytes(file: Path) -> bytes:
    """The content of a file; OSError with the name of the file, also where the system gives none."""
    try:
        return file.read_bytes()
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            error.errno, f"{error.strerror}; fix this or remove the image, and try again", str(file)
        ) from error


def decode_entry(plan: Plan, place: int) -> tuple[bytes, Pixels, LabelMap | None]:
    """The encoded bytes of an image, its resized pixels and label map; BrokenImageError if it cannot be decoded."""
    from workers.data.resize import shrunk, shrunk_map  # imports torch

    side = plan.short_side if plan.keep == "pixels" else 2**31
    data = encoded(plan, place)
    pixels = decoded(data, mapped=plan.maps is not None)
    found = None
    if plan.maps is not None:
        found = shrunk_map(label_map(plan.root, plan.entries[place].map or "", plan.maps, pixels.shape[:2]), side)
    return data, shrunk(pixels, side), found


def label_map(root: Path, file: str, maps: Maps, size: tuple[int, int]) -> LabelMap:
    """The classes of an image's pixels, read from their file; BrokenImageError if it is not a valid label map."""
    return decoded_map(file_bytes(root / file), file, maps, size)


def make(plan: Plan, folder: Path) -> Chunk:
    """Decode the images of a chunk and write its files."""
    found = Chunk(plan.key, [], [], [], {}, 0)
    crc = 0

    def write(file: BinaryIO) -> None:
        nonlocal crc
        for place, entry in enumerate(plan.entries):
            height = width = 0
            content = b""
            try:
                data, pixels, found_map = decode_entry(plan, place)
                height, width = pixels.shape[:2]
                if plan.keep == "pixels":
                    content = pixels.tobytes() + (b"" if found_map is None else found_map.tobytes())
                else:
                    content = data if plan.keep == "bytes" else b""
            except BrokenImageError as error:
                found.broken[entry.name] = str(error)
            found.heights.append(height)
            found.widths.append(width)
            found.lengths.append(len(content))
            crc = zlib.crc32(content, crc)
            file.write(content)

    publish_local(folder / f"{plan.key}.bin", write)
    whole = Chunk(found.key, found.heights, found.widths, found.lengths, found.broken, crc)
    text = json.dumps(asdict(whole), separators=(",", ":"))
    publish_local(folder / f"{plan.key}.json", lambda file: file.write(text.encode()))
    return whole


def memory_map(path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of a chunk as a memory map; OSError if the file is missing.

    The pages are private, as for the arrays of small datasets: torch may share this memory, and no write reaches the
    file.  Unlike `np.memmap` the map holds no file descriptor.  A process often has at most 1,024 of them, and a random
    order of images touches all of the thousands of chunks of a large dataset.
    """
    import torch  # not needed for planning

    found: npt.NDArray[np.uint8] = torch.from_file(
        str(path), shared=False, size=os.stat(path).st_size, dtype=torch.uint8
    ).numpy()
    return found


@contextmanager
def single_threads() -> Iterator[Callable[[], None]]:
    """An initialiser for worker threads that gives each one intra-op torch thread: resizing a single image is too small
    to parallelise.  On exit torch's number of threads is restored."""
    import torch

    before = torch.get_num_threads()
    try:
        yield lambda: torch.set_num_threads(1)
    finally:
        torch.set_num_threads(before)  # the setting partly applies to the whole process


def load(plan: Plan, folder: Path) -> Chunk | None:
    """The chunk if it is in the cache and its file has the recorded length, else None."""
    try:
        chunk = Chunk(**json.loads((folder / f"{plan.key}.json").read_bytes()))
        size = os.stat(folder / f"{plan.key}.bin").st_size
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    if any("cannot be read" in why for why in chunk.broken.values()):
        return None  # written by an earlier version, which recorded unreadable files as broken images
    fits = chunk.key == plan.key and len(chunk.lengths) == len(plan.entries) and sum(chunk.lengths) == size
    return chunk if fits else None


def is_intact(chunk: Chunk, folder: Path) -> bool:
    """Whether a chunk's bytes match its checksum; reads all of them."""
    crc = 0
    with (folder / f"{chunk.key}.bin").open("rb") as file:
        while data := file.read(2**22):
            crc = zlib.crc32(data, crc)
    return crc == chunk.crc


def remove_drafts(folder: Path) -> None:
    """Remove temporary files of killed processes; only while holding the lock."""
    for draft in folder.glob(".*.bin.*"):
        draft.unlink(missing_ok=True)
