"""The gradient of the architecture weights at the network's weights after one more step (Liu et al. 2019, eq. 7, 8)."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

RADIUS = 0.01  # the finite difference moves all weights together by this distance
Loss = Callable[[], Tensor]


def unrolled(
    weights: Sequence[Tensor],
    tables: Sequence[Tensor],
    train_loss: Loss,
    held_out_loss: Loss,
    *,
    rate: float,
    momentum: Mapping[Tensor, Tensor],
    decay: float,
    buffers: Sequence[Tensor] = (),
) -> list[Tensor]:
    """The gradients by the tables of the held-out loss at w' = w - rate * (momentum + gradient + decay * w).

    `momentum` holds the optimiser's buffer of each weight, already multiplied by its coefficient.  The mixed second
    derivative is a central difference, which needs two gradients of the training loss.  Weights and `buffers` have
    their values again afterwards, bit for bit.
    """
    before = [w.detach().clone() for w in weights]
    kept = [b.clone() for b in buffers]
    ahead = _gradients(train_loss(), weights)
    with torch.no_grad():
        for w, gradient in zip(weights, ahead, strict=True):
            step = gradient + decay * w
            if w in momentum:
                step = step + momentum[w]
            w -= rate * step
    both = _gradients(held_out_loss(), [*tables, *weights])
    direct, at_new = both[: len(tables)], both[len(tables) :]
    norm = torch.sqrt(sum(((g**2).sum() for g in at_new), torch.zeros((), dtype=at_new[0].dtype).to(at_new[0])))
    radius = RADIUS / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for w, value, gradient in zip(weights, before, at_new, strict=True):
                w.copy_(value + sign * radius * gradient)
        sides.append(_gradients(train_loss(), tables))
    with torch.no_grad():
        for w, value in zip(weights, before, strict=True):
            w.copy_(value)
        for buffer, value in zip(buffers, kept, strict=True):
            buffer.copy_(value)
    return [d - rate * (up - down) / (2 * radius) for d, up, down in zip(direct, *sides, strict=True)]


def _gradients(loss: Tensor, of: Sequence[Tensor]) -> list[Tensor]:
    """The gradients, zero for what the loss does not depend on."""
    found = torch.autograd.grad(loss, of, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(of, found, strict=True)]
