"""Augmentation of batches of small images, with random draws made beforehand.

Everything runs on the device of the images without synchronisation.  B: number of images, S: their side.
"""

from functools import lru_cache

import torch
from torch import Generator, Tensor

from workers.datasets import Dataset

PAD = 4
OFFSETS = 8  # of the 2 * PAD + 1 possible ones: UnNAS's crops never use the last offset on either axis


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """A small float32 vector, created once per device."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.float32, device=device)


def planes(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of uint8 (B, S, S, 3) at rows (B, ..., h) and columns (B, ..., w) -> uint8 (B, ..., 3, h * w).

    The only pass over the pixels that is not in memory order.
    """
    device, line = images.device, 3 * images.shape[2]
    # int32 indices halve the memory traffic of the indices; only batches of 2 GB need int64.
    kind = torch.int32 if images.numel() < 2**31 else torch.int64
    first = torch.arange(len(images), dtype=kind, device=device) * (line * images.shape[1])
    lines = (rows.to(kind) * line).add_(first.view(-1, *[1] * (rows.dim() - 1)))
    starts = lines[..., None, :] + torch.arange(3, dtype=kind, device=device)[:, None]  # (B, ..., 3, h)
    at = starts[..., None] + (columns.to(kind) * 3)[..., None, None, :]
    return images.flatten().index_select(0, at.flatten()).view(*at.shape[:-2], -1)


def normalise(pixels: Tensor, dataset: Dataset) -> Tensor:
    """(..., 3, P) in 0..255 -> float32, normalised by the dataset's mean and standard deviation."""
    mean, std = constant(dataset.mean, pixels.device), constant(dataset.std, pixels.device)
    return pixels.to(torch.float32).div_(255).sub_(mean[:, None]).div_(std[:, None])


def draw_flip(n: int, generator: Generator) -> Tensor:
    """Whether each of n images is flipped horizontally: bool (n,), true with probability 1/2."""
    return torch.randint(2, (n,), generator=generator, dtype=torch.uint8).bool()


def draw_crop(n: int, generator: Generator) -> Tensor:
    """Top and left offsets of n crops: uint8 (n, 2), 0 .. OFFSETS - 1."""
    return torch.randint(OFFSETS, (n, 2), generator=generator, dtype=torch.uint8)


def draw_hole(n: int, side: int, generator: Generator) -> Tensor:
    """The middles of n squares of cutout, rows and columns: int16 (n, 2), anywhere in the image."""
    return torch.randint(side, (n, 2), generator=generator, dtype=torch.int16)


def cut_out(inputs: Tensor, middles: Tensor, length: int) -> Tensor:
    """Zeros in a square of each image (B, C, S, S), which ends at the image's border (DeVries & Taylor 2017)."""
    at = torch.arange(inputs.shape[-1], device=inputs.device)
    first = middles.to(torch.int64)[..., None] - length // 2  # (B, 2, 1)
    inside = (at >= first) & (at < first + length // 2 * 2)  # (B, 2, S)
    return inputs.masked_fill_((inside[:, 0, :, None] & inside[:, 1, None, :])[:, None], 0)


def check(images: Tensor, side: int, task: str, dataset: Dataset) -> None:
    """ValueError unless the batch is uint8 (B, side, side, 3), or float32 for resized images."""
    expected = (torch.uint8,) if dataset.large is None else (torch.uint8, torch.float32)
    if images.dtype not in expected or images.shape[1:] != (side, side, 3):
        raise ValueError(
            f"{task} on {dataset.name}: images are {tuple(images.shape)} {images.dtype}; "
            f"expected (B, {side}, {side}, 3) {' or '.join(map(str, expected))}"
        )


def mirrored(columns: Tensor, flip: Tensor, side: int) -> Tensor:
    """Columns (B, w) of the flipped images as columns of the original images, where `flip` (B,) is true."""
    return torch.where(flip[:, None], side - 1 - columns, columns)


def augment_small(images: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
    """uint8 (B, S, S, 3) -> float32 (B, 3, S, S): normalised, flipped, padded with zeros and cropped.

    Without draws only normalised.  Padding follows normalisation, so the border has the mean colour.
    """
    side = images.shape[1]
    if not draws:
        return normalise(images.permute(0, 3, 1, 2).contiguous().flatten(2), dataset).view(-1, 3, side, side)
    crop = draws["crop"].to(torch.int64)
    cut = normalise(_shifted(images, crop, draws["flip"]).view(-1, 3, side * side), dataset)
    inside = _inside(side, images.device).index_select(0, crop[:, 0] * OFFSETS + crop[:, 1])
    return cut.mul_(inside[:, None]).view(-1, 3, side, side)


def _shifted(images: Tensor, crop: Tensor, flip: Tensor) -> Tensor:
    """uint8 (B, S, S, 3) -> uint8 (B, 3 * S * S), planar, flipped and shifted to its crop.

    In memory a plane is one long row.  So a crop is a copy of the image from another start address, instead of a gather
    of pixels.  Pixels beyond the border are wrong (from the next row, plane or image) and are masked afterwards.
    """
    count, side = len(images), images.shape[1]
    size = 3 * side * side
    # All images, then all flipped images, with one image of zeros at each end for crops that start or end outside.
    both = images.new_empty(2 * count + 2, 3, side, side)
    both[0] = both[-1] = 0
    both[1 : count + 1] = images.permute(0, 3, 1, 2)
    both[count + 1 : -1] = both[1 : count + 1].flip(3)
    corner = crop[:, 0] * side + crop[:, 1] - PAD * (side + 1)
    first = torch.arange(size, (count + 1) * size, size, device=images.device)
    start = first + flip * (count * size) + corner
    return both.as_strided((both.numel() - size + 1, size), (1, 1)).index_select(0, start)


@lru_cache(maxsize=8)
def _inside(side: int, device: torch.device) -> Tensor:
    """A mask per crop offset, 1 inside the image and 0 on the border: (OFFSETS ** 2, S * S)."""
    with torch.inference_mode(False):
        at = torch.arange(OFFSETS, device=device)[:, None] + torch.arange(-PAD, side - PAD, device=device)
        inside = ((at >= 0) & (at < side)).to(torch.float32)  # (OFFSETS, S)
        return (inside[:, None, :, None] * inside[None, :, None, :]).view(OFFSETS**2, -1)
