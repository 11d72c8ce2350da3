"""Correlation of the gradients at inputs of one class (Lopes et al. 2021)."""

import torch
from torch import Tensor

from workers.scores._gradients import jacobian
from workers.scores._proxy import Proxy, Subject

K = 1e-5
MANY = 100  # classes above which the published formula is another one


def value(subject: Subject) -> float:
    """With up to 100 classes, the sum over classes of |S|.  S is the sum of log(|r| + k) over the correlations r of the
    gradients at the inputs of that class, each with each and itself.

    With more classes S is divided by the number of inputs of the class, and the value is the sum of |S - S'| over all
    pairs of classes, divided by the number of classes: values of datasets with few and with many classes cannot be
    compared.  An input's row is the gradient of the sum of all outputs.  departs: the class of an input of a dense task
    is its most frequent class, as publications have one class per image.
    """
    rows, targets = jacobian(subject), subject.targets.cpu()
    if targets.dim() > 1:
        targets = targets.flatten(1).mode(dim=1).values
    many = subject.trial.configured_task.classes(subject.trial.data) > MANY
    sums = torch.stack([_sum(rows[targets == k], many) for k in targets.unique()])
    if not many:
        return float(sums.abs().sum().item())
    return float((sums[:, None] - sums).abs().sum().item() / len(sums))


def _sum(rows: Tensor, mean: bool) -> Tensor:
    """The sum of log correlations of the rows of a class, divided by their number if `mean`."""
    correlations = torch.corrcoef(rows).reshape(len(rows), len(rows))
    found = torch.log(correlations.abs() + K).sum()
    return found / len(rows) if mean else found


PROXY = Proxy("epe_nas", "Lopes et al., ICANN 2021, section 3; k = 1e-5", "images", value)
