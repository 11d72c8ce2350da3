"""Sensitivity of a random network's features to its input (Lin et al. 2021)."""

import torch
from torch import nn

from workers.scores._gradients import layers, renew
from workers.scores._proxy import Proxy, Subject, Unmeasurable
from workers.streams import stream

INPUTS = 64
GAMMA = 1e-2  # size of the disturbance


@torch.no_grad()
def value(subject: Subject) -> float:
    """log of the mean change of the trunk's features when a Gaussian input is disturbed, plus the logs of batch norm's
    scales.

    Weights are drawn from N(0, 1), batch norm has weight 1 and bias 0 and is in training mode, inputs are 64 elements
    of N(0, 1).  The change of an input is the sum of |f(x) - f(x + 0.01 d)| over the features before pooling.  The
    scale of a batch norm is the square root of its mean variance over channels; norms of constant maps are left out.
    departs: the variance is that of the batch, as in the paper; the published code reads running averages, which are
    mostly the initial 1 after one batch.  One draw instead of the mean of 32; other seeds give others.
    """
    trial, trunk = subject.trial, subject.net.trunk
    assert isinstance(trunk, nn.Module)
    drawn = stream("zen", trial.space, trial.arch, trial.seed)
    for layer in layers(trunk):
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=drawn))
        if layer.bias is not None:
            layer.bias.zero_()
    norms = [module for module in trunk.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        renew(norm)
        norm.momentum = 1.0  # running statistics are those of the last batch
    generator = stream(trial.dataset_id, trial.task, trial.seed, "zen")
    shape = (INPUTS, *subject.element)
    first, other = (torch.randn(shape, generator=generator).flatten(0, -4).to(subject.device) for _ in range(2))
    features = trunk(first)
    variances = [norm.running_var.double().mean() for norm in norms if norm.running_var is not None]
    scales = sum(float(variance.log().item()) / 2 for variance in variances if variance > 0)
    change = (trunk(first + GAMMA * other) - features).double().abs().sum() / INPUTS
    if not change > 0:
        raise Unmeasurable("the features do not depend on the input")
    return float(change.log().item()) + scales


PROXY = Proxy("zen", "Lin et al., ICCV 2021, algorithm 1", "network", value)
