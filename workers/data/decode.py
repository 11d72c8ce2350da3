"""From the bytes of an image file to pixels, whatever colour model the file has."""

import io
import struct
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin

from workers.data.dataset import Maps
from workers.data.image_types import IGNORED, LabelMap, Pixels
from workers.data.parquet import FORMATS, reason

LARGEST = 100_000_000  # pixels: ten times the largest photograph of ImageNet, 300 MB
LONGEST = 100  # times as long as wide: with the shorter side at 256 px some 80 MB
TEXT = 64 * 2**20  # bytes of a PNG's unpacked texts and colour profile; editors write histories of megabytes
_ORIENTATION, _BITS, _PHOTOMETRIC = 0x0112, 258, 262

# Pillow refuses a PNG for a text above 1 MiB, though it changes no pixel.
PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, TEXT)
PngImagePlugin.MAX_TEXT_MEMORY = max(PngImagePlugin.MAX_TEXT_MEMORY, 2 * TEXT)

# What brings stored pixels upright, by the value of the EXIF tag.
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
    """Bytes that are no image, or one that is cut short."""


def decoded(data: bytes, *, mapped: bool = False) -> Pixels:
    """RGB pixels (H, W, 3), upright; BrokenImageError says what is wrong.

    The content decides, not the name: ImageNet has a PNG called JPEG, and files in grey and CMYK.  Cameras note
    how they were held; like the readers of the papers, this one turns such an image upright.  Where the image has a
    label map (`mapped`), nobody knows whether that was drawn on the turned image, unless the sizes tell: refused.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > LARGEST:
                # Known from the header alone: a picture that would fill the memory is never decoded.
                raise BrokenImageError(f"it has {image.width}x{image.height} pixels; at most {LARGEST:,} are read")
            if max(image.size) > LONGEST * min(image.size):
                raise BrokenImageError(f"it is {image.width}x{image.height}; at most 1:{LONGEST} is read")
            if image.format != "TIFF":
                image.load()  # a PNG has its EXIF at the end
            orientation = _orientation(image)
            if mapped and orientation > 1 and (orientation < 5 or image.width == image.height):
                raise BrokenImageError(
                    f"its EXIF orientation is {orientation}, and whether its label map was drawn before or after "
                    "turning cannot be told; save both upright, without that tag"
                )
            image.load()  # a TIFF is turned meanwhile, by Pillow itself
            pixels = _rgb(image)
            turn = None if image.format == "TIFF" else _TURNS.get(orientation)
            return pixels if turn is None else np.ascontiguousarray(turn(pixels))
    except (BrokenImageError, MemoryError):
        raise
    except Exception as error:  # foreign bytes make a decoder raise almost anything
        raise BrokenImageError(_undecodable(data, error)) from error


def decoded_map(data: bytes, file: str, maps: Maps, size: tuple[int, int]) -> LabelMap:
    """The class of each pixel of an image of `size` (rows, columns); BrokenImageError says what is wrong."""
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
                # Pillow stretches 2 and 4 bits to 0..255, and inverts some TIFF files: other numbers than were stored.
                raise BrokenImageError(f"{what} is {stored}; expected one channel of 8 bits")
            if image.format == "JPEG":
                raise BrokenImageError(f"{what} is a JPEG, which does not keep numbers as they are; save it as PNG")
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
        strange = ", ".join(map(str, np.unique(found[~known[found]])[:5].tolist()))
        raise BrokenImageError(f"{what} holds {strange}, which no class of {end or 'such maps'} has")
    if other := _mistaken(set(np.unique(found).tolist()), end, maps):
        raise BrokenImageError(
            f"{what} holds {IGNORED} and otherwise only numbers of {other}: it seems to be such a map under another "
            f"name; name it ...{other}, or give pixels without a class a number of {end}"
        )
    return np.asarray(table[found])


def _mistaken(seen: set[int], end: str, maps: Maps) -> str | None:
    """The kind of map that a file called `...<end>` seems to be instead, by the numbers in it.

    Of Cityscapes: train ids end at 18, and 255 fills what has no class.  Label ids have numbers of their own for that,
    and hardly an image without one above 18 (sky, plants, cars).
    """
    if IGNORED not in seen:
        return None
    kinds = {kind: {value for value, _ in values} for kind, values in maps.values}
    mine = kinds.get(end, set())
    return next((kind for kind, theirs in kinds.items() if theirs < mine and seen <= theirs), None)


def _rgb(image: Image.Image) -> Pixels:
    """The loaded pixels as 8 bits of red, green and blue; BrokenImageError where their range is not known."""
    if image.im.size != image.size:
        raise BrokenImageError(f"its header says {image.size} and its pixels are {image.im.size}")
    # Earlier Pillows call the 16 bits of a PNG by the mode of 32; a PNG has no more than 16.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        tags = getattr(image, "tag_v2", {})
        bits = int(tags.get(_BITS, (16,))[0])
        grey = np.asarray(image).astype(np.int64) >> (bits - 8)  # the high byte, as of colour images of 16 bits
        if tags.get(_PHOTOMETRIC) == 0:
            grey = 255 - grey  # white is 0, which Pillow heeds for 8 bits alone
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        kind = "whole numbers" if image.mode == "I" else "floating-point numbers"
        raise BrokenImageError(
            f"its pixels are {kind} (mode {image.mode}) whose black and white are not known; save it with 8 or 16 bits"
        )
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _stored_as(image: Image.Image) -> str:
    """How an image that is not loaded yet stores a pixel, in Pillow's words: `L`, `L;4`, `I;16B`, ..."""
    args = image.tile[0][3] if image.tile else image.mode  # type: ignore[attr-defined]
    return str(args[0] if isinstance(args, tuple) else args)


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 1 to 8; 1 where nothing readable says it."""
    try:
        # Pillow reads no further than the first damaged tag.
        value = _told(image.info.get("exif") or b"") or image.getexif().get(_ORIENTATION, 1)
        return int(value) if value in range(2, 9) else 1
    except MemoryError:
        raise
    except Exception:  # the parser of a foreign format on foreign bytes: whatever it says, the pixels are there
        return 1


def _told(exif: bytes) -> int | None:
    """The orientation among the tags of the first directory, whatever the others hold; None where there is none."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order, found = ">" if exif.startswith(b"MM") else "<", None
    try:
        (place,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, place)
        for at in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", exif, at)
            if tag == _ORIENTATION and values == 1 and kind in (3, 4):  # of 16 or 32 bits
                (found,) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", exif, at + 8)
    except struct.error:  # it ends too early
        pass
    return found


def _undecodable(data: bytes, error: Exception) -> str:
    said = reason(error)
    if "MAX_TEXT" in said:
        return (
            f"its texts or its colour profile unpack to more than {TEXT // 2**20} MiB; the pixels may be whole: "
            "save it without them"
        )
    return f"{len(data):,} bytes cannot be decoded: {said}"
