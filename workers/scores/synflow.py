"""Product of the absolute weights of all paths (Tanaka et al. 2020)."""

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from workers.scores._gradients import gradients, renew, total, weights
from workers.scores._proxy import Proxy, Subject


def value(subject: Subject) -> float:
    """log(1 + sum over weights of w * dR/dw), where R is the sum of the outputs for an input of ones.

    All parameters are replaced by their absolute values.  Batch norm is the identity, as in the code of Abdelfattah et
    al.: mean 0, variance 1, no epsilon.  ReLU6 has no upper limit, which sums of all paths exceed.  Computed in
    float64, since sums reach 10^40.  Publications give the sum itself
    (NASLib: its logarithm); ranks are the same, and a network without a path from input to output has 0.  Images are
    never read: a score depends on the task only by shapes and head.
    """
    net = subject.net.double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
        for norm in net.modules():
            if isinstance(norm, _BatchNorm):
                renew(norm)
                norm.eps = 0.0
    for module in net.modules():
        if isinstance(module, nn.ReLU6):
            module.max_val = math.inf
    ones = torch.ones(1, *subject.element, dtype=torch.float64, device=subject.device)
    found = weights(net)
    return math.log1p(total(w * g for w, g in zip(found, gradients(net(ones).sum(), found), strict=True)))


PROXY = Proxy(
    "synflow", "Tanaka et al., NeurIPS 2020, equation 3; summed as by Abdelfattah et al., ICLR 2021", "network", value
)
