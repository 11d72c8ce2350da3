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
    return trial.asked.network(_trunk(trial), trial.data)


def _trunk(trial: Trial) -> "nn.Module":
    dataset, task, recipe = trial.data, trial.asked, trial.recipe
    return spaces.get(trial.space).trunk(
        trial.arch,
        in_channels=task.in_channels,
        width=recipe.width,
        depth=recipe.depth,
        stem=dataset.stem,
        dense=task.dense,
    )


def check(trial: Trial) -> None:
    """Builds a trial's network and sends two empty elements through it, where possible without memory.

    ValueError where the trunk or the network is not what the protocols of spaces and tasks promise.  What the code of
    a plug-in raises passes as it is.
    """
    import torch

    dataset, task = trial.data, trial.asked
    element = task.element(dataset)

    def build(device: str) -> None:
        with torch.random.fork_rng(devices=[]), torch.device(device), torch.no_grad():
            trunk = _trunk(trial).eval()
            channels = getattr(trunk, "out_channels", None)
            who = f"space {trial.space!r}: the trunk of {trial.arch}"
            if not isinstance(channels, int):
                raise ValueError(f"{who} has no attribute out_channels, the channels of its features: {channels!r}")
            out = trunk(torch.empty(2, task.in_channels, *element[-2:]))
            shape = tuple(getattr(out, "shape", ()))
            if len(shape) != 4 or shape[:2] != (2, channels):
                raise ValueError(
                    f"{who} gives {shape}; with out_channels = {channels}, expected is (2, {channels}, h, w)"
                )
            answers = task.network(trunk, dataset).eval()(torch.empty(2, *element))
            if not isinstance(answers, torch.Tensor) or len(answers) != 2:
                raise ValueError(f"task {trial.task!r}: its network gives no answer for each of 2 elements {element}")

    try:
        build("meta")
    except ValueError:
        raise
    except Exception:  # some networks look at numbers while they are built
        try:
            build("cpu")
        except Exception as error:
            if isinstance(error, ValueError) or spaces.fault(error) is not None:
                raise
            raise ValueError(
                f"space {trial.space!r} and task {trial.task!r} do not fit: the network of {trial.arch} cannot be "
                f"built and used: {type(error).__name__}: {error}"
            ) from error


def cost(trial: Trial) -> tuple[int, int]:
    """Number of parameters, and multiply-adds of convolutions and linear layers for one element of the batch.

    Computed by arithmetic; no network is built.  An element is one (rotated) image; for jig all tiles of one image;
    for seg one training crop, not the larger test image.
    """
    dataset, task, recipe = trial.data, trial.asked, trial.recipe
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
