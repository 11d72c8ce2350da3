"""Recipes: the hyperparameters of a training, as data.  One file per family; the folder is the registry.

`Recipe` is the recipe class of the method `train`, which all families use; `AnyRecipe` is a recipe of any method.
Imports datasets; tasks, trials and everything above them may import it.
"""

from importlib import import_module
from pkgutil import iter_modules

import spaces
from workers import datasets
from workers.data.small import LARGEST_CIFAR
from workers.recipes._models import AnyRecipe, Base, Precision, Sgd, Train, question, read

Recipe = Train

__all__ = ["AnyRecipe", "Base", "Precision", "Recipe", "Sgd", "Train", "cells", "names", "question", "read", "recipe"]


def names() -> list[str]:
    """The names of all families of recipes, without importing any of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def cells(name: str) -> list[tuple[str, str, str]]:
    """Every (space, dataset, task) for which a family defines settings."""
    found: list[tuple[str, str, str]] = import_module(f"{__name__}.{name}").cells()
    return found


def recipe(name: str, *, space: str, dataset: str, task: str, size: int | None = None) -> Recipe:
    """The recipe of one cell of a study; LookupError lists the cells that the family covers.

    For a dataset without settings, a family may use those of another dataset (its `LIKE`): one for small datasets,
    whose images fit in memory, and one for large ones.  `size` is the image size in pixels of a dataset that is not
    registered.  `r.replace(epochs=2)` returns a validated copy with other values.
    """
    if name not in names():
        raise LookupError(f"no recipe {spaces.quoted(name)}; have {', '.join(names())}")
    family = import_module(f"{__name__}.{name}")
    like = getattr(family, "LIKE", {})
    if like and dataset not in {cell[1] for cell in family.cells()}:
        small = datasets.get(dataset).large is None if size is None else size <= LARGEST_CIFAR
        dataset = like["small" if small else "large"]
    found: Recipe = family.lookup(space, dataset, task)
    return found
