"""Multiply-adds of one element of the network's batch, the row's `macs`."""

from workers.network import cost
from workers.scores._proxy import Proxy, Subject


def value(subject: Subject) -> float:
    """Multiply-adds of convolutions and linear layers, by arithmetic.

    NAS-Bench-201 counts more under the name FLOPs: three per value of a batch norm, and the pixels of the window per
    value of a pooling.  On CIFAR-10 that is 2 % more for a cell of 3x3 convolutions and twice our number for a cell of
    poolings, so ranks differ a little; tests/workers/test_scores_cost.py holds the difference for all cells.
    """
    return float(cost(subject.trial)[1])


PROXY = Proxy("flops", "the row's column `macs`", "cost", value)
