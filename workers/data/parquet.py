"""Reader of Parquet files with one encoded image and one label per row, as on the Hugging Face hub."""

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from workers.data.image_types import Images, Labels, SplitName
from workers.data.walk import refuse_broken_links, sample

IMAGE_COLUMNS = ("image", "img")
_SAMPLED = 16  # blocks of a shard that its digest covers
FORMATS = ("PNG", "WEBP", "JPEG", "BMP", "TIFF")  # not all formats of Pillow: its EPS reader starts another program
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_OF = r"-(?P<number>\d+)-of-(?P<total>\d+)(?:-[0-9a-f]+)?"  # hubs appended a fingerprint for some years
_SHARD = re.compile(rf"(?P<form>.*?){_OF}")
_TAIL = rf"(?:{_OF}|(?P<separator>[-_.]?)(?P<place>\d+))?"
_WORDS = {"val": "val(?:id(?:ation)?)?"}  # patterns of names of a split; other splits only match their own name
_BATCH = 64  # rows in memory at a time; a row group may have a million
_BUFFER = 2**20  # bytes of a column read at a time; without it Arrow reads the column of a whole row group


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder sorted by name, without hidden ones; [] if the folder does not exist."""
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.name.lower().endswith(".parquet") and not f.name.startswith("."))


def named(folder: Path, split: str) -> list[Path]:
    """The files with the standard names of a split: `train.parquet`, `train-00000-of-00002.parquet` or, without a
    total, `train-0.parquet`; does not check that all of them exist."""
    pattern = _pattern(split)
    return [file for file in parquet_files(folder) if pattern.fullmatch(file.stem)]


def _pattern(split: str) -> re.Pattern[str]:
    return re.compile(f"(?P<form>{_WORDS.get(split, re.escape(split))}){_TAIL}")


def shards(folder: Path, split: str, *, loose: bool = False) -> list[Path]:
    """The Parquet files of a split in order; [] if there are none.

    `loose`: if no file has a standard name, all files whose names begin with the split's name are used; the split ""
    means all files.  FileNotFoundError if a shard is missing, since the rest would look like a smaller dataset;
    ValueError if a shard exists twice, or if names begin with the split's name but are not standard.
    """
    files = named(folder, split) if split else []
    if not files:
        begin = [file for file in parquet_files(folder) if file.stem.startswith(split)]
        if begin and not loose and split:
            raise ValueError(
                f"{folder} contains {', '.join(file.name for file in begin[:3])}, not valid names for split {split}; "
                f"expected {split}.parquet or {split}-00000-of-00002.parquet and so on: rename or move them"
            )
        files, pattern = begin, _SHARD
    else:
        pattern = _pattern(split)
    refuse_broken_links(*files)
    if special := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(
            f"{special[0]} is not a regular file; pipes and folders cannot be read as Parquet files"
        )
    sets: dict[tuple[str, str | None], list[tuple[int, Path]]] = {}
    whole: list[Path] = []
    for file in files:
        match = pattern.fullmatch(file.stem)
        found = match.groupdict() if match else {}
        if found.get("number") is not None:
            sets.setdefault((found["form"], found["total"]), []).append((int(found["number"]), file))
        elif found.get("place") is not None:
            sets.setdefault((found["form"] + found["separator"], None), []).append((int(found["place"]), file))
        else:
            whole.append(file)
    for (_, total), members in sets.items():
        _complete(folder, split, total, members)
    first = [members[0][1] for members in sets.values()] + whole
    forms = {form for form, _ in sets}
    if len(first) > 1 and (pattern is not _SHARD or len(forms) < len(sets)):
        raise ValueError(
            f"{folder} holds the images of {split or 'a split'} more than once: {', '.join(f.name for f in first[:5])} "
            "belong to different sets of files; keep one set"
        )
    return files


def _complete(folder: Path, split: str, total: str | None, members: list[tuple[int, Path]]) -> None:
    """Raise an error if shards of one set are missing or exist twice."""
    what = split or "some"
    numbers = Counter(number for number, _ in members)
    if twice := sorted(number for number, count in numbers.items() if count > 1):
        names = ", ".join(file.name for number, file in members if number == twice[0])
        raise ValueError(f"{folder}: {what} shard {twice[0]} exists more than once ({names}); keep one of them")
    start = 1 if 0 not in numbers and (total is None or int(total) in numbers) else 0
    end = start + int(total) if total is not None else max(numbers) + 1
    if beyond := [file.name for number, file in members if not start <= number < end]:
        raise ValueError(f"{folder}: {beyond[0]} has a number beyond its total; expected {start} to {end - 1}")
    if missing := sorted(set(range(start, end)) - set(numbers)):
        raise FileNotFoundError(
            f"{folder}: {what} shards {missing[:20]} are missing, {len(numbers)} were found; copy all of them"
        )


def read_images(
    files: Sequence[Path],
    split: SplitName,
    size: int,
    classes: int,
    *,
    label: Sequence[str] = ("label",),
    grey: bool = False,
) -> tuple[Images, Labels]:
    """Images (N, size, size, 3) and labels (N,) of all files in order.

    The column `image` or `img` holds encoded images (PNG, WebP, ...), as bytes or as a struct with `bytes`; the first
    existing column of `label` holds integers.  With `grey`, images have one channel, which is repeated three times.
    ValueError naming file, row and split for any other content.
    """
    total = sum(opened(file, split).metadata.num_rows for file in files)
    images = np.empty((total, size, size, 3), np.uint8)
    labels = np.empty(total, np.int64)
    at = 0
    for file in files:
        for row, (data, number) in enumerate(_rows(file, split, label)):
            place = f"{file}, row {row} ({split})"
            if at == total:
                raise ValueError(f"{place}: the files contain more than the {total} images that their metadata says")
            images[at] = _pixels(data, size, place, "L" if grey else "RGB")
            labels[at] = _label(number, classes, place)
            at += 1
    if at != total:
        raise ValueError(
            f"{files[0].parent} ({split}) should have {total} images by its metadata and has {at}: a file is damaged"
        )
    return images, labels


def labels(file: Path, split: SplitName, classes: int) -> Labels:
    """The labels of one file, (rows,), without its images; ValueError if one is not an integer in 0..classes - 1."""
    parquet = opened(file, split)
    columns(parquet, file, split)
    column = values(parquet, file, split, "label")
    return np.array([_label(v, classes, f"{file}, row {row} ({split})") for row, v in enumerate(column)], np.int64)


def values(parquet: Any, file: Path, split: str, column: str) -> list[Any]:
    """All values of a column of an open file."""
    try:
        found: list[Any] = parquet.read(columns=[column]).column(column).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, split, error) from error
    return found


def line(file: Path, size: int, labels: Sequence[Any]) -> str:
    """The identity of a shard: its size, 16 hex digits over its labels, 16 over a sample of its bytes.

    The size is not enough: uncompressed files of different images may have the same size.
    """
    text = json.dumps(list(labels))
    return f"{size} {hashlib.sha256(text.encode()).hexdigest()[:16]} {sample(file, size, _SAMPLED)}"


class Rows:
    """Reads encoded images of Parquet files by row; in ascending order each row is read only once.

    Only a few rows are in memory at a time, even if a row group is large.
    """

    def __init__(self) -> None:
        self._source: tuple[Path, str] | None = None
        self._batches: Iterator[Any] = iter(())
        self._first = self._end = self._last = 0  # rows held, and the end of the row group they are from
        self._held: list[Any] = []

    def bytes_of(self, file: Path, row: int, split: SplitName, column: str = "") -> bytes:
        """The encoded image of a row; NoImageError if it has none, ValueError if the file is damaged."""
        if (file, column) != self._source or not self._first <= row < self._last:
            self._start(file, row, split, column)
        while row >= self._end:
            self._next(file, split)
        return _encoded(self._held[row - self._first], f"{file}, row {row} ({split})")

    def _start(self, file: Path, row: int, split: SplitName, column: str) -> None:
        """Start at the row group that contains a row."""
        parquet = opened(file, split)
        image = column or columns(parquet, file, split)[0]
        first = 0
        for group in range(parquet.num_row_groups):
            end = first + parquet.metadata.row_group(group).num_rows
            if row < end:
                break
            first = end
        else:
            raise ValueError(f"{file} ({split}) has {first} rows; there is no row {row}")
        self._batches = parquet.iter_batches(batch_size=_BATCH, row_groups=[group], columns=[image])
        self._source, self._first, self._end, self._last, self._held = (file, column), first, first, end, []

    def _next(self, file: Path, split: str) -> None:
        try:
            held = next(self._batches).column(0).to_pylist()
        except (pa.ArrowException, OSError, StopIteration) as error:
            self._source = None
            raise _unreadable(file, split, error) from error
        self._first, self._end, self._held = self._end, self._end + len(held), held


class NoImageError(ValueError):
    """A row without an image."""


def _unreadable(file: Path, split: str, error: Exception) -> Exception:
    """The exception for a failed read by Arrow: OSError for a failing disk, ValueError for a damaged file."""
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, f"cannot be read: {error.strerror or error}", str(file))
    return ValueError(f"{file} ({split}) is damaged: {error or 'it ends too early'}")


def reason(error: Exception) -> str:
    """Pillow's error message for an image, without parts that differ between processes."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file, or its header is damaged"
    if isinstance(error, OSError | SyntaxError | ValueError):
        return _ADDRESS.sub("", str(error))
    return _ADDRESS.sub("", f"{type(error).__name__}: {error}")


class _Unfit(ValueError):
    """An image that can be decoded, but has another size or mode than the dataset's images."""


def opened(file: Path, split: str) -> Any:
    """An open Parquet file; ValueError if it is not one."""
    try:
        return pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
    except pa.ArrowException as error:
        raise ValueError(f"{file} ({split}) is not a readable Parquet file, perhaps truncated: {error}") from error


def columns(
    parquet: Any, file: Path, split: str, image: Sequence[str] = IMAGE_COLUMNS, label: Sequence[str] = ("label",)
) -> tuple[str, str]:
    """The columns of the images and of the labels: the first existing one of each list.

    ValueError if there is none, if two have the same name, or if the images are stored as paths only.
    """
    schema = parquet.schema_arrow
    have = schema.names
    found = [next((column for column in wanted if column in have), None) for wanted in (image, label)]
    if found[0] is None or found[1] is None:
        raise ValueError(
            f"{file} ({split}) has the columns {', '.join(have)}; "
            f"expected {' or '.join(image)} (encoded images) and {' or '.join(label)} (integers, or text where a "
            "study describes the dataset; image_column and label_column can name others)"
        )
    if twice := [name for name in found if have.count(name) > 1]:
        raise ValueError(f"{file} ({split}) has {have.count(twice[0])} columns {twice[0]}; which one is meant?")
    about = schema.field(found[0]).type
    if pa.types.is_string(about) or pa.types.is_large_string(about) or _lacks_bytes(about):
        raise ValueError(f"{file} ({split}), column {found[0]}: {_NAMED}")
    if pa.types.is_primitive(about) or pa.types.is_list(about) or pa.types.is_large_list(about):
        raise ValueError(f"{file} ({split}), column {found[0]} is {about}; expected the bytes of image files")
    return found[0], found[1]


_NAMED = "it contains the paths of images, not the images: embed their bytes, or describe the folder of images"


def _lacks_bytes(about: Any) -> bool:
    return bool(pa.types.is_struct(about) and about.get_field_index("bytes") < 0)


def _rows(file: Path, split: SplitName, label: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Encoded image and label of every row, with a bounded number of rows in memory."""
    parquet = opened(file, split)
    names = columns(parquet, file, split, label=label)
    try:
        for batch in parquet.iter_batches(batch_size=1000, columns=list(names)):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, split, error) from error


def _encoded(data: Any, place: str) -> bytes:
    if isinstance(data, dict):
        if data.get("bytes") is None and data.get("path"):
            raise ValueError(f"{place}: {_NAMED}")
        data = data.get("bytes")
    if not isinstance(data, bytes):
        raise NoImageError(f"{place}: the image is {type(data).__name__}; expected the bytes of an image file")
    return data


def _pixels(data: Any, size: int, place: str, mode: str) -> Images:
    """Decoded pixels (size, size, 3) of an image in mode RGB or L."""
    data = _encoded(data, place)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            # Read from the header: an image that is too large is never decoded.
            if image.mode != mode or image.size != (size, size):
                seen = f"{image.width}x{image.height} {image.mode}"
                raise _Unfit(f"{place}: image is {seen}; expected {size}x{size} {mode}")
            return np.array(image if mode == "RGB" else image.convert("RGB"))
    except _Unfit:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{place}: image of {len(data)} bytes cannot be decoded: {reason(error)}") from error


def _label(label: Any, classes: int, place: str) -> int:
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < classes:
        raise ValueError(f"{place}: label is {label!r}; expected an integer in 0..{classes - 1}")
    return label
