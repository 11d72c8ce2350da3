"""Reader of Parquet files that hold one encoded image and one label a row, as Hugging Face's hub does."""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from workers.datasets._dataset import Images, Labels, SplitName

IMAGE_COLUMNS = ("image", "img")
FORMATS = ("PNG", "WEBP", "JPEG", "BMP", "TIFF")  # not all that Pillow opens: its EPS reader starts another program
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


def read_images(files: Sequence[Path], split: SplitName, size: int, classes: int) -> tuple[Images, Labels]:
    """Images (N, size, size, 3) and labels (N,) of all files in order.

    The column `image` or `img` holds encoded images (PNG, WebP, ...), as bytes or as a struct with `bytes`;
    `label` holds integers. ValueError naming file, row and split where anything else is found.
    """
    total = sum(_open(file, split).metadata.num_rows for file in files)
    images = np.empty((total, size, size, 3), np.uint8)
    labels = np.empty(total, np.int64)
    at = 0
    for file in files:
        for row, (data, label) in enumerate(_rows(file, split)):
            place = f"{file}, row {row} ({split})"
            if at == total:
                raise ValueError(f"{place}: the files hold more than the {total} images they promise")
            images[at] = _pixels(data, size, place)
            labels[at] = _label(label, classes, place)
            at += 1
    if at != total:
        raise ValueError(f"{files[0].parent} ({split}) promises {total} images and holds {at}: a file is damaged")
    return images, labels


def labels(file: Path, split: SplitName, classes: int) -> Labels:
    """The labels of one file, (rows,), without its images; ValueError where one is no integer in 0..classes - 1."""
    parquet = _open(file, split)
    _columns(parquet, file, split)
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

    def bytes_of(self, file: Path, row: int, split: SplitName) -> bytes:
        """The encoded image of a row; ValueError where there is none."""
        if file != self._file or not self._first <= row < self._end:
            self._read(file, row, split)
        return _encoded(self._held[row - self._first], f"{file}, row {row} ({split})")

    def _read(self, file: Path, row: int, split: SplitName) -> None:
        parquet = _open(file, split)
        image = _columns(parquet, file, split)
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


class _Unfit(ValueError):
    """An image that can be decoded, and is not what the dataset holds."""


def _open(file: Path, split: SplitName) -> Any:
    try:
        return pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} ({split}) is no readable Parquet file, perhaps cut short: {error}") from error


def _columns(parquet: Any, file: Path, split: SplitName) -> str:
    """The column of the images; ValueError unless it and the labels are there."""
    have = parquet.schema_arrow.names
    image = next((column for column in IMAGE_COLUMNS if column in have), None)
    if image is None or "label" not in have:
        raise ValueError(
            f"{file} ({split}) has the columns {', '.join(have)}; "
            f"right are {' or '.join(IMAGE_COLUMNS)} (encoded images) and label (integers)"
        )
    return image


def _rows(file: Path, split: SplitName) -> Iterator[tuple[Any, Any]]:
    """Encoded image and label of every row, a bounded number of rows in memory."""
    parquet = _open(file, split)
    image = _columns(parquet, file, split)
    try:
        for batch in parquet.iter_batches(batch_size=1000, columns=[image, "label"]):
            yield from zip(batch.column(image).to_pylist(), batch.column("label").to_pylist(), strict=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} ({split}) is damaged: {error}") from error


def _encoded(data: Any, place: str) -> bytes:
    if isinstance(data, dict):
        data = data.get("bytes")
    if not isinstance(data, bytes):
        raise ValueError(f"{place}: the image is {type(data).__name__}; right are the bytes of an image file")
    return data


def _pixels(data: Any, size: int, place: str) -> Images:
    """Decoded RGB pixels (size, size, 3)."""
    data = _encoded(data, place)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            # Known from the header alone: a picture that would fill the memory is never decoded.
            if image.mode != "RGB" or image.size != (size, size):
                seen = f"{image.width}x{image.height} {image.mode}"
                raise _Unfit(f"{place}: image is {seen}; right is {size}x{size} RGB")
            return np.array(image)
    except _Unfit:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{place}: image of {len(data)} bytes cannot be decoded: {error}") from error


def _label(label: Any, classes: int, place: str) -> int:
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < classes:
        raise ValueError(f"{place}: label is {label!r}; right is an integer in 0..{classes - 1}")
    return label
