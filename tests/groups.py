"""Which tests share a process of `pytest -n`, as their marks `xdist_group` say.

pytest-xdist passes groups on in the ids of tests, which has no effect from pytest 9.2 on.  So the marks are read from
the files.
"""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xdist.scheduler import LoadGroupScheduling

TESTS = Path(__file__).parent


def groups() -> dict[str, str]:
    """The group of each file or test that has one, by its id without parameters."""
    found = {}
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if "xdist_group" not in text:
            continue
        file = path.relative_to(TESTS.parent).as_posix()
        for statement in ast.parse(text).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="pytestmark")], value=value):
                    where, marks = file, [value]
                case ast.FunctionDef(name=test, decorator_list=marks):
                    where = f"{file}::{test}"
                case _:
                    continue
            for name in _named(marks):
                found[where] = name
    return found


def _named(marks: list[ast.expr]) -> Iterator[str]:
    for node in itertools.chain.from_iterable(map(ast.walk, marks)):
        match node:
            case ast.Call(func=ast.Attribute(attr="xdist_group"), args=[ast.Constant(value=str(name))]):
                yield name


class Scheduling(LoadGroupScheduling):
    """Gives each group to one process, and other tests to whichever is free."""

    def __init__(self, config: Any, log: Any = None) -> None:
        super().__init__(config, log)
        self._groups = groups()

    def _split_scope(self, nodeid: str) -> str:
        test = nodeid.partition("[")[0].partition("@")[0]
        return self._groups.get(test) or self._groups.get(test.partition("::")[0]) or nodeid
