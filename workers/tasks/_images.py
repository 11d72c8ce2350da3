"""Images as networks see them: whole batches at once, with draws made beforehand.

Everything runs on the device of the images and waits for none of its results. B images, S their side.
"""

from functools import lru_cache

import torch
from torch import Generator, Tensor

from workers.datasets import Dataset

PAD = 4
OFFSETS = 8  # of the 2 * PAD + 1 there are: UnNAS's crops never use the last offset, on either axis


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """A small float32 vector, made once a device."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.float32, device=device)


def planes(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Where rows (B, ..., h) and columns (B, ..., w) of uint8 (B, S, S, 3) cross -> uint8 (B, ..., 3, h * w).

    The one pass over the pixels that is not in the order of memory; everything after it is.
    """
    device, line = images.device, 3 * images.shape[2]
    # Half as many bytes of positions as int64, which is much of the work; a batch of 2 GB is the exception.
    kind = torch.int32 if images.numel() < 2**31 else torch.int64
    first = torch.arange(len(images), dtype=kind, device=device) * (line * images.shape[1])
    lines = (rows.to(kind) * line).add_(first.view(-1, *[1] * (rows.dim() - 1)))
    starts = lines[..., None, :] + torch.arange(3, dtype=kind, device=device)[:, None]  # (B, ..., 3, h)
    at = starts[..., None] + (columns.to(kind) * 3)[..., None, None, :]
    return images.flatten().index_select(0, at.flatten()).view(*at.shape[:-2], -1)


def normalise(pixels: Tensor, dataset: Dataset) -> Tensor:
    """(..., 3, P) of 0..255 -> float32, less the dataset's mean, over its standard deviation."""
    mean, std = constant(dataset.mean, pixels.device), constant(dataset.std, pixels.device)
    return pixels.to(torch.float32).div_(255).sub_(mean[:, None]).div_(std[:, None])


def draw_flip(n: int, generator: Generator) -> Tensor:
    """Whether each of n images is mirrored: bool (n,), true half of the time."""
    return torch.randint(2, (n,), generator=generator, dtype=torch.uint8).bool()


def draw_crop(n: int, generator: Generator) -> Tensor:
    """Top and left offset of n crops: uint8 (n, 2), 0 .. OFFSETS - 1."""
    return torch.randint(OFFSETS, (n, 2), generator=generator, dtype=torch.uint8)


def check(images: Tensor, side: int, task: str, dataset: Dataset) -> None:
    """ValueError unless the batch is uint8 (B, side, side, 3)."""
    if images.dtype != torch.uint8 or images.shape[1:] != (side, side, 3):
        raise ValueError(
            f"{task} on {dataset.name}: images are {tuple(images.shape)} {images.dtype}; "
            f"right is (B, {side}, {side}, 3) torch.uint8"
        )


def mirrored(columns: Tensor, flip: Tensor, side: int) -> Tensor:
    """Columns (B, w) of mirrored images, as columns of the images before `flip` (B,)."""
    return torch.where(flip[:, None], side - 1 - columns, columns)


def augmented(images: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
    """uint8 (B, S, S, 3) -> float32 (B, 3, S, S): normalised, mirrored, padded with zeros and cropped.

    Without draws only normalised. Zeros are put around normalised images, so the border is the mean colour.
    """
    side, device = images.shape[1], images.device
    if not draws:
        return normalise(images.permute(0, 3, 1, 2).contiguous().flatten(2), dataset).view(-1, 3, side, side)
    steps = torch.arange(-PAD, side - PAD, dtype=torch.int32, device=device)
    rows, columns = (steps + draws["crop"][:, axis, None] for axis in (0, 1))  # (B, S), -4 .. S + 3
    inside_rows, inside_columns = (((at >= 0) & (at < side)).to(torch.float32) for at in (rows, columns))
    rows = rows.clamp_(0, side - 1)
    columns = mirrored(columns, draws["flip"], side).clamp_(0, side - 1)
    cut = normalise(planes(images, rows, columns), dataset)
    inside = inside_rows[:, :, None] * inside_columns[:, None, :]
    return cut.mul_(inside.flatten(1)[:, None]).view(-1, 3, side, side)
