"""Drop path, dropout and the auxiliary head of a training (Liu et al. 2019, release).

Drops are drawn before an epoch, as augmentations are, from a stream of their own.  They are inputs of a step, so that a
captured step gets new ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Protocol, cast

import torch
from torch import Tensor, nn

import spaces
from workers.cuda_graphs import Part
from workers.recipes import Train
from workers.streams import stream
from workers.trial import Trial

DROPS, KEEP = "drop_path", "drop_path_keep"
SEEDS = "dropout"
KEYS = (DROPS, KEEP, SEEDS)  # keys of a part that are no draws of the task


class Seeded(Protocol):
    """A network with dropout in front of its classifier."""

    seeds: Tensor | None
    """int64 (B,), of the features of the next passes; None: none is dropped."""


def keep_probability(recipe: Train, epoch: int) -> float:
    """The probability that an operation is kept in an epoch (from 0): 1 at first, falling linearly."""
    return 1 - (recipe.drop_path or 0.0) * epoch / recipe.epochs


def draw_drops(trial: Trial, n: int, epoch: int) -> Part:
    """The draws of drop path and dropout for n images of an epoch, on the CPU; empty if the recipe has neither.

    `drop_path` uint8 (n, E, *shape): 1 where an operation is kept, for each of the E elements that an image gives and
    the space's `drop_shape`.  `drop_path_keep` float32 (n,): the probability of that.  They depend on (dataset_id,
    task, seed, epoch), and on the depth of the network.  `dropout` int64 (n,): the seed of each image's features.
    """
    recipe = trial.recipe
    if not isinstance(recipe, Train):
        return {}
    found: Part = {}
    if recipe.dropout is not None:
        generator = stream(trial.dataset_id, trial.task, trial.seed, "dropout", epoch)
        found[SEEDS] = torch.randint(2**62, (n,), generator=generator)
    return found if recipe.drop_path is None else found | _of_paths(trial, recipe, n, epoch)


def _of_paths(trial: Trial, recipe: Train, n: int, epoch: int) -> Part:
    """The draws of drop path."""
    keep = keep_probability(recipe, epoch)
    element = trial.configured_task.element(trial.data)
    elements = trial.configured_task.views * (element[0] if len(element) == 4 else 1)  # jig: tiles
    shape = elements, *spaces.retrainable(trial.space).drop_shape(recipe.depth)
    generator = stream(trial.dataset_id, trial.task, trial.seed, "drop_path", epoch)
    kept = torch.empty(n, prod(shape), dtype=torch.uint8).bernoulli_(keep, generator=generator)
    return {DROPS: kept.view(n, *shape), KEEP: torch.full((n,), keep)}


@contextmanager
def dropping(net: nn.Module, part: Part) -> Iterator[None]:
    """Passes of the network in training mode drop the operations and features that the part says; those that are kept
    are divided by the probability of that."""
    seeded = cast(Seeded, net)
    if DROPS in part:
        kept, keep = part[DROPS], part[KEEP]
        factors = kept / keep.view(-1, *[1] * (kept.dim() - 1))
        cast(spaces.RegularisedTrunk, net.trunk).drops = factors.flatten(0, 1)
    if SEEDS in part:
        seeded.seeds = part[SEEDS]
    try:
        yield
    finally:
        if DROPS in part:
            cast(spaces.RegularisedTrunk, net.trunk).drops = None
        if SEEDS in part:
            seeded.seeds = None


def auxiliary_scores(net: nn.Module) -> Tensor:
    """The scores of the auxiliary head, (B, classes), for the inputs of the last pass in training mode."""
    trunk = cast(spaces.RegularisedTrunk, net.trunk)
    tapped, trunk.tapped = trunk.tapped, None
    if tapped is None:
        raise RuntimeError("the trunk did not keep the input of its auxiliary head")
    scores: Tensor = cast(nn.Module, net.auxiliary)(tapped)
    return scores
