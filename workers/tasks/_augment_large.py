"""Augmentation of crops of large images: horizontal flip, PCA lighting (colour jitter), normalisation.

Pixels are uint8 or float32 in 0..255, (B, S, S, 3); everything runs on their device without synchronisation.
"""

import torch
from torch import Generator, Tensor

from workers.datasets import Dataset
from workers.tasks._augment_small import constant

LIGHT = 0.1  # standard deviation of PCA lighting, relative to that of the data along each axis


def draw_light(n: int, generator: Generator) -> Tensor:
    """PCA lighting of each image: coefficients of the three axes, float32 (n, 3)."""
    return torch.randn(n, 3, generator=generator) * LIGHT


def shift(light: Tensor, dataset: Dataset) -> Tensor:
    """Coefficients (B, 3) of the axes -> shifts (B, 3) of R, G, B on the 0..1 scale."""
    if dataset.large is None:
        raise ValueError(f"{dataset.name} has no PCA lighting parameters")
    along = constant(dataset.large.light, light.device) * light
    r, g, b = (sum(along[:, k] * axis[channel] for k, axis in enumerate(dataset.large.axes)) for channel in range(3))
    return torch.stack([r, g, b], dim=1)  # type: ignore[list-item]


def augment_large(pixels: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
    """(B, S, S, 3) -> float32 (B, 3, S, S): flipped, with PCA lighting, normalised; without draws only normalised."""
    planes = pixels.permute(0, 3, 1, 2).contiguous()  # while the pixels are uint8: a quarter of the memory traffic
    if "flip" in draws:
        planes = torch.where(draws["flip"][:, None, None, None], planes.flip(3), planes)
    scale, start = scales(draws.get("light"), len(pixels), pixels.device, dataset)
    return (planes.to(torch.float32) * scale[:, None, None]).add_(start[..., None, None])


def scales(light: Tensor | None, n: int, device: torch.device, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Scale (3,) and offset (n, 3) that normalise values of 0..255 and add the PCA lighting."""
    mean, std = constant(dataset.mean, device), constant(dataset.std, device)
    moved = torch.zeros(n, 3, device=device) if light is None else shift(light, dataset)
    return 1 / (255 * std), (moved - mean) / std
