"""Fisher information of channels (Theis et al. 2018; Turner et al. 2020)."""

from typing import Any

import torch
from torch import Tensor, nn

from workers.scores._gradients import gradients, layers, loss, total
from workers.scores._proxy import Proxy, Subject


def value(subject: Subject) -> float:
    """The sum over weights of the information of their output channel.

    A channel's information is half the mean over inputs of (sum over pixels of a * dL/da)^2, for the outputs `a` of a
    convolution or linear layer.  As in the code of Abdelfattah et al., it counts once for every weight of the channel,
    so large layers weigh more.  A layer that is used several times, as no layer of our spaces is, counts every use.
    """
    kept: list[tuple[nn.Module, Tensor]] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        kept.append((module, output))
        return output.clone()  # an operation in place must not change what is kept

    handles = [layer.register_forward_hook(keep) for layer in layers(subject.net)]
    try:
        outputs_of = loss(subject)
    finally:
        for handle in handles:
            handle.remove()
    slopes = gradients(outputs_of, [output for _, output in kept])
    return total(
        _information(output, slope) * layer.weight[0].numel()
        for (layer, output), slope in zip(kept, slopes, strict=True)
        if isinstance(layer, nn.Conv2d | nn.Linear)
    )


def _information(output: Tensor, slope: Tensor) -> Tensor:
    """Outputs (B, C, ...) and their gradients -> (C,)."""
    change = (output.detach() * slope).flatten(2).sum(2) if output.dim() > 2 else output.detach() * slope
    return torch.square(change.double()).mean(0) / 2


PROXY = Proxy("fisher", "Turner et al., ICLR 2020; summed as by Abdelfattah et al., ICLR 2021", "images", value)
