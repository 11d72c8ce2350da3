"""Crops and resizes one image: a box of it is resized, and a square is taken from the result.

A *crop box* is eight integers: top, left, height and width of the box; rows and columns that it is resized to; top and
left of the square in the resized box.  Tasks decide which crops are made (`Task.crops`).
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workers.data.image_types import LabelMap, Pixels

# Pixels of a resized box above which only the visible part is computed.  Most boxes of Cityscapes are larger; of
# ImageNet only those of images 16 times as long as wide.
LARGE = 2**20


def resized(pixels: Tensor, rows: int, columns: int) -> Tensor:
    """(H, W, 3) -> (rows, columns, 3) of the same type: bilinear, `align_corners=False`, no antialiasing (UnNAS).

    For uint8 the interpolation rounds twice (error 0.35 of a grey level on average, no bias) and takes a third of the
    time.
    """
    if (rows, columns) == pixels.shape[:2]:
        return pixels
    wide = F.interpolate(pixels.permute(2, 0, 1)[None], size=(rows, columns), mode="bilinear", align_corners=False)
    return wide[0].permute(1, 2, 0)


def crop(pixels: Pixels, box: Sequence[int], frame: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """The crop of an image uint8 (H, W, 3): at most `frame` (rows, columns), as uint8 or as float32 in 0..255.

    Smaller than the frame where the image ends before it.
    """
    top, left, height, width, rows, columns, down, right = box
    source = torch.from_numpy(pixels[top : top + height, left : left + width])
    if rows * columns > LARGE and (rows, columns) != (height, width):
        return _window(source, rows, columns, down, right, frame, dtype)
    return resized(source.to(dtype), rows, columns)[down : down + frame[0], right : right + frame[1]]


def crop_map(label_map: LabelMap, box: Sequence[int], frame: tuple[int, int]) -> Tensor:
    """The crop of a label map uint8 (H, W), resized by nearest neighbour."""
    top, left, height, width, rows, columns, down, right = box
    y = top + _nearest(height, rows, down, frame[0])
    x = left + _nearest(width, columns, right, frame[1])
    return torch.from_numpy(label_map[y[:, None], x])


def _nearest(length: int, resized_to: int, first: int, count: int) -> np.ndarray:
    """For `count` positions of a resized line: the source pixel that contains the centre of each."""
    at = np.arange(first, min(first + count, resized_to))
    return np.minimum((2 * at + 1) * length // (2 * resized_to), length - 1)


def _window(
    box: Tensor, rows: int, columns: int, down: int, right: int, frame: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """`resized(...)[down:, right:]` within the frame, equal up to rounding, without computing the rest."""
    above, below, y = _taps(box.shape[0], rows, down, frame[0])
    before, after, x = _taps(box.shape[1], columns, right, frame[1])
    top, left = int(above[0]), int(before[0])
    part = box[top : int(below[-1]) + 1, left : int(after[-1]) + 1].to(torch.float32)
    lines = torch.lerp(part[above - top], part[below - top], y[:, None, None])
    seen = torch.lerp(lines[:, before - left], lines[:, after - left], x[:, None])
    return seen if dtype == torch.float32 else seen.round().to(dtype)


def _taps(length: int, resized_to: int, first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """For `count` positions of a resized line: the source pixels beside each centre, and the second one's weight."""
    at = torch.arange(first, min(first + count, resized_to), dtype=torch.float64)
    at = ((at + 0.5) * (length / resized_to) - 0.5).clamp(0, length - 1)
    low = at.floor()
    return low.long(), (low.long() + 1).clamp_max(length - 1), (at - low).float()


def shrunk(pixels: Pixels, shorter: int) -> Pixels:
    """An image (H, W, 3) with a shorter side of at most `shorter`: resized as for tests, rounded to uint8."""
    height, width = pixels.shape[:2]
    if min(height, width) <= shorter:
        return pixels
    rows, columns = scaled(height, width, shorter)
    smaller = resized(torch.from_numpy(pixels).to(torch.float32), rows, columns)
    return np.ascontiguousarray(smaller.round().to(torch.uint8).numpy())


def shrunk_map(label_map: LabelMap, shorter: int) -> LabelMap:
    """A label map (H, W), resized like its image."""
    height, width = label_map.shape
    if min(height, width) <= shorter:
        return label_map
    rows, columns = scaled(height, width, shorter)
    return np.asarray(label_map[_nearest(height, rows, 0, rows)[:, None], _nearest(width, columns, 0, columns)])


def scaled(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Rows and columns after resizing the shorter side to `shorter`; the longer side is rounded down (UnNAS)."""
    if width < height:
        return int(height / width * shorter), shorter
    return shorter, int(width / height * shorter)
