"""A training step of several processes: batch norm over the whole batch, and the sum of all gradients.

torch's SyncBatchNorm and DistributedDataParallel are not used: the former needs GPUs, and with the latter the mean over
processes is not the mean over targets where their numbers differ (segmentation).
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from workers.group import Group


class CrossNorm(nn.BatchNorm2d):
    """Batch norm whose statistics in training mode are those of the whole batch, of which each process has a part."""

    group: Group

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, with B the same in all processes."""
        if not self.training:
            return super().forward(input)
        out, mean, var = cast(
            tuple[Tensor, Tensor, Tensor], _Normalise.apply(input, self.weight, self.bias, self.eps, self.group)
        )
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            count = input.numel() // input.shape[1] * self.group.world
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                self.running_var.lerp_((var * (count / max(count - 1, 1))).to(self.running_var.dtype), self.momentum)
        return out


class _Normalise(torch.autograd.Function):
    """The normalised maps, and the batch's mean and biased variance of each channel."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, group: Group
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = x.double() if x.dtype == torch.float64 else x.float()
        ctx.count = x.numel() // x.shape[1] * group.world
        mean = group.sum(wide.sum((0, 2, 3))) / ctx.count
        centred = wide - mean[:, None, None]
        var = group.sum(centred.square().sum((0, 2, 3))) / ctx.count
        scale = (var + eps).rsqrt()
        factor = scale if weight is None else scale * weight
        out = centred * factor[:, None, None]
        if bias is not None:
            out = out + bias[:, None, None]
        ctx.group = group
        ctx.save_for_backward(x, mean, scale, factor)  # not the output: the networks apply a ReLU to it in place
        ctx.affine = weight is not None
        ctx.mark_non_differentiable(mean, var)
        return out.to(x.dtype), mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, scale, factor = ctx.saved_tensors
        given = gradients[0].to(mean.dtype)
        normal = (x.to(mean.dtype) - mean[:, None, None]) * scale[:, None, None]
        own = torch.stack([given.sum((0, 2, 3)), (given * normal).sum((0, 2, 3))])
        shift, tilt = ctx.group.sum(own.clone()) / ctx.count
        back = factor[:, None, None] * (given - shift[:, None, None] - normal * tilt[:, None, None])
        # The gradients of weight and bias are of this process's part; `sum_gradients` adds those of the others.
        of_weight, of_bias = (own[1], own[0]) if ctx.affine else (None, None)
        return back.to(x.dtype), of_weight, of_bias, None, None


def across(net: nn.Module, group: Group) -> None:
    """Replace the batch norms of a network; ValueError for a kind that is not known here."""
    for parent in list(net.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, nn.modules.batchnorm._BatchNorm) and type(norm) is not nn.BatchNorm2d:
                raise ValueError(
                    f"a {type(norm).__name__} computes its statistics over the part of a batch that one device has; "
                    "networks with it are trained on one device"
                )
            if isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, _crossing(norm, group))


def _crossing(norm: nn.BatchNorm2d, group: Group) -> CrossNorm:
    """The same norm, with the same parameters and buffers."""
    found = CrossNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    found.group = group
    found._parameters, found._buffers = norm._parameters, norm._buffers
    return found.train(norm.training)


@torch.no_grad()
def sum_gradients(parameters: list[nn.Parameter], group: Group) -> None:
    """Replace each gradient by its sum over all processes.  All have gradients of the same parameters."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    # A single sum of all gradients: a sum of each would wait for the others as often as there are parameters.
    together = group.sum(torch.cat([g.flatten() for g in gradients]))
    for gradient, summed in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))
