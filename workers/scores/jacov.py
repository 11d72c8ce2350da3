"""Correlation of the gradients at different inputs (Mellor et al. 2020, first version)."""

import torch

from workers.scores._gradients import jacobian
from workers.scores._proxy import Proxy, Subject

K = 1e-5


def value(subject: Subject) -> float:
    """The sum over eigenvalues v of the inputs' correlation matrix of log(v + k) + 1 / (v + k); its negative scores.

    An input's row is the gradient of the sum of all outputs.  High where gradients at different inputs are independent.
    """
    eigenvalues = torch.linalg.eigvalsh(torch.corrcoef(jacobian(subject)))
    return float((torch.log(eigenvalues + K) + 1 / (eigenvalues + K)).sum().item())


PROXY = Proxy("jacov", "Mellor et al. 2020, arXiv 2006.04647v1, section 4; k = 1e-5", "images", value, sign=-1)
