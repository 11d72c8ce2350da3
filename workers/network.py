"""Builds the network of a trial: the space's trunk with the task's head."""

from typing import TYPE_CHECKING

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
    """The trunk of a trial alone: (B, C, H, W) -> (B, out_channels, h, w)."""
    dataset, task, recipe = trial.data, trial.configured_task, trial.recipe
    return spaces.get(trial.space).trunk(
        trial.arch,
        in_channels=task.in_channels,
        width=recipe.width,
        depth=recipe.depth,
        stem=dataset.stem,
        dense=task.dense,
    )


def cost(trial: Trial) -> tuple[int, int]:
    """Number of parameters, and multiply-adds of convolutions and linear layers for one element of the batch.

    Computed by arithmetic; no network is built.  An element is one (rotated) image; for jig all tiles of one image;
    for seg one training crop, not the larger test image.
    """
    dataset, task, recipe = trial.data, trial.configured_task, trial.recipe
    trunk = spaces.get(trial.space).cost(
        trial.arch,
        in_channels=task.in_channels,
        width=recipe.width,
        depth=recipe.depth,
        stem=dataset.stem,
        size=task.element(dataset)[-1],
        dense=task.dense,
    )
    return task.cost(trunk, dataset)
