"""Builds the network of a trial: the space's trunk with the task's head."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import spaces
from workers.trial import Trial

if TYPE_CHECKING:
    from torch import nn


def build_network(trial: Trial) -> "nn.Module":
    """The network of a trial, trunk and head, with PyTorch's default initialisation.  Opens no data.

    Shapes: cls and rot (B, 3, H, W) -> (B, classes); col (B, 1, H, W) -> (B, 313, H, W);
    jig (B, T, 3, h, w) -> (B, classes); seg (B, 3, H, W) -> (B, classes, H, W).  Works under `torch.device("meta")`.
    """
    return trial.configured_task.network(build_trunk(trial), trial.data)


def build_trunk(trial: Trial) -> "nn.Module":
    """The trunk of a trial alone: (B, C, H, W) -> (B, out_channels, h, w); of a search, the space's supernet.

    Of a search among single architectures, the trunk of one of them (`example`).
    """
    if (options := trial.recipe.supernet) is not None:
        return spaces.searchable(trial.space).supernet(**_size(trial), **options)
    return spaces.get(trial.space).trunk(example(trial), **_size(trial))


def example(trial: Trial) -> str:
    """The architecture of a trial; of a search among single architectures, a random one that stands for their cost."""
    if trial.arch != spaces.WHOLE:
        return trial.arch
    return spaces.sample(spaces.get(trial.space), 1, seed=0).archs[0]


def cost(trial: Trial) -> tuple[int, int]:
    """Number of parameters, and multiply-adds of convolutions and linear layers for one element of the batch.

    Computed by arithmetic; no network is built, except for a supernet.  An element is one (rotated) image; for jig all
    tiles of one image; for seg one training crop, not the larger test image.
    """
    dataset, task = trial.data, trial.configured_task
    size = task.element(dataset)[-1]
    if trial.recipe.supernet is not None:
        options = {**_size(trial), **trial.recipe.supernet}
        trunk = _of_supernet(trial.space, size, tuple(sorted(options.items())))
    else:
        trunk = spaces.get(trial.space).cost(example(trial), **_size(trial), size=size)
    return task.cost(trunk, dataset)


def _size(trial: Trial) -> dict[str, Any]:
    """The options of a trunk."""
    dataset, task, recipe = trial.data, trial.configured_task, trial.recipe
    return {
        "in_channels": task.in_channels,
        "width": recipe.width,
        "depth": recipe.depth,
        "stem": dataset.stem,
        "dense": task.dense,
    }


@lru_cache(maxsize=64)
def _of_supernet(space: str, size: int, options: tuple[tuple[str, Any], ...]) -> "spaces.Cost":
    """The cost of a supernet, which takes seconds."""
    from spaces._edges import cost as counted  # imports torch

    chosen = dict(options)
    return counted(lambda: spaces.searchable(space).supernet(**chosen), chosen["in_channels"], size)
