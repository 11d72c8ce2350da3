"""Images of a large dataset, decoded once, some hundred to a file; the name of a file tells what it was made of.

    <cache_dir>/chunks/<key>.bin     what is kept of the images, one after the other
    <cache_dir>/chunks/<key>.json    their sizes, their lengths in the file, what could not be decoded, a checksum

A chunk is complete when its JSON file is there.  Since the name is a digest of the images' names, sizes and times,
work that was killed goes on where it was, a changed image costs one chunk, and sets with equal parts share them.
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

COUNT = 512  # images of a chunk: 130 MB at a shorter side of 256 px, seconds of work
NO_IMAGE = "there is no image in this row"
Keep = Literal["pixels", "bytes", "nothing"]  # bytes: encoded, as they were in a shard


@dataclass(frozen=True)
class Chunk:
    """What a chunk holds; a list has one value an image, broken ones included (with size and length 0)."""

    key: str
    heights: list[int]
    widths: list[int]
    lengths: list[int]
    broken: dict[str, str]  # by the image's name: what is wrong
    crc: int


@dataclass(frozen=True)
class Plan:
    """The images of a chunk, and what is to be kept of them."""

    root: Path
    entries: Sequence[Entry]
    split: SplitName
    keep: Keep
    short_side: int
    maps: Maps | None = None
    # Of rows of a shard: the encoded images, or None where a row has none.  They are read by one reader in their order,
    # since a shard may be one row group, of which nothing can be read without all that is before it.
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
    """Chunk after chunk, the splits one after the other."""
    for split, entries in splits:
        for first in range(0, len(entries), COUNT):
            yield Plan(root, entries[first : first + COUNT], split, keep, short_side, maps)


def of_rows(plan: Plan, rows: Rows) -> Sequence[bytes | None]:
    """The encoded images of a chunk of rows, None for a row without one."""
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
    """An image of a chunk as it lies in its file or shard; BrokenImageError where there is none.

    A file that cannot be read is no broken image but an OSError: with the permission or the disk that is missing it
    may be as good as any, so it is never remembered as broken.
    """
    if plan.data is None:
        return file_bytes(plan.root / plan.entries[place].file)
    data = plan.data[place]
    if data is None:
        raise BrokenImageError(NO_IMAGE)
    return data


def file_bytes(file: Path) -> bytes:
    """What a file holds; OSError with its name, also where the system gives none."""
    try:
        return file.read_bytes()
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            error.errno, f"{error.strerror}; mend that, or remove the image, and try again", str(file)
        ) from error


def kept(plan: Plan, place: int) -> tuple[bytes, Pixels, LabelMap | None]:
    """The bytes of an image of a chunk, its pixels and its label map, shrunk; BrokenImageError where there are none."""
    from workers.data.resize import shrunk, shrunk_map  # imports torch

    side = plan.short_side if plan.keep == "pixels" else 2**31
    data = encoded(plan, place)
    pixels = decoded(data, mapped=plan.maps is not None)
    found = None
    if plan.maps is not None:
        found = shrunk_map(label_map(plan.root, plan.entries[place].map or "", plan.maps, pixels.shape[:2]), side)
    return data, shrunk(pixels, side), found


def label_map(root: Path, file: str, maps: Maps, size: tuple[int, int]) -> LabelMap:
    """The classes of an image's pixels as they lie in their file; BrokenImageError where it is no such map."""
    return decoded_map(file_bytes(root / file), file, maps, size)


def make(plan: Plan, folder: Path) -> Chunk:
    """Decode the images of a chunk and publish it."""
    found = Chunk(plan.key, [], [], [], {}, 0)
    crc = 0

    def write(file: BinaryIO) -> None:
        nonlocal crc
        for place, entry in enumerate(plan.entries):
            height = width = 0
            content = b""
            try:
                data, pixels, found_map = kept(plan, place)
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


def mapped(path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of a chunk, mapped; OSError where there are none.

    Private pages, as with the arrays of small datasets: torch may take them, and no write reaches the file.  Unlike
    `np.memmap` this holds no file descriptor, of which a process has 1,024 or fewer: a large dataset has thousands of
    chunks, and a random order of the images touches all of them.
    """
    import torch  # planning does without

    found: npt.NDArray[np.uint8] = torch.from_file(
        str(path), shared=False, size=os.stat(path).st_size, dtype=torch.uint8
    ).numpy()
    return found


@contextmanager
def single_threads() -> Iterator[Callable[[], None]]:
    """What a thread calls first in order to use torch by itself: resizing one image is no work for as many threads
    again.  Afterwards torch has the threads it had before."""
    import torch

    before = torch.get_num_threads()
    try:
        yield lambda: torch.set_num_threads(1)
    finally:
        torch.set_num_threads(before)  # it is in part a setting of the whole process


def known(plan: Plan, folder: Path) -> Chunk | None:
    """The chunk where it was made before, None where it was not or is not as long as it says."""
    try:
        chunk = Chunk(**json.loads((folder / f"{plan.key}.json").read_bytes()))
        size = os.stat(folder / f"{plan.key}.bin").st_size
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    if any("cannot be read" in why for why in chunk.broken.values()):
        return None  # of a former version, which took a file that it could not read for a broken image
    fits = chunk.key == plan.key and len(chunk.lengths) == len(plan.entries) and sum(chunk.lengths) == size
    return chunk if fits else None


def sound(chunk: Chunk, folder: Path) -> bool:
    """Whether a chunk's bytes are those that were written; reads all of them."""
    crc = 0
    with (folder / f"{chunk.key}.bin").open("rb") as file:
        while data := file.read(2**22):
            crc = zlib.crc32(data, crc)
    return crc == chunk.crc


def tidy(folder: Path) -> None:
    """Remove the drafts of processes that were killed; only with the lock held."""
    for draft in folder.glob(".*.bin.*"):
        draft.unlink(missing_ok=True)
