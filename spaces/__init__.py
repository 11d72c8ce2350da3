"""Search spaces: architectures as text, and their networks up to the features.

The folder is the registry: every module or package in it without a leading underscore defines a space as `SPACE`;
installed distributions add theirs as entry points `archsweep.spaces`.  A space is imported when it is first used.
Imports no other package of this project; `workers` and `orchestrator` may import it.
"""

from collections.abc import Mapping
from typing import cast

from spaces._paths import SinglePath
from spaces._registry import Registry, fault, members
from spaces._retraining import RegularisedTrunk, Retrainable
from spaces._sample import Sample, sample
from spaces._search import WHOLE, Choices, EdgeKind, Searchable
from spaces._simple import Simple
from spaces._space import Cost, Enumerable, Size, Space, Stem
from spaces._text import quoted

__all__ = [
    "WHOLE",
    "Choices",
    "Cost",
    "EdgeKind",
    "Enumerable",
    "Registry",
    "RegularisedTrunk",
    "Retrainable",
    "Sample",
    "Searchable",
    "Simple",
    "SinglePath",
    "Size",
    "Space",
    "Stem",
    "enumerable",
    "fault",
    "get",
    "lacking",
    "names",
    "published",
    "quoted",
    "registry",
    "retrainable",
    "sample",
    "searchable",
    "single_path",
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


def lacking(space: Space, protocol: type = Searchable) -> list[str]:
    """What a space lacks of a protocol, by default `Searchable`; empty for a space that can be searched."""
    return [member for member in members(protocol) if not hasattr(space, member)]


def searchable(name: str) -> Searchable:
    """The space of that name, which has a supernet; LookupError for one without, and for an unknown name."""
    space = get(name)
    if missing := lacking(space):
        raise LookupError(
            f"space {quoted(name)} has no supernet, so it cannot be searched with one; it lacks {', '.join(missing)} "
            "(spaces/_search.py)"
        )
    return cast(Searchable, space)


def single_path(name: str) -> SinglePath:
    """The space of that name, whose supernet can be trained one path at a time; LookupError for one without."""
    space = searchable(name)
    if missing := [member for member in members(SinglePath) if not hasattr(space, member)]:
        raise LookupError(
            f"the supernet of space {quoted(name)} has no single paths; it lacks {', '.join(missing)} "
            "(spaces/_paths.py)"
        )
    return cast(SinglePath, space)


def retrainable(name: str) -> Retrainable:
    """The space of that name, which has drop path and an auxiliary head; LookupError for one without."""
    space = get(name)
    if missing := lacking(space, Retrainable):
        known = [other for other in _REGISTRY.own() if not lacking(get(other), Retrainable)]
        raise LookupError(
            f"space {quoted(name)} has no auxiliary head and no drop path; it lacks {', '.join(missing)} "
            f"(spaces/_retraining.py). Spaces that have them: {', '.join(known)}"
        )
    return cast(Retrainable, space)


def published(name: str) -> Mapping[str, str]:
    """The published architectures of a space, by name, as its member `published`; LookupError where it has none."""
    found = getattr(get(name), "published", None)
    if found is None:
        known = [other for other in _REGISTRY.own() if hasattr(get(other), "published")]
        raise LookupError(
            f"space {quoted(name)} has no architectures with names; give them as text, with {{ list = [...] }} or "
            f"{{ file = ... }}. Spaces that have some: {', '.join(known)}"
        )
    named: Mapping[str, str] = found
    return named
