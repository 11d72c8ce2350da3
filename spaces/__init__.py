"""Search spaces: architectures as text, and their networks up to the features.

The folder is the registry: every module or package in it whose name has no leading underscore is a space,
and offers it as `SPACE`. Nothing is imported until it is asked for.
"""

from importlib import import_module
from pkgutil import iter_modules

from spaces._sample import Sample, sample
from spaces._space import Cost, Space, Stem
from spaces._text import quoted

__all__ = ["Cost", "Sample", "Space", "Stem", "get", "names", "quoted", "sample"]


def names() -> list[str]:
    """Every space that can be asked for, in alphabetical order, without importing any of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Space:
    """The space of that name. LookupError, naming the spaces there are, if there is none."""
    if name not in names():
        raise LookupError(f"no search space {quoted(name)}; have {', '.join(names())}")
    space: Space = import_module(f"{__name__}.{name}").SPACE
    return space
