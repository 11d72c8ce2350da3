"""Methods: ways to compute the result of a trial, one file each.  The folder is the registry.

A method creates a `Run` from a trial: epochs, and columns of the trial's row.  `workers.loop` drives every run in the
same way, so a method contains no code for checkpoints, stops, logs and rows.
Imports recipes, tasks, datasets and data; only `workers.run` and `workers.bench` import it.
"""

from importlib import import_module
from pkgutil import iter_modules

import spaces
from workers.methods._method import Method


def names() -> list[str]:
    """The names of all methods, without importing any of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Method:
    """The method with this name; LookupError lists the names that exist."""
    if name not in names():
        raise LookupError(f"no method {spaces.quoted(name)}; have {', '.join(names())}")
    found: Method = import_module(f"{__name__}.{name}").METHOD
    return found
