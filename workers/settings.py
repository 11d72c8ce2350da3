"""Which settings of a training apply to a space, a dataset and a task.

Imports tasks and recipes; trials and everything above them may import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import spaces
from workers.recipes import AnyRecipe, Train

if TYPE_CHECKING:
    from workers.datasets import Dataset
    from workers.tasks import Task


def objection(recipe: AnyRecipe, space: str, dataset: Dataset, task: Task) -> str | None:
    """Why a setting of the recipe cannot be applied; None if all can.  `task` is configured by the recipe.

    A task that can smooth its labels, cut out squares or drop features has an attribute `smoothing`, `cutout` or
    `dropout`.
    """
    if not isinstance(recipe, Train):
        return None
    for name in ("smoothing", "cutout", "dropout"):
        value = getattr(recipe, name)
        if value is not None and getattr(task, name, None) != value:
            return f"recipe setting {name} = {value} does not apply to task {task.name}; {_without(name)}"
    if recipe.cutout is not None and (dataset.large is not None or recipe.cutout > dataset.size):
        seen = f"those of {dataset.name} have {dataset.size}"
        why = f"it is for small images with sides of at least as many pixels, and {seen}"
        return f"recipe setting cutout = {recipe.cutout} does not apply to {dataset.name}: {why}; {_without('cutout')}"
    if recipe.drop_path is not None and (lacks := _lacking(space)):
        return f"recipe setting drop_path = {recipe.drop_path}: {lacks}; {_without('drop_path')}"
    return None if recipe.aux is None else _no_auxiliary(recipe, recipe.aux, space, dataset, task)


def _no_auxiliary(recipe: Train, weight: float, space: str, dataset: Dataset, task: Task) -> str | None:
    """Why there is no auxiliary head; None if there is one."""
    what = f"recipe setting aux = {weight:g}"
    if not hasattr(task, "smoothing"):
        return f"{what} does not apply to task {task.name}: the published heads classify; {_without('aux')}"
    if lacks := _lacking(space):
        return f"{what}: {lacks}; {_without('aux')}"
    try:
        spaces.retrainable(space).tapped_size(recipe.depth, dataset.stem, dataset.size)
    except ValueError as error:
        return f"{what} on {dataset.name}: {error}; {_without('aux')}"
    return None


def _lacking(space: str) -> str | None:
    try:
        spaces.retrainable(space)
    except LookupError as error:
        return str(error)
    return None


def _without(name: str) -> str:
    return f"override = {{ {name} = 0 }} leaves it out"
