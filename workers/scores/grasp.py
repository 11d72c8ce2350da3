"""Change of the gradient's norm when weights are removed (Wang et al. 2020)."""

import torch

from workers.scores._gradients import gradients, total, weights
from workers.scores._proxy import Proxy, Subject


def value(subject: Subject) -> float:
    """The sum over weights of w * (Hg), with the Hessian H and the gradient g of the loss; the score is its negative.

    Both gradients are of the same batch, and the loss has no temperature.  The loss of a dense task is computed on all
    upsampled scores at once: the loss of trainings, which works in slices, has no second derivative.
    """
    task, found = subject.trial.configured_task, weights(subject.net)
    loss = task.loss(subject.net(subject.inputs), subject.targets)
    first = gradients(loss, found, keep=True)
    product = torch.stack([(g.detach() * g).sum() for g in first]).sum()
    return total(w * hg for w, hg in zip(found, gradients(product, found), strict=True))


PROXY = Proxy(
    "grasp",
    "Wang et al., ICLR 2020, equation 8; sign as Abdelfattah et al., ICLR 2021, who found the opposite of the paper's",
    "images",
    value,
    sign=-1,
)
