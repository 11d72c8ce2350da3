"""The devices of a trial: one, a share of one, or several GPUs of one machine.

A job imports this file, also on a machine with other packages of the same names: `workers` is imported when it is used.
"""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.trial import Trial


class DevicesError(ValueError):
    """The number of GPUs per trial is not possible."""


def of_trial(gpus: float, trial: "Trial") -> list[str]:
    """The devices that a trial uses.  The scheduler makes exactly those GPUs visible that the job may use.

    Only trainings of one architecture use several; other methods use the first.  ARCHSWEEP_DEVICE=cpu tests the
    placement of a study on a machine whose GPUs are only declared to Ray.
    """
    forced, several = os.environ.get("ARCHSWEEP_DEVICE"), int(gpus) if trial.recipe.method == "train" else 1
    if several > 1:
        return [forced or f"cuda:{k}" for k in range(several)]
    return [forced or ("cuda" if gpus > 0 else "cpu")]


def check(rows: Iterable[Mapping[str, Any]], gpus: float | None) -> list[str]:
    """Sentences about trials that cannot use all of their GPUs; DevicesError if a batch cannot be divided."""
    if gpus is None or gpus <= 1:
        return []
    from orchestrator.study.estimate import recipe_of

    others = 0
    for row in rows:
        recipe = recipe_of(row)
        if recipe.method != "train":
            others += 1
        elif recipe.step_images % int(gpus):
            raise DevicesError(
                f"gpus_per_trial = {gpus:g} cannot divide the batch of {recipe.step_images} images of recipe "
                f"{row['recipe']}; override batch with a multiple of it, or use another number of GPUs"
            )
    if not others:
        return []
    use = "uses one of its" if others == 1 else "use one of their"
    return [f"{others:,} trial{'s' * (others > 1)} of other methods than training {use} {gpus:g} GPUs"]


def check_here(gpus: float) -> None:
    """DevicesError if this process does not see so many GPUs; for trials that run in it."""
    if gpus <= 1 or os.environ.get("ARCHSWEEP_DEVICE"):
        return
    import torch

    if torch.cuda.device_count() < gpus:
        raise DevicesError(f"gpus_per_trial = {gpus:g}, but this machine has {torch.cuda.device_count()} GPUs")
