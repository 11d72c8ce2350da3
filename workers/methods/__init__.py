"""What is done with a network, one file per method.  The folder is the registry.

A method makes a `Run` of a trial: epochs that end in columns of its row.  `workers.loop` drives every run in the same
way, so a method has no code for checkpoints, stops, logs and rows.
"""

from importlib import import_module
from pkgutil import iter_modules

import spaces
from workers.methods._method import Method


def names() -> list[str]:
    """Every method that a recipe can name, without importing any of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Method:
    """The method of a name; LookupError says which there are."""
    if name not in names():
        raise LookupError(f"no method {spaces.quoted(name)}; have {', '.join(names())}")
    found: Method = import_module(f"{__name__}.{name}").METHOD
    return found
