"""Squares cut out of photographs, as networks see them: mirrored, their light changed, normalised.

Pixels are bytes or float32 in 0..255, (B, S, S, 3); everything runs on their device and waits for none of its results.
"""

import torch
from torch import Generator, Tensor

from workers.datasets import Dataset
from workers.tasks._augment_small import constant

LIGHT = 0.1  # deviation of the jitter along each axis of the colours, in units of theirs


def draw_light(n: int, generator: Generator) -> Tensor:
    """How far the colours of each image move along the three axes: float32 (n, 3)."""
    return torch.randn(n, 3, generator=generator) * LIGHT


def shift(light: Tensor, dataset: Dataset) -> Tensor:
    """(B, 3) along the axes -> (B, 3) of R, G, B on the 0..1 scale."""
    if dataset.large is None:
        raise ValueError(f"{dataset.name} has no axes of colours")
    along = constant(dataset.large.light, light.device) * light
    r, g, b = (sum(along[:, k] * axis[channel] for k, axis in enumerate(dataset.large.axes)) for channel in range(3))
    return torch.stack([r, g, b], dim=1)  # type: ignore[list-item]


def augment_large(pixels: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
    """(B, S, S, 3) -> float32 (B, 3, S, S): mirrored, light changed, less the mean, over the deviation.

    Without draws only normalised.
    """
    planes = pixels.permute(0, 3, 1, 2).contiguous()  # while they are bytes: a quarter of the memory to move
    if "flip" in draws:
        planes = torch.where(draws["flip"][:, None, None, None], planes.flip(3), planes)
    scale, start = scales(draws.get("light"), len(pixels), pixels.device, dataset)
    return (planes.to(torch.float32) * scale[:, None, None]).add_(start[..., None, None])


def scales(light: Tensor | None, n: int, device: torch.device, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Factor (3,) and summand (n, 3) that take 0..255 to normalised values, with the light changed."""
    mean, std = constant(dataset.mean, device), constant(dataset.std, device)
    moved = torch.zeros(n, 3, device=device) if light is None else shift(light, dataset)
    return 1 / (255 * std), (moved - mean) / std
