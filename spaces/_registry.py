"""Where plug-ins come from: the files of one of our folders, and what installed distributions offer as entry points.

The group of an entry point is `archsweep.spaces`, `archsweep.datasets` or `archsweep.tasks`, its name that of the
plug-in, its value the object.  Nothing is imported before it is asked for.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import Any

from spaces._text import quoted

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Registry:
    """All plug-ins of one kind: `space`, `dataset` or `task`."""

    kind: str
    package: str  # whose modules they are
    path: Sequence[str]
    protocol: type

    @property
    def group(self) -> str:
        """Of the entry points."""
        return f"archsweep.{self.kind}s"

    def own(self) -> list[str]:
        """Those of the folder: modules without a leading underscore."""
        return list(_modules(tuple(self.path)))

    def names(self) -> list[str]:
        """Every one that can be asked for, in alphabetical order, without importing any of them."""
        return sorted({*self.own(), *(point.name for point in _points(self.group))})

    def get(self, name: str) -> Any:
        """The plug-in of that name.

        LookupError naming what there is; ValueError, naming the distribution, where two plug-ins have the name or one
        cannot be used.
        """
        if name not in self.names():
            raise LookupError(f"no {self._title} {quoted(name)}; have {', '.join(self.names())}")
        points = [point for point in _points(self.group) if point.name == name]
        offered = ["archsweep itself"] * (name in self.own()) + [source(point) for point in points]
        if len(offered) > 1:
            raise ValueError(
                f"{self.kind} {quoted(name)} is offered by {' and by '.join(offered)}: which one is meant cannot be "
                "told; rename the entry point of one, or uninstall it"
            )
        if points:
            return self._loaded(points[0])
        return getattr(import_module(f"{self.package}.{name}"), self.kind.upper())

    def source(self, name: str) -> str | None:
        """Distribution and version that a plug-in comes from; None where it is one of ours."""
        return next((source(point) for point in _points(self.group) if point.name == name), None)

    @property
    def _title(self) -> str:
        return "search space" if self.kind == "space" else self.kind

    def _loaded(self, point: EntryPoint) -> Any:
        who = f"{self.kind} {quoted(point.name)} of {source(point)}"
        if not _NAME.fullmatch(point.name):
            raise ValueError(f"{who}: a name is a small letter, then small letters, digits and underscores, 40 at most")
        try:
            thing = point.load()
        except Exception as error:  # whatever a foreign module does when it is imported
            raise ValueError(f"{who} cannot be loaded from {point.value}: {type(error).__name__}: {error}") from error
        if missing := [name for name in members(self.protocol) if not hasattr(thing, name)]:
            raise ValueError(f"{who}: {point.value} lacks {', '.join(missing)}; see {self.protocol.__module__}")
        if thing.name != point.name:
            raise ValueError(f"{who} calls itself {quoted(str(thing.name))}; both names must be the same")
        return thing


def members(protocol: type) -> list[str]:
    """What an object of a protocol has."""
    return sorted(name for name in vars(protocol) if not name.startswith("_"))


def source(point: EntryPoint) -> str:
    """`distribution version` of an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


@cache
def _modules(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(m.name for m in iter_modules(path) if not m.name.startswith("_")))


def _points(group: str) -> Iterable[EntryPoint]:
    return _found(group, tuple(sys.path))


@cache
def _found(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points of a group, read once for every state of the path; each once, however often it is found."""
    return tuple({(point.name, point.value, source(point)): point for point in entry_points(group=group)}.values())
