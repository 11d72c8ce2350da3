"""From the bytes of an image file to pixels, whatever colour model the file has."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from workers.datasets._dataset import LabelMap, Maps, Pixels
from workers.datasets._parquet import FORMATS

LARGEST = 100_000_000  # pixels: ten times the largest photograph of ImageNet, 300 MB
LONGEST = 100  # times as long as wide: with the shorter side at 256 px some 80 MB
_ORIENTATION = 0x0112


class BrokenImageError(ValueError):
    """Bytes that are no image, or one that is cut short."""


def decoded(data: bytes) -> Pixels:
    """RGB pixels (H, W, 3), upright; BrokenImageError says what is wrong.

    The content decides, not the name: ImageNet has a PNG called JPEG, and files in grey and CMYK.  Cameras note
    how they were held; like the readers of the papers, this one turns such an image upright.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged EXIF, which changes no pixel
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > LARGEST:
                    # Known from the header alone: a picture that would fill the memory is never decoded.
                    raise BrokenImageError(f"it has {image.width}x{image.height} pixels; at most {LARGEST:,} are read")
                if max(image.size) > LONGEST * min(image.size):
                    raise BrokenImageError(f"it is {image.width}x{image.height}; at most 1:{LONGEST} is read")
                image.load()
                turned = ImageOps.exif_transpose(image) if _turned(image) else image
                return np.array(turned if turned.mode == "RGB" else turned.convert("RGB"))
    except BrokenImageError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenImageError(f"{len(data):,} bytes cannot be decoded: {error}") from error


def decoded_map(data: bytes, file: str, maps: Maps, size: tuple[int, int]) -> LabelMap:
    """The class of each pixel of an image of `size` (rows, columns); BrokenImageError says what is wrong."""
    end, values = next((pair for pair in maps.values if file.endswith(pair[0])), maps.values[0])
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if (image.height, image.width) != size:
                right = f"its image has {size[1]}x{size[0]}"
                raise BrokenImageError(f"its label map {file} has {image.width}x{image.height} pixels; {right}")
            if image.mode not in ("L", "P"):
                raise BrokenImageError(f"its label map {file} is {image.mode}; right is one channel of 8 bits")
            found = np.array(image)
    except BrokenImageError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenImageError(f"its label map {file}, {len(data):,} bytes, cannot be decoded: {error}") from error
    table, known = np.zeros(256, np.uint8), np.zeros(256, bool)
    for value, label in values:
        table[value], known[value] = label, True
    if not known[found].all():
        strange = ", ".join(map(str, np.unique(found[~known[found]])[:5].tolist()))
        raise BrokenImageError(f"its label map {file} holds {strange}, which no class of {end or 'such maps'} has")
    return np.asarray(table[found])


def _turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # the parser of a foreign format on foreign bytes: whatever it says, the pixels are there
        return False
