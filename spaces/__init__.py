"""Search spaces: architectures as text, and their networks up to the features.

The folder is the registry: every module or package in it whose name has no leading underscore is a space,
and offers it as `SPACE`; installed distributions add theirs as entry points `archsweep.spaces`. Nothing is imported
until it is asked for.
"""

from spaces._registry import Registry, fault
from spaces._sample import Sample, sample
from spaces._simple import Simple
from spaces._space import Cost, Size, Space, Stem
from spaces._text import quoted

__all__ = [
    "Cost",
    "Registry",
    "Sample",
    "Simple",
    "Size",
    "Space",
    "Stem",
    "fault",
    "get",
    "names",
    "quoted",
    "registry",
    "sample",
]

_REGISTRY = Registry("space", __name__, __path__, Space)


def registry() -> Registry:
    """Our spaces and those of other distributions."""
    return _REGISTRY


def names() -> list[str]:
    """Every space that can be asked for, in alphabetical order, without importing any of them."""
    return _REGISTRY.names()


def get(name: str) -> Space:
    """The space of that name. LookupError, naming the spaces there are, if there is none."""
    space: Space = _REGISTRY.get(name)
    return space
