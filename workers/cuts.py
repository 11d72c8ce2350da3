"""Cutting a square out of one image: a box of it is resized, and of that a square is taken.

A *cut* is eight whole numbers: top, left, height and width of the box; rows and columns it is resized to; top and left
of the square in the resized box.  Which cuts are made is a task's matter (`Task.cuts`).
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workers.datasets import Pixels


def resized(pixels: Tensor, rows: int, columns: int) -> Tensor:
    """(H, W, 3) -> (rows, columns, 3) of the same type: bilinear, pixels as areas, no filter before reduction (UnNAS).

    The interpolation of bytes rounds twice, by 0.35 of a level on average and without a bias; it takes a third of the
    time.
    """
    if (rows, columns) == pixels.shape[:2]:
        return pixels
    wide = F.interpolate(pixels.permute(2, 0, 1)[None], size=(rows, columns), mode="bilinear", align_corners=False)
    return wide[0].permute(1, 2, 0)


def cut(pixels: Pixels, how: Sequence[int], side: int, dtype: torch.dtype) -> Tensor:
    """The square (side, side, 3) of an image uint8 (H, W, 3), as bytes or as float32 in 0..255."""
    top, left, height, width, rows, columns, down, right = how
    box = torch.from_numpy(pixels[top : top + height, left : left + width])
    return resized(box.to(dtype), rows, columns)[down : down + side, right : right + side]


def shrunk(pixels: Pixels, shorter: int) -> Pixels:
    """An image (H, W, 3) whose shorter side is at most `shorter`: scaled as tests scale it, rounded to bytes."""
    height, width = pixels.shape[:2]
    if min(height, width) <= shorter:
        return pixels
    rows, columns = scaled(height, width, shorter)
    smaller = resized(torch.from_numpy(pixels).to(torch.float32), rows, columns)
    return np.ascontiguousarray(smaller.round().to(torch.uint8).numpy())


def scaled(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Rows and columns of an image whose shorter side becomes `shorter`; the other is rounded down (UnNAS)."""
    if width < height:
        return int(height / width * shorter), shorter
    return shorter, int(width / height * shorter)
