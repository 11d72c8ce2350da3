"""How a network is trained, as data.  One file a family of recipes; the folder is the registry."""

from importlib import import_module
from pkgutil import iter_modules

import spaces
from workers.recipes._recipe import Precision, Recipe

__all__ = ["Precision", "Recipe", "names", "recipe"]


def names() -> list[str]:
    """Every family of recipes that can be asked for, without importing any of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def recipe(name: str, *, space: str, dataset: str, task: str) -> Recipe:
    """The recipe of one cell of a study; LookupError says which cells the family knows.

    `r.replace(epochs=2)` gives a checked copy with other values.
    """
    if name not in names():
        raise LookupError(f"no recipe {spaces.quoted(name)}; have {', '.join(names())}")
    found: Recipe = import_module(f"{__name__}.{name}").lookup(space, dataset, task)
    return found
