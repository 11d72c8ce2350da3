"""The code that a dataset of another distribution is read by, as a digest: what was decoded by other code is not used.

Covered are all files of the package (or the one module) that the dataset's class comes from, of the classes it derives
from, and of modules of the user's own that these import.  Not covered are installed packages that they use: those
change with a version.
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
_BEGAN = time.time()  # of this process, nearly
_SUFFIXES = (".py", ".pyc", ".so", ".pyd")
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([^\n#;]+)", re.MULTILINE)
_NAME = re.compile(rb"(?:^|,)[ \t]*([A-Za-z_]\w*)")


def foreign(thing: object) -> bool:
    """Whether an object's class is none of ours."""
    return _top(type(thing).__module__) not in _OURS


def facts(thing: object) -> list[tuple[str, Any]]:
    """The fields of an object and their values."""
    held = getattr(thing, "__dict__", None) or {
        name: getattr(thing, name) for name in getattr(thing, "__dataclass_fields__", ())
    }
    return sorted(held.items())


def digest(thing: object) -> str | None:
    """32 hex digits over the code that `thing` runs; None where no file is known to hold it.

    So it is in a notebook, and where a file was changed since this process began: it may run what was there before.
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
    """Whether the code lies where packages are installed, and so changes with a version: not so of an editable one."""
    try:
        return all(map(_is_installed, _sources(thing)))
    except OSError:
        return False


def _sources(thing: object) -> list[Path]:
    """The files of that code, sorted; FileNotFoundError where a class comes from no file."""
    homes = {kind.__module__ for kind in type(thing).__mro__}
    for _, value in facts(thing):
        homes.add(str(value.__module__ if isinstance(value, type | FunctionType) else type(value).__module__))
    homes = {name for name in homes if _is_strange(_top(name))}
    found = {Path(getattr(sys.modules.get(name), "__file__", None) or f"{name} is no file") for name in homes}
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
    """The top-level names that a file imports anywhere in it, but for ours and those of the standard library."""
    for line in _IMPORT.findall(file.read_bytes()):
        for name in _NAME.findall(line):
            if _is_strange(top := name.decode("ascii", "ignore")):
                yield top


def _files(top: str) -> Iterator[Path]:
    """The files of a package, or of a module, whether it is imported by now or not."""
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


def _is_strange(top: str) -> bool:
    return top not in _OURS and top not in sys.stdlib_module_names


def _is_installed(file: Path) -> bool:
    return not _INSTALLED.isdisjoint(file.parts)


def _top(name: str) -> str:
    return name.partition(".")[0]
