"""Change of the loss when all weights are scaled: the sum of w * dL/dw, with its sign."""

from workers.scores._gradients import gradients, loss, total, weights
from workers.scores._proxy import Proxy, Subject


def value(subject: Subject) -> float:
    """The sum over weights of w * dL/dw.

    It is zero for every convolution that is followed by batch norm, as the loss does not depend on the scale of its
    weights.  What remains is the head and the few convolutions without batch norm.  The published sign is kept,
    although the correlation with accuracy is negative on NAS-Bench-201 (-0.26 in NASLib's tables).
    """
    found = weights(subject.net)
    return total(w * g for w, g in zip(found, gradients(loss(subject), found), strict=True))


PROXY = Proxy("plain", "Abdelfattah et al., ICLR 2021, code: measure `plain`", "images", value)
