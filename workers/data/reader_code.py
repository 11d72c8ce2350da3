"""A digest of the code that reads a plug-in's dataset: cached arrays that were decoded by other code are not used.

The digest covers all files of the package (or the single module) that defines the dataset's class and its base classes,
and of the user's modules that these import.  It does not cover installed packages, which change with their version.
"""

import hashlib
import os
import re
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

_OURS = {"workers", "spaces", "orchestrator", "analysis"}
_INSTALLED = {"site-packages", "dist-packages"}  # folders
_BEGAN = time.time()  # start of this process, approximately
_SUFFIXES = (".py", ".pyc", ".so", ".pyd")
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([^\n#;]+)", re.MULTILINE)
_NAME = re.compile(rb"(?:^|,)[ \t]*([A-Za-z_]\w*)")


def is_plugin(thing: object) -> bool:
    """Whether an object's class comes from another distribution or a script."""
    return _top(type(thing).__module__) not in _OURS


def fields_of(thing: object) -> list[tuple[str, Any]]:
    """The fields of an object and their values, sorted."""
    held = getattr(thing, "__dict__", None) or {
        name: getattr(thing, name) for name in getattr(thing, "__dataclass_fields__", ())
    }
    return sorted(held.items())


def digest(thing: object) -> str | None:
    """32 hex digits over the code that `thing` runs; None if the code is not known from files.

    That is the case in a notebook, and if a file was changed after this process started: the process may run the old
    code.
    """
    found = hashlib.sha256()
    try:
        for path in _sources(thing):
            about = path.stat()
            if about.st_mtime >= _BEGAN:
                return None
            text = path.read_bytes() if path.suffix == ".py" else f"{about.st_size} {about.st_mtime_ns}".encode()
            found.update(f"{path} {len(text)}\n".encode("utf-8", "surrogateescape") + text)
    except OSError:
        return None
    return found.hexdigest()[:32]


def installed(thing: object) -> bool:
    """Whether the code is in an installed package, which changes with its version; false for editable installs."""
    try:
        return all(map(_is_installed, _sources(thing)))
    except OSError:
        return False


def _sources(thing: object) -> list[Path]:
    """The files of that code, sorted; FileNotFoundError if a class is not defined in a file."""
    homes = {kind.__module__ for kind in type(thing).__mro__}
    for _, value in fields_of(thing):
        homes.add(str(value.__module__ if isinstance(value, type | FunctionType) else type(value).__module__))
    homes = {name for name in homes if _is_external(_top(name))}
    found = {Path(getattr(sys.modules.get(name), "__file__", None) or f"{name} has no file") for name in homes}
    if lacking := [path for path in found if not path.is_file()]:
        raise FileNotFoundError(str(lacking[0]))
    seen: set[str] = set()
    todo = [_top(name) for name in homes]
    while todo:
        top = todo.pop()
        seen.add(top)
        files = list(_files(top))
        found.update(files)
        imported = {name for file in files if file.suffix == ".py" for name in _imported(file)}
        todo += [name for name in imported - seen if not any(map(_is_installed, _files(name)))]
    return sorted(found)


def _imported(file: Path) -> Iterator[str]:
    """The top-level names that a file imports, except those of this project and of the standard library."""
    for line in _IMPORT.findall(file.read_bytes()):
        for name in _NAME.findall(line):
            if _is_external(top := name.decode("ascii", "ignore")):
                yield top


def _files(top: str) -> Iterator[Path]:
    """The files of a package or module, imported or not."""
    about: Any = sys.modules.get(top)
    if about is not None:
        folders, file = getattr(about, "__path__", ()), getattr(about, "__file__", None)
    else:
        try:
            about = find_spec(top)
        except (ImportError, ValueError):
            about = None
        folders, file = getattr(about, "submodule_search_locations", None) or (), getattr(about, "origin", None)
    for folder in folders:
        for base, below, names in os.walk(folder):
            below[:] = [name for name in below if name.isidentifier() and name != "__pycache__"]
            yield from (Path(base, name) for name in names if name.endswith(_SUFFIXES))
    if not folders and isinstance(file, str) and os.path.isfile(file):
        yield Path(file)


def _is_external(top: str) -> bool:
    return top not in _OURS and top not in sys.stdlib_module_names


def _is_installed(file: Path) -> bool:
    return not _INSTALLED.isdisjoint(file.parts)


def _top(name: str) -> str:
    return name.partition(".")[0]
