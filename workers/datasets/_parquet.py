"""Reader of Parquet files that hold one encoded image and one label a row, as Hugging Face's hub does."""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from workers.datasets._dataset import Images, Labels, SplitName

IMAGE_COLUMNS = ("image", "img")
FORMATS = ("PNG", "WEBP", "JPEG", "BMP", "TIFF")  # not all that Pillow opens: its EPS reader starts another program
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_SHARD = re.compile(r"-(\d+)-of-(\d+)$")


def shards(folder: Path, split: str) -> list[Path]:
    """The Parquet files whose names begin with a split's, in their order, [] where there is none.

    `train.parquet`, or shards such as `train-00000-of-00002.parquet`; FileNotFoundError where one of those
    is missing, since the rest would pass for a smaller dataset.
    """
    files = sorted(folder.glob(f"{split}*.parquet"))
    if strange := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(f"{strange[0]} is no regular file; a pipe or a folder holds no images")
    numbered = [match for file in files if (match := _SHARD.search(file.stem))]
    if numbered:
        have = {int(match[1]) for match in numbered}
        missing = sorted(set(range(max(int(match[2]) for match in numbered))) - have)
        if missing:
            raise FileNotFoundError(
                f"{folder}: {split} shards {missing} are missing, {len(have)} are there; copy all of them"
            )
    return files


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

    The column `image` or `img` holds encoded images (PNG, WebP, ...), as bytes or as a struct with `bytes`;
    the first of the columns `label` that is there holds integers. With `grey` images have one channel, which is given
    three times. ValueError naming file, row and split where anything else is found.
    """
    total = sum(opened(file, split).metadata.num_rows for file in files)
    images = np.empty((total, size, size, 3), np.uint8)
    labels = np.empty(total, np.int64)
    at = 0
    for file in files:
        for row, (data, number) in enumerate(_rows(file, split, label)):
            place = f"{file}, row {row} ({split})"
            if at == total:
                raise ValueError(f"{place}: the files hold more than the {total} images they promise")
            images[at] = _pixels(data, size, place, "L" if grey else "RGB")
            labels[at] = _label(number, classes, place)
            at += 1
    if at != total:
        raise ValueError(f"{files[0].parent} ({split}) promises {total} images and holds {at}: a file is damaged")
    return images, labels


def labels(file: Path, split: SplitName, classes: int) -> Labels:
    """The labels of one file, (rows,), without its images; ValueError where one is no integer in 0..classes - 1."""
    parquet = opened(file, split)
    columns(parquet, file, split)
    try:
        column = parquet.read(columns=["label"]).column("label").to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} ({split}) is damaged: {error}") from error
    return np.array([_label(v, classes, f"{file}, row {row} ({split})") for row, v in enumerate(column)], np.int64)


class Rows:
    """The encoded images of Parquet files by row; what lies together in a file is read once, so ask in order."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._first = self._end = 0
        self._held: list[Any] = []

    def bytes_of(self, file: Path, row: int, split: SplitName, column: str = "") -> bytes:
        """The encoded image of a row; ValueError where there is none."""
        if file != self._file or not self._first <= row < self._end:
            self._read(file, row, split, column)
        return _encoded(self._held[row - self._first], f"{file}, row {row} ({split})")

    def _read(self, file: Path, row: int, split: SplitName, column: str) -> None:
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
        try:
            held = parquet.read_row_group(group, columns=[image]).column(image).to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{file} ({split}) is damaged: {error}") from error
        self._file, self._first, self._end, self._held = file, first, end, held


def reason(error: Exception) -> str:
    """What Pillow says is wrong with an image, the same in every process."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or its header is damaged"
    if isinstance(error, OSError | SyntaxError | ValueError):
        return _ADDRESS.sub("", str(error))
    return _ADDRESS.sub("", f"{type(error).__name__}: {error}")


class _Unfit(ValueError):
    """An image that can be decoded, and is not what the dataset holds."""


def opened(file: Path, split: str) -> Any:
    """A Parquet file; ValueError where it is none."""
    try:
        return pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} ({split}) is no readable Parquet file, perhaps cut short: {error}") from error


def columns(
    parquet: Any, file: Path, split: str, image: Sequence[str] = IMAGE_COLUMNS, label: Sequence[str] = ("label",)
) -> tuple[str, str]:
    """The columns of the images and of the labels, each the first that is there; ValueError where there is none."""
    have = parquet.schema_arrow.names
    found = [next((column for column in wanted if column in have), None) for wanted in (image, label)]
    if found[0] is None or found[1] is None:
        raise ValueError(
            f"{file} ({split}) has the columns {', '.join(have)}; "
            f"right are {' or '.join(image)} (encoded images) and {' or '.join(label)} (integers)"
        )
    return found[0], found[1]


def _rows(file: Path, split: SplitName, label: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Encoded image and label of every row, a bounded number of rows in memory."""
    parquet = opened(file, split)
    names = columns(parquet, file, split, label=label)
    try:
        for batch in parquet.iter_batches(batch_size=1000, columns=list(names)):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} ({split}) is damaged: {error}") from error


def _encoded(data: Any, place: str) -> bytes:
    if isinstance(data, dict):
        data = data.get("bytes")
    if not isinstance(data, bytes):
        raise ValueError(f"{place}: the image is {type(data).__name__}; right are the bytes of an image file")
    return data


def _pixels(data: Any, size: int, place: str, mode: str) -> Images:
    """Decoded pixels (size, size, 3) of an image in mode RGB or L."""
    data = _encoded(data, place)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            # Known from the header alone: a picture that would fill the memory is never decoded.
            if image.mode != mode or image.size != (size, size):
                seen = f"{image.width}x{image.height} {image.mode}"
                raise _Unfit(f"{place}: image is {seen}; right is {size}x{size} {mode}")
            return np.array(image if mode == "RGB" else image.convert("RGB"))
    except _Unfit:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{place}: image of {len(data)} bytes cannot be decoded: {reason(error)}") from error


def _label(label: Any, classes: int, place: str) -> int:
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < classes:
        raise ValueError(f"{place}: label is {label!r}; right is an integer in 0..{classes - 1}")
    return label
