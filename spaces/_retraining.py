"""The protocol of spaces whose networks can be trained as in the evaluation phases of DARTS and UnNAS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from spaces._space import Space, Stem

if TYPE_CHECKING:  # the protocol alone does not need torch at run time
    from torch import Tensor, nn


class RegularisedTrunk(Protocol):
    """What a trunk of such a space has besides its forward pass.  Both have no effect in evaluation mode."""

    drops: Tensor | None
    """(B, *drop_shape), factors of the outputs of operations in the next passes; None: no operation is dropped."""

    tapped: Tensor | None
    """The input of the auxiliary head, (B, C, h, w), after a pass; None if the trunk has no such head."""


class Retrainable(Space, Protocol):
    """A space with drop path and an auxiliary head."""

    def drop_shape(self, depth: int) -> tuple[int, ...]:
        """The shape of the draws of drop path for one sample: one for every operation of every cell, also for those
        that are never dropped.  So it does not depend on the architecture."""

    def tapped_size(self, depth: int, stem: Stem, size: int) -> int:
        """Side of the feature map that the auxiliary head gets, for images of `size` pixels; ValueError if it is too
        small for the head's layers."""

    def auxiliary(self, trunk: nn.Module, *, width: int, depth: int, stem: Stem, classes: int) -> nn.Module:
        """The auxiliary head of a trunk of this size: `trunk.tapped` -> (B, classes).  The trunk keeps `tapped` from
        then on."""
