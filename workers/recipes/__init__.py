"""Recipes: what is done with a network, as data.  One file per family; the folder is the registry.

There is one recipe class per method (`workers.methods`); `AnyRecipe` is a recipe of any method, `Recipe` one of the
method `train`.  A family may have variants: `zero_cost/synflow` is the variant `synflow` of the family `zero_cost`.
Imports datasets; tasks, trials and everything above them may import it.
"""

from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import spaces
from workers import datasets
from workers.data.small import LARGEST_CIFAR
from workers.recipes._any import AnyRecipe, current_name, read
from workers.recipes._candidates import Evolution, RandomSearch
from workers.recipes._models import Base, Precision, Sgd, WeightsOf, question
from workers.recipes._searches import Darts, DartsMinus, Gdas, PcDarts, PDarts, Search, Snas
from workers.recipes._supernets import OfSupernet, Rlnas, Supernet
from workers.recipes._train import Train
from workers.recipes._untrained import Lookup, OfTable, Score, Untrained
from workers.recipes._with_base import Attack, WithBase

Recipe = Train
LIKE_TASK = {
    "rand": "cls",
    "multi": "cls",
}  # tasks that have the settings of another one in families without settings for them

__all__ = [
    "AnyRecipe",
    "Attack",
    "Base",
    "Darts",
    "DartsMinus",
    "Evolution",
    "Gdas",
    "Lookup",
    "OfSupernet",
    "OfTable",
    "PDarts",
    "PcDarts",
    "Precision",
    "RandomSearch",
    "Recipe",
    "Rlnas",
    "Score",
    "Search",
    "Sgd",
    "Snas",
    "Supernet",
    "Train",
    "Untrained",
    "WeightsOf",
    "WithBase",
    "cells",
    "current_name",
    "names",
    "question",
    "read",
    "recipe",
    "training",
    "variants",
]


def names() -> list[str]:
    """The names of all families of recipes, without importing any of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def variants(family: str) -> list[str]:
    """The recipes of a family that has variants, as texts for `recipe` (`zero_cost/synflow`); else an empty list."""
    module = _family(family)
    return [f"{family}/{variant}" for variant in module.variants()] if hasattr(module, "variants") else []


def cells(name: str) -> list[tuple[str, str, str]]:
    """Every (space, dataset, task) for which the family of a recipe defines settings."""
    found: list[tuple[str, str, str]] = _family(name).cells()
    return found


def recipe(name: str, *, space: str, dataset: str, task: str, size: int | None = None) -> AnyRecipe:
    """The recipe of one cell of a study; LookupError lists the names, variants or cells that exist.

    For a dataset without settings, a family may use those of another dataset (its `LIKE`): one for small datasets,
    whose images fit in memory, and one for large ones; and for `rand` those of `cls`.  `size` is the image size in
    pixels of a dataset that is not registered.  `r.replace(epochs=2)` returns a validated copy with other values.
    """
    module = _family(name)
    like = getattr(module, "LIKE", {})
    if like and dataset not in {cell[1] for cell in module.cells()}:
        small = datasets.get(dataset).large is None if size is None else size <= LARGEST_CIFAR
        dataset = like["small" if small else "large"]
    try:
        return _looked_up(module, name, space, dataset, task)
    except LookupError:
        if task in LIKE_TASK:
            with suppress(LookupError):
                return _looked_up(module, name, space, dataset, LIKE_TASK[task])
        raise


def _looked_up(module: ModuleType, name: str, space: str, dataset: str, task: str) -> AnyRecipe:
    """The recipe of a cell for which the family has settings."""
    found: AnyRecipe
    family, slash, variant = name.partition("/")
    if getattr(module, "ANY_VARIANT", False):
        found = module.lookup(space, dataset, task, variant)
    elif not hasattr(module, "variants"):
        if slash:
            raise LookupError(f"recipe {spaces.quoted(name)}: {family} has no variants")
        found = module.lookup(space, dataset, task)
    elif not variant and not getattr(module, "WITH_PLAIN", False):
        raise LookupError(
            f"recipe {spaces.quoted(name)} needs a variant, as in {family}/{module.variants()[0]}; "
            f"have {', '.join(module.variants())}"
        )
    else:
        found = module.lookup(space, dataset, task, variant)
    return found


def training(name: str, *, space: str, dataset: str, task: str, size: int | None = None) -> Train:
    """`recipe`, for code that trains; LookupError for a recipe of another method."""
    found = recipe(name, space=space, dataset=dataset, task=task, size=size)
    if not isinstance(found, Train):
        raise LookupError(f"recipe {spaces.quoted(name)} is of the method {found.method!r}; expected one that trains")
    return found


def _family(name: str) -> ModuleType:
    """The module of a family, of its name or of the text of a recipe."""
    family = name.partition("/")[0]
    if family not in names():
        raise LookupError(f"no recipe {spaces.quoted(name)}; have {', '.join(names())}")
    return import_module(f"{__name__}.{family}")
