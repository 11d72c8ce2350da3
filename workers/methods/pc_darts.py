"""Search on part of the channels, with weights of edges (PC-DARTS, Xu et al. 2020).

The edges are those of `spaces._edges.Partial`; the weights of edges are trained with the other architecture weights.
"""

from workers.methods._bilevel import SearchRun
from workers.methods._method import Setting
from workers.methods._relaxation import Relaxation


class WithEdges(Relaxation):
    """The softmax of the architecture weights; edges into the same node share a weight of 1."""

    with_edges = True


class PcDarts:
    """The method `pc_darts`."""

    name = "pc_darts"

    def start(self, setting: Setting) -> SearchRun:
        """The search before its first epoch; ValueError if a part of the training split is smaller than a batch."""
        return SearchRun(setting, WithEdges())


METHOD = PcDarts()
