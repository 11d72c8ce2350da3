"""Zero-cost proxies: scores of a network with its initial weights, one file each.  The folder is the registry.

Each file has a `PROXY`: what it computes, its source, its sign, and whether it reads images.  The method `score` calls
it with a network and a batch (workers/methods/score.py).  Names and aliases without torch: workers/recipes/_scores.py.
Imports networks and everything below them; methods and contracts import it.
"""

from importlib import import_module
from pkgutil import iter_modules

import spaces
from workers.scores._proxy import Proxy, Subject, Unmeasurable

__all__ = ["Proxy", "Subject", "Unmeasurable", "get", "names"]


def names() -> list[str]:
    """The names of all proxies, without importing any of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Proxy:
    """The proxy with this name; LookupError lists the names that exist."""
    if name not in names():
        raise LookupError(f"no proxy {spaces.quoted(name)}; have {', '.join(names())}")
    found: Proxy = import_module(f"{__name__}.{name}").PROXY
    return found
