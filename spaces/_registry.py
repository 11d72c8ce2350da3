"""Registries: the modules of a folder of this package, and the entry points of installed distributions.

The group of an entry point is `archsweep.spaces`, `archsweep.datasets` or `archsweep.tasks`; its name is that of the
plug-in, and its value is the object.  A plug-in is imported when it is first used.
"""

import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from spaces._text import quoted

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_KINDS = ("space", "dataset", "task")


@dataclass(frozen=True)
class Registry:
    """All objects of one kind: `space`, `dataset` or `task`."""

    kind: str
    package: str  # that contains the modules
    path: Sequence[str]
    protocol: type

    @property
    def group(self) -> str:
        """The group of the entry points."""
        return _group(self.kind)

    def own(self) -> list[str]:
        """The names of the folder's modules, without those with a leading underscore."""
        return list(_modules(tuple(self.path)))

    def names(self) -> list[str]:
        """All names, in alphabetical order, without importing any object."""
        return sorted({*self.own(), *(point.name for point in _points(self.group))})

    def get(self, name: str) -> Any:
        """The object of that name.

        LookupError naming the existing ones; ValueError naming the distribution if two plug-ins have the same name or
        if one cannot be used.
        """
        if name not in self.names():
            raise LookupError(f"no {self._title} {quoted(name)}; have {', '.join(self.names())}")
        points = [point for point in _points(self.group) if point.name == name]
        offered = ["archsweep itself"] * (name in self.own()) + [source(point) for point in points]
        if len(offered) > 1:
            raise ValueError(
                f"{self.kind} {quoted(name)} is offered by {' and by '.join(offered)}: the name is ambiguous; rename "
                "the entry point of one, or uninstall it"
            )
        if points:
            return self._loaded(points[0])
        return getattr(import_module(f"{self.package}.{name}"), self.kind.upper())

    def source(self, name: str) -> str | None:
        """Distribution and version of a plug-in; None for an object of this package."""
        return next((source(point) for point in _points(self.group) if point.name == name), None)

    @property
    def _title(self) -> str:
        return "search space" if self.kind == "space" else self.kind

    def _loaded(self, point: EntryPoint) -> Any:
        who = f"{self.kind} {quoted(point.name)} of {source(point)}"
        if not _NAME.fullmatch(point.name):
            raise ValueError(f"{who}: expected a name of at most 40 lower-case letters, digits and underscores")
        try:
            thing = point.load()
            missing = [name for name in members(self.protocol) if not hasattr(thing, name)]
            name = None if missing else thing.name
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # importing a plug-in may raise anything, also SystemExit
            place = f" ({found[1]})" if (found := fault(error, [point])) else ""
            raise ValueError(
                f"{who} cannot be loaded from {point.value}: {type(error).__name__}: {error}{place}"
            ) from error
        if isinstance(thing, type):
            raise ValueError(
                f"{who}: {point.value} is a class; expected an object of it, such as "
                f"{point.attr} = {thing.__qualname__}() with the class under another name"
            )
        if isinstance(thing, ModuleType):
            raise ValueError(
                f"{who}: {point.value} is a module; name the object in it, {point.value}:{self.kind.upper()}"
            )
        if missing:
            raise ValueError(f"{who}: {point.value} lacks {', '.join(missing)}; see {self.protocol.__module__}")
        if name != point.name:
            raise ValueError(f"{who} calls itself {quoted(str(name))}; both names must be the same")
        return thing


def members(protocol: type) -> list[str]:
    """The public members of a protocol."""
    return sorted(name for name in vars(protocol) if not name.startswith("_"))


def source(point: EntryPoint) -> str:
    """`distribution version` of an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


@cache
def _modules(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(m.name for m in iter_modules(path) if not m.name.startswith("_")))


def fault(error: BaseException, points: Iterable[EntryPoint] | None = None) -> tuple[str, str] | None:
    """The distribution and the place, `file:line`, of the innermost plug-in code in an error's traceback.

    None if no plug-in code is in the traceback.
    """
    if points is None:
        points = [point for kind in _KINDS for point in _points(_group(kind))]
    homes = {home: source(point) for point in points for home in _homes(point.module.partition(".")[0])}
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:  # raised before any code of the file ran
        places.append((error.filename, error.lineno))
    for file, line in reversed(places):
        whole = os.path.realpath(file)
        if who := next((who for home, who in homes.items() if whole == home or whole.startswith(home + os.sep)), None):
            return who, f"{file}:{line}"
    return None


def _homes(module: str) -> list[str]:
    """The folders of a package, or the file of a module, without importing it."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    found = list(spec.submodule_search_locations or ())
    if not found and spec.origin is not None:
        found = [spec.origin]
    return [os.path.realpath(place) for place in found]


def _group(kind: str) -> str:
    return f"archsweep.{kind}s"


def _points(group: str) -> Iterable[EntryPoint]:
    return _found(group, tuple(sys.path))


@cache
def _found(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points of a group without duplicates, read once per value of `sys.path`."""
    return tuple({(point.name, point.value, source(point)): point for point in entry_points(group=group)}.values())
