"""Decodes image files of any colour model to RGB pixels, and label maps to classes."""

import io
import struct
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin

from workers.data.dataset import Maps
from workers.data.image_types import IGNORED, LabelMap, Pixels
from workers.data.parquet import FORMATS, reason

LARGEST = 100_000_000  # pixels: ten times the largest image of ImageNet, 300 MB
LONGEST = 100  # largest aspect ratio: some 80 MB with a shorter side of 256 px
TEXT = 64 * 2**20  # bytes of a PNG's uncompressed text and colour profile; editors store histories of some megabytes
_ORIENTATION, _BITS, _PHOTOMETRIC = 0x0112, 258, 262

# By default Pillow rejects a PNG with a text above 1 MiB, although the text does not affect the pixels.
PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, TEXT)
PngImagePlugin.MAX_TEXT_MEMORY = max(PngImagePlugin.MAX_TEXT_MEMORY, 2 * TEXT)

# Transformations to upright pixels, by the value of the EXIF orientation tag.
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


class BrokenImageError(ValueError):
    """Bytes that are not a valid image, or are truncated."""


def decoded(data: bytes, *, mapped: bool = False) -> Pixels:
    """RGB pixels (H, W, 3), upright; BrokenImageError says what is wrong.

    The format is detected from the content, not from the name: ImageNet contains a PNG named JPEG, and grey and CMYK
    files.  Images are rotated according to their EXIF orientation, as by the readers of the papers.  If an image has a
    label map (`mapped`), it is unknown whether the map was drawn before or after the rotation, so such an image is
    rejected unless the sizes decide.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > LARGEST:
                # Known from the header alone: a picture that would fill the memory is never decoded.
                raise BrokenImageError(f"it has {image.width}x{image.height} pixels; at most {LARGEST:,} are supported")
            if max(image.size) > LONGEST * min(image.size):
                raise BrokenImageError(
                    f"it is {image.width}x{image.height}; an aspect ratio of at most 1:{LONGEST} is supported"
                )
            if image.format != "TIFF":
                image.load()  # the EXIF data of a PNG is at its end
            orientation = _orientation(image)
            if mapped and orientation > 1 and (orientation < 5 or image.width == image.height):
                raise BrokenImageError(
                    f"its EXIF orientation is {orientation}, and it is unknown whether its label map was drawn before "
                    "or after the rotation; save both upright, without that tag"
                )
            image.load()  # Pillow itself rotates a TIFF here
            pixels = _rgb(image)
            turn = None if image.format == "TIFF" else _TURNS.get(orientation)
            return pixels if turn is None else np.ascontiguousarray(turn(pixels))
    except (BrokenImageError, MemoryError):
        raise
    except Exception as error:  # invalid bytes make decoders raise almost any exception
        raise BrokenImageError(_undecodable(data, error)) from error


def decoded_map(data: bytes, file: str, maps: Maps, size: tuple[int, int]) -> LabelMap:
    """The class of each pixel of a label map for an image of `size` (rows, columns); BrokenImageError if invalid."""
    end, values = next((pair for pair in maps.values if file.endswith(pair[0])), maps.values[0])
    what = f"its label map {file}"
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if (image.height, image.width) != size:
                raise BrokenImageError(
                    f"{what} has {image.width}x{image.height} pixels; its image has {size[1]}x{size[0]}"
                )
            stored = _stored_as(image)
            if image.mode not in ("L", "P") or (image.mode == "L" and stored != "L"):
                # Pillow scales 2 and 4 bits to 0..255, and inverts some TIFF files: not the stored values.
                raise BrokenImageError(f"{what} is {stored}; expected one channel of 8 bits")
            if image.format == "JPEG":
                raise BrokenImageError(f"{what} is a JPEG, which does not preserve exact values; save it as PNG")
            if image.format != "TIFF":
                image.load()
            if (orientation := _orientation(image)) > 1:
                raise BrokenImageError(f"{what} has the EXIF orientation {orientation}; save it without that tag")
            found = np.array(image)
    except (BrokenImageError, MemoryError):
        raise
    except Exception as error:  # as above
        raise BrokenImageError(f"{what}: {_undecodable(data, error)}") from error
    table, known = np.zeros(256, np.uint8), np.zeros(256, bool)
    for value, label in values:
        table[value], known[value] = label, True
    if not known[found].all():
        unknown = ", ".join(map(str, np.unique(found[~known[found]])[:5].tolist()))
        raise BrokenImageError(f"{what} holds {unknown}, which no class of {end or 'such maps'} has")
    if other := _mistaken(set(np.unique(found).tolist()), end, maps):
        raise BrokenImageError(
            f"{what} holds {IGNORED} and otherwise only values of {other}: it seems to be such a map under another "
            f"name; name it ...{other}, or give pixels without a class a value of {end}"
        )
    return np.asarray(table[found])


def _mistaken(seen: set[int], end: str, maps: Maps) -> str | None:
    """The kind of label map that a file named `...<end>` seems to be instead, by its values.

    For Cityscapes: train ids end at 18, and 255 means no class.  Label ids have other values for that, and almost every
    image has label ids above 18 (sky, plants, cars).
    """
    if IGNORED not in seen:
        return None
    kinds = {kind: {value for value, _ in values} for kind, values in maps.values}
    mine = kinds.get(end, set())
    return next((kind for kind, theirs in kinds.items() if theirs < mine and seen <= theirs), None)


def _rgb(image: Image.Image) -> Pixels:
    """The loaded pixels as 8-bit RGB; BrokenImageError if their value range is unknown."""
    if image.im.size != image.size:
        raise BrokenImageError(f"its header says {image.size} and its pixels are {image.im.size}")
    # Earlier versions of Pillow give 16-bit PNG files the mode of 32 bits.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        tags = getattr(image, "tag_v2", {})
        bits = int(tags.get(_BITS, (16,))[0])
        grey = np.asarray(image).astype(np.int64) >> (bits - 8)  # the high byte, as for 16-bit colour images
        if tags.get(_PHOTOMETRIC) == 0:
            grey = 255 - grey  # white is 0, which Pillow respects for 8 bits only
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        kind = "whole numbers" if image.mode == "I" else "floating-point numbers"
        raise BrokenImageError(f"its pixels are {kind} (mode {image.mode}) of unknown range; save it with 8 or 16 bits")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _stored_as(image: Image.Image) -> str:
    """The storage format of an image that is not loaded yet, in Pillow's notation: `L`, `L;4`, `I;16B`, ..."""
    args = image.tile[0][3] if image.tile else image.mode  # type: ignore[attr-defined]
    return str(args[0] if isinstance(args, tuple) else args)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is no readable tag."""
    try:
        # Pillow stops reading at the first damaged tag.
        value = _orientation_tag(image.info.get("exif") or b"") or image.getexif().get(_ORIENTATION, 1)
        return int(value) if value in range(2, 9) else 1
    except MemoryError:
        raise
    except Exception:  # invalid EXIF data may raise any exception; the pixels are valid
        return 1


def _orientation_tag(exif: bytes) -> int | None:
    """The orientation tag in the first EXIF directory, even if other tags are damaged; None if there is none."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order, found = ">" if exif.startswith(b"MM") else "<", None
    try:
        (place,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, place)
        for at in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", exif, at)
            if tag == _ORIENTATION and values == 1 and kind in (3, 4):  # 16 or 32 bits
                (found,) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", exif, at + 8)
    except struct.error:  # truncated
        pass
    return found


def _undecodable(data: bytes, error: Exception) -> str:
    text = reason(error)
    if "MAX_TEXT" in text:
        return (
            f"its texts or its colour profile unpack to more than {TEXT // 2**20} MiB; save it without them, the "
            "pixels may be intact"
        )
    return f"{len(data):,} bytes cannot be decoded: {text}"
