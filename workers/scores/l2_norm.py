"""Norm of the initial weights: a measure of size and depth alone."""

from workers.scores._gradients import total, weights
from workers.scores._proxy import Proxy, Subject


def value(subject: Subject) -> float:
    """The sum over layers of the Euclidean norm of the layer's weights."""
    return total(weight.norm() for weight in weights(subject.net))


PROXY = Proxy("l2_norm", "Abdelfattah et al., ICLR 2021, code: measure `l2_norm`", "network", value)
