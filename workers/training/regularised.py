"""Drop path and the auxiliary head of a training (Liu et al. 2019, release).

Drops are drawn before an epoch, as augmentations are, from a stream of their own.  They are inputs of a step, so that a
captured step gets new ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import cast

import torch
from torch import Tensor, nn

import spaces
from workers.cuda_graphs import Part
from workers.recipes import Train
from workers.streams import stream
from workers.trial import Trial

DROPS, KEEP = "drop_path", "drop_path_keep"
KEYS = (DROPS, KEEP)  # keys of a part that are no draws of the task


def keep_probability(recipe: Train, epoch: int) -> float:
    """The probability that an operation is kept in an epoch (from 0): 1 at first, falling linearly."""
    return 1 - (recipe.drop_path or 0.0) * epoch / recipe.epochs


def draw_drops(trial: Trial, n: int, epoch: int) -> Part:
    """The draws of drop path for n images of an epoch, on the CPU; empty if the recipe has none.

    `drop_path` uint8 (n, E, *shape): 1 where an operation is kept, for each of the E elements that an image gives and
    the space's `drop_shape`.  `drop_path_keep` float32 (n,): the probability of that.  They depend on (dataset_id,
    task, seed, epoch), and on the depth of the network.
    """
    recipe = trial.recipe
    if not isinstance(recipe, Train) or recipe.drop_path is None:
        return {}
    keep = keep_probability(recipe, epoch)
    element = trial.configured_task.element(trial.data)
    elements = trial.configured_task.views * (element[0] if len(element) == 4 else 1)  # jig: tiles
    shape = elements, *spaces.retrainable(trial.space).drop_shape(recipe.depth)
    generator = stream(trial.dataset_id, trial.task, trial.seed, "drop_path", epoch)
    kept = torch.empty(n, prod(shape), dtype=torch.uint8).bernoulli_(keep, generator=generator)
    return {DROPS: kept.view(n, *shape), KEEP: torch.full((n,), keep)}


@contextmanager
def dropping(net: nn.Module, part: Part) -> Iterator[None]:
    """Passes of the network in training mode drop the operations that the part says; outputs of those that are kept are
    divided by the probability of that."""
    if DROPS not in part:
        yield
        return
    trunk = cast(spaces.RegularisedTrunk, net.trunk)
    kept, keep = part[DROPS], part[KEEP]
    factors = kept / keep.view(-1, *[1] * (kept.dim() - 1))
    trunk.drops = factors.flatten(0, 1)
    try:
        yield
    finally:
        trunk.drops = None


def auxiliary_scores(net: nn.Module) -> Tensor:
    """The scores of the auxiliary head, (B, classes), for the inputs of the last pass in training mode."""
    trunk = cast(spaces.RegularisedTrunk, net.trunk)
    tapped, trunk.tapped = trunk.tapped, None
    if tapped is None:
        raise RuntimeError("the trunk did not keep the input of its auxiliary head")
    scores: Tensor = cast(nn.Module, net.auxiliary)(tapped)
    return scores
