"""What families of searches share: the tasks that are objectives, and the cells that have settings."""

from collections.abc import Mapping
from typing import Any

SAMPLES = {"cls": 1, "col": 1, "rot": 4, "jig": 4}
"""Samples that one image gives in a step: four rotations, four tiles.

As in UnNAS (Liu et al. 2020), the batch and both learning rates, also that of the architecture weights, are divided by
them.
"""


Covered = Mapping[str, tuple[str, ...]]  # the datasets of each space that a family has settings for


def cells_of(covered: Covered) -> list[tuple[str, str, str]]:
    """The settings of a family as (space, dataset, task)."""
    return [(space, dataset, task) for space, known in covered.items() for dataset in known for task in SAMPLES]


def check(name: str, space: str, dataset: str, task: str, covered: Covered) -> None:
    """LookupError for a cell that a family has no setting for."""
    if (space, dataset, task) in cells_of(covered):
        return
    has = "; ".join(f"{known} on {' or '.join(where)}" for known, where in covered.items())
    raise LookupError(
        f"recipe {name!r} has no setting for space={space}, dataset={dataset}, task={task}; it covers {has} with "
        f"{', '.join(SAMPLES)}"
    )


def darts_settings(space: str, task: str) -> dict[str, Any]:
    """The settings of the recipe `darts` that other searches share with it."""
    samples, bench = SAMPLES[task], space == "nasbench201"
    return {
        "lr": 0.025 / samples,
        "lr_end": 0.001 / samples,
        "batch": 64 // samples,
        "test_batch": 200 // samples,
        "weight_decay": 5e-4 if bench else 3e-4,
        "momentum": 0.9,
        "nesterov": bench,
        "precise_bn": 0,
        "first": "network" if bench else "architecture",
        "arch_lr": 3e-4 / samples,
        "width": 16,
        "depth": 5 if bench else 8,
    }
