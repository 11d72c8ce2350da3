"""Sensitivity of the loss to removing weights (Lee et al. 2019)."""

from workers.scores._gradients import gradients, loss, total, weights
from workers.scores._proxy import Proxy, Subject


def value(subject: Subject) -> float:
    """The sum over weights of |w * dL/dw|, which is the gradient with respect to a factor of each weight."""
    found = weights(subject.net)
    return total((w * g).abs() for w, g in zip(found, gradients(loss(subject), found), strict=True))


PROXY = Proxy("snip", "Lee et al., ICLR 2019, equation 6; summed as by Abdelfattah et al., ICLR 2021", "images", value)
