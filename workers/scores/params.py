"""Number of parameters: the baseline of every other proxy."""

from workers.network import cost
from workers.scores._proxy import Proxy, Subject


def value(subject: Subject) -> float:
    """All trainable parameters of trunk and head, batch norm and biases included, by arithmetic."""
    return float(cost(subject.trial)[0])


PROXY = Proxy("params", "the row's column `params`", "cost", value)
