"""How a network is trained, as data.  One file per family of recipes; the folder is the registry.

`Recipe` is the class of the method `train`, which all families here have; `AnyRecipe` is the recipe of any method.
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
    """Every family of recipes that can be asked for, without importing any of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def cells(name: str) -> list[tuple[str, str, str]]:
    """The (space, dataset, task) that a family has settings of its own for."""
    found: list[tuple[str, str, str]] = import_module(f"{__name__}.{name}").cells()
    return found


def recipe(name: str, *, space: str, dataset: str, task: str, size: int | None = None) -> Recipe:
    """The recipe of one cell of a study; LookupError says which cells the family knows.

    A family may train datasets that it has no settings for as one of those it has (its `LIKE`): small ones, whose
    images lie in memory, and large ones.  `size`, in pixels, is that of a dataset in no registry.
    `r.replace(epochs=2)` gives a checked copy with other values.
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
