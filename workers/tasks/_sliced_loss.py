"""Per-pixel classes of coarse score maps, a few images at a time.

Scores (B, K, h, w) become (B, K, H, W) by bilinear upsampling; with K = 313 classes that is 1.3 MB for a 32 px image
and 63 MB for one of 224 px, again for the gradient.  Nothing needs them all at once: a slice is upsampled, its loss
and the gradient of its coarse scores are taken while it lies in the cache, and it is gone.  On a CPU this makes the
head of a CIFAR-sized network about five times faster; for ImageNet it saves gigabytes.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Bytes of upsampled scores at a time: what a core's cache holds, or a small part of a GPU's memory.
_AT_ONCE = {"cpu": 6 * 2**20, "cuda": 512 * 2**20}


def upsampled(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, K, h, w) -> (B, K, H, W); corners of the maps lie on corners of the images."""
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=True)


def slice_bytes(image: int, images: int) -> int:
    """Bytes of upsampled scores at a time on a GPU, of a batch of `images` with `image` bytes each."""
    return image * min(images, max(1, _AT_ONCE["cuda"] // image))


def _slices(scores: Tensor, target: Tensor) -> Iterator[slice]:
    image = scores.shape[1] * target[0].numel() * scores.element_size()
    step = max(1, _AT_ONCE.get(scores.device.type, _AT_ONCE["cpu"]) // image)
    return (slice(start, start + step) for start in range(0, len(scores), step))


def _by_pixel(scores: Tensor, target: Tensor) -> Tensor:
    """(B, K, h, w) -> (B * H * W, K): a pixel's scores lie side by side, which is what a softmax wants."""
    fine = upsampled(scores.contiguous(memory_format=torch.channels_last), (target.shape[-2], target.shape[-1]))
    return fine.permute(0, 2, 3, 1).reshape(-1, scores.shape[1])


class _SlicedCrossEntropy(torch.autograd.Function):
    """Loss and gradient in one pass over the slices; the gradient waits for the backward pass."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, target: Tensor, ignored: int | None) -> Tensor:
        # On the device, so that nobody waits for it; without a pixel that counts the loss is 0.
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
    """Mean cross-entropy of the upsampled scores (B, K, h, w) against classes (B, H, W), a scalar.

    Over all pixels but those whose class is `ignored`.
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
    """How many pixels of each class (row) were taken for each class (column): int64 (K, K).

    Of the upsampled scores (B, K, h, w) the highest; pixels whose class (B, H, W) is `ignored` are not counted.
    """
    classes = scores.shape[1]
    # The last counter takes what is ignored.  `bincount` would ask a GPU for the largest value and wait for it, so no
    # step could be recorded; the same is true of the libraries that count by it.
    counts = torch.zeros(classes**2 + 1, dtype=torch.int64, device=scores.device)
    for part in _slices(scores, target):
        taken, true = _by_pixel(scores[part], target[part]).argmax(1), target[part].flatten()
        at = torch.where(true == ignored, classes**2, true * classes + taken)
        counts.scatter_add_(0, at, torch.ones_like(at))
    return counts[:-1].view(classes, classes)
