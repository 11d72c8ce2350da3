"""Search spaces: architectures as text, and their networks up to the features.

The folder is the registry: every module or package in it without a leading underscore defines a space as `SPACE`;
installed distributions add theirs as entry points `archsweep.spaces`.  A space is imported when it is first used.
Imports no other package of this project; `workers` and `orchestrator` may import it.
"""

from spaces._registry import Registry, fault
from spaces._sample import Sample, sample
from spaces._simple import Simple
from spaces._space import Cost, Enumerable, Size, Space, Stem
from spaces._text import quoted

__all__ = [
    "Cost",
    "Enumerable",
    "Registry",
    "Sample",
    "Simple",
    "Size",
    "Space",
    "Stem",
    "enumerable",
    "fault",
    "get",
    "names",
    "quoted",
    "registry",
    "sample",
]

_REGISTRY = Registry("space", __name__, __path__, Space)


def registry() -> Registry:
    """The spaces of this package and of other distributions."""
    return _REGISTRY


def names() -> list[str]:
    """The names of all spaces, in alphabetical order, without importing them."""
    return _REGISTRY.names()


def get(name: str) -> Space:
    """The space of that name; LookupError naming the existing spaces."""
    space: Space = _REGISTRY.get(name)
    return space


def enumerable(name: str) -> Enumerable:
    """The space of that name if all its architectures can be listed; else LookupError, saying what can be done."""
    space = get(name)
    if not isinstance(space, Enumerable):
        known = [
            f"{other} ({found.n_archs:,})" for other in _REGISTRY.own() if isinstance(found := get(other), Enumerable)
        ]
        raise LookupError(
            f"the architectures of space {quoted(name)} cannot be listed; draw some with {{ sample = 500, seed = 0 }}, "
            f"or name them with {{ file = ... }} or {{ list = [...] }}; listable are {', '.join(known)}"
        )
    return space
