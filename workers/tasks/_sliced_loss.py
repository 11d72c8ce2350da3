"""Loss and metrics per pixel, computed from coarse score maps for a few images at a time.

Scores (B, K, h, w) are upsampled bilinearly to (B, K, H, W).  With K = 313 classes this takes 1.3 MB for an image of
32 px and 63 MB for one of 224 px, and again for the gradient.  They are never needed all at once: each slice is
upsampled, its loss and the gradient of its coarse scores are computed while it is in the cache, and it is freed.  On a
CPU this makes the head of a CIFAR-sized network about five times faster; for ImageNet it saves gigabytes.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Bytes of upsampled scores at a time: the size of a core's cache, or a small part of a GPU's memory.
_AT_ONCE = {"cpu": 6 * 2**20, "cuda": 512 * 2**20}


def upsampled(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, K, h, w) -> (B, K, H, W), bilinear with `align_corners=True`."""
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=True)


def slice_bytes(image: int, images: int) -> int:
    """Bytes of upsampled scores at a time on a GPU, for a batch of `images` images with `image` bytes each."""
    return image * min(images, max(1, _AT_ONCE["cuda"] // image))


def _slices(scores: Tensor, target: Tensor) -> Iterator[slice]:
    image = scores.shape[1] * target[0].numel() * scores.element_size()
    step = max(1, _AT_ONCE.get(scores.device.type, _AT_ONCE["cpu"]) // image)
    return (slice(start, start + step) for start in range(0, len(scores), step))


def _by_pixel(scores: Tensor, target: Tensor) -> Tensor:
    """(B, K, h, w) -> (B * H * W, K): the scores of a pixel are contiguous, which is fast for a softmax."""
    fine = upsampled(scores.contiguous(memory_format=torch.channels_last), (target.shape[-2], target.shape[-1]))
    return fine.permute(0, 2, 3, 1).reshape(-1, scores.shape[1])


class _SlicedCrossEntropy(torch.autograd.Function):
    """Loss and gradient in one pass over the slices; the gradient is saved for the backward pass."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, target: Tensor, ignored: int | None) -> Tensor:
        # Computed on the device, to avoid synchronisation; if all pixels are ignored the loss is 0.
        count = target.numel() if ignored is None else (target != ignored).sum().clamp_min(1)
        unused = -100 if ignored is None else ignored
        total = scores.new_zeros((), dtype=torch.float32)
        gradient = torch.empty_like(scores)
        for part in _slices(scores, target):
            with torch.enable_grad():
                coarse = scores[part].detach().requires_grad_()
                fine = _by_pixel(coarse, target[part])
                loss = F.cross_entropy(fine, target[part].flatten(), reduction="sum", ignore_index=unused) / count
                (gradient[part],) = torch.autograd.grad(loss, coarse)
            total += loss.detach()
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer[0].to(gradient.dtype), None, None


def cross_entropy(scores: Tensor, target: Tensor, ignored: int | None = None) -> Tensor:
    """Mean cross-entropy of the upsampled scores (B, K, h, w) and classes (B, H, W), a scalar.

    The mean is over all pixels except those of class `ignored`.
    """
    loss: Tensor = _SlicedCrossEntropy.apply(scores, target, ignored)
    return loss


def correct(scores: Tensor, target: Tensor) -> Tensor:
    """Number of pixels whose class (B, H, W) has the highest upsampled score, int64."""
    total = torch.zeros((), dtype=torch.int64, device=scores.device)
    for part in _slices(scores, target):
        total += (_by_pixel(scores[part], target[part]).argmax(1) == target[part].flatten()).sum()
    return total


def confusion(scores: Tensor, target: Tensor, ignored: int) -> Tensor:
    """Confusion matrix: pixels by their class (row) and the class with the highest score (column), int64 (K, K).

    Scores (B, K, h, w) are upsampled; pixels whose class (B, H, W) is `ignored` are not counted.
    """
    classes = scores.shape[1]
    # The last counter is for ignored pixels.  `bincount` synchronises with a GPU to find the largest value, so the step
    # could not be captured; libraries that use it have the same problem.
    counts = torch.zeros(classes**2 + 1, dtype=torch.int64, device=scores.device)
    for part in _slices(scores, target):
        taken, true = _by_pixel(scores[part], target[part]).argmax(1), target[part].flatten()
        at = torch.where(true == ignored, classes**2, true * classes + taken)
        counts.scatter_add_(0, at, torch.ones_like(at))
    return counts[:-1].view(classes, classes)
