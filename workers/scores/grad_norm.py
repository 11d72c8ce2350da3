"""Norm of the gradient of the loss (Abdelfattah et al. 2021)."""

from workers.scores._gradients import gradients, loss, total, weights
from workers.scores._proxy import Proxy, Subject


def value(subject: Subject) -> float:
    """The sum over layers of the Euclidean norm of the layer's gradient; not the norm of the whole gradient."""
    return total(gradient.norm() for gradient in gradients(loss(subject), weights(subject.net)))


PROXY = Proxy("grad_norm", "Abdelfattah et al., ICLR 2021, section 3.1", "images", value)
