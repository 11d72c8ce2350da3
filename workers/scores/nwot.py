"""Number of inputs that ReLUs tell apart (Mellor et al. 2021)."""

import torch

from workers.scores._patterns import kernel
from workers.scores._proxy import Proxy, Subject, Unmeasurable


def value(subject: Subject) -> float:
    """log |det K|, where K counts, for each pair of inputs, the ReLU units on which both are positive or both are not.

    Batch norm is in training mode, as in the published code.  ReLUs are counted as in published networks, which have
    one for every convolution: see `workers.scores._patterns`.  For jig, the pattern of an input has all its tiles.
    Unmeasurable if two inputs have the same pattern, for which K is singular.
    """
    k = kernel(subject.net, subject.inputs)
    sign, log = torch.linalg.slogdet(k)
    if not bool(log.isfinite()) or float(sign) == 0:
        raise Unmeasurable("the kernel of the activation patterns is singular")
    return float(log.item())


PROXY = Proxy("nwot", "Mellor et al., ICML 2021, equation 2", "images", value)
