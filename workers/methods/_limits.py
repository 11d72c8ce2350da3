"""Limits of the size of the architectures that a search considers."""

from collections.abc import Callable
from typing import Protocol

import spaces
from workers.network import width_of
from workers.trial import Trial


class Limited(Protocol):
    """A recipe with limits; None: no limit."""

    @property
    def most_params(self) -> int | None:
        """Most parameters."""

    @property
    def most_macs(self) -> int | None:
        """Most multiply-adds."""

    @property
    def depth(self) -> int:
        """Of the networks."""


def within(trial: Trial, recipe: Limited) -> Callable[[str], bool]:
    """Whether an architecture's own network, of the width and depth of a search, is within the limits of its recipe."""
    limits = recipe.most_params, recipe.most_macs
    if limits == (None, None):
        return lambda arch: True
    space, task, dataset = spaces.get(trial.space), trial.configured_task, trial.data

    def allowed(arch: str) -> bool:
        trunk = space.cost(
            arch,
            in_channels=task.in_channels,
            width=width_of(trial),
            depth=recipe.depth,
            stem=dataset.stem,
            size=task.element(dataset)[-1],
            dense=task.dense,
        )
        costs = task.cost(trunk, dataset)
        return all(limit is None or cost <= limit for cost, limit in zip(costs, limits, strict=True))

    return allowed
