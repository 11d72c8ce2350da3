"""Builds the network of a trial: the space's trunk with the task's head."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import spaces
from workers.recipes import Train
from workers.trial import Trial

if TYPE_CHECKING:
    from torch import nn

LARGEST_WIDTH = 16_384


def build_network(trial: Trial) -> "nn.Module":
    """The network of a trial, trunk and head, with PyTorch's default initialisation.  Opens no data.

    Shapes: cls and rot (B, 3, H, W) -> (B, classes); col (B, 1, H, W) -> (B, 313, H, W);
    jig (B, T, 3, h, w) -> (B, classes); seg (B, 3, H, W) -> (B, classes, H, W).  Works under `torch.device("meta")`.
    """
    return trial.configured_task.network(build_trunk(trial), trial.data)


def build_auxiliary(trial: Trial, net: "nn.Module") -> "nn.Module | None":
    """The auxiliary head of a network of `build_network`, if the recipe has one; it is used in training only.

    It reads `net.trunk.tapped`, which the trunk keeps from now on.
    """
    recipe = trial.recipe
    if not isinstance(recipe, Train) or recipe.aux is None:
        return None
    trunk: nn.Module = net.trunk  # type: ignore[assignment]
    return spaces.retrainable(trial.space).auxiliary(
        trunk,
        width=width_of(trial),
        depth=recipe.depth,
        stem=trial.data.stem,
        classes=trial.configured_task.classes(trial.data),
    )


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
    tiles of one image; for seg one training crop, not the larger test image.  An auxiliary head is left out.
    """
    return _cost(trial, width_of(trial))


def width_of(trial: Trial) -> int:
    """The width of the network: the recipe's, or the largest even one whose multiply-adds are within its budget.

    ValueError if the budget is too small for a network of width 2, or leaves a network of the largest width below it.
    """
    budget = trial.recipe.budget
    return trial.recipe.given_width if budget is None else _largest(trial, budget)


@lru_cache(maxsize=4_096)
def _largest(trial: Trial, budget: int) -> int:
    low, high = 0, 1  # halves of widths; the multiply-adds of `low` are within the budget, those of `high` are not
    while _cost(trial, 2 * high)[1] <= budget:
        low, high = high, 2 * high
        if high > LARGEST_WIDTH // 2:
            raise ValueError(f"macs = {budget:,} is more than a network of width {LARGEST_WIDTH} has")
    while high - low > 1:
        middle = (low + high) // 2
        if _cost(trial, 2 * middle)[1] <= budget:
            low = middle
        else:
            high = middle
    if not low:
        least = _cost(trial, 2)[1]
        raise ValueError(f"macs = {budget:,} is too small: {trial.arch} of width 2 has {least:,} multiply-adds")
    return 2 * low


def _cost(trial: Trial, width: int) -> tuple[int, int]:
    dataset, task = trial.data, trial.configured_task
    size = task.element(dataset)[-1]
    if trial.recipe.supernet is not None:
        options = {**_size(trial, width), **trial.recipe.supernet}
        trunk = _of_supernet(trial.space, size, tuple(sorted(options.items())))
    else:
        trunk = spaces.get(trial.space).cost(example(trial), **_size(trial, width), size=size)
    return task.cost(trunk, dataset)


def _size(trial: Trial, width: int | None = None) -> dict[str, Any]:
    """The options of a trunk; `width`: by default the trial's."""
    dataset, task, recipe = trial.data, trial.configured_task, trial.recipe
    return {
        "in_channels": task.in_channels,
        "width": width_of(trial) if width is None else width,
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
