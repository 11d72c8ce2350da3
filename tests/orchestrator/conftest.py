"""Studies of a second or two, and the command line as a user calls it."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import runner
from orchestrator.study.schema import load

from .warm import Command

TINY = """
name = "tiny"
path = "{path}"
[[sweeps]]
space = "chain"
architectures = {{ sample = {archs}, seed = 0 }}
dataset = {dataset}
tasks = {tasks}
seeds = {seeds}
recipe = "demo"
override = {{ epochs = {epochs}, width = 4, batch = 32, test_batch = 32, precise_bn = 64 }}
[execution]
engine = "{engine}"
{execution}
"""

Write = Callable[..., Path]


@pytest.fixture
def study(tmp_path: Path, pictures: Path) -> Write:
    """Writes a small study file of 64 training images, or of a dataset that is named; its run lies beside it."""
    custom = f'{{ name = "pictures", kind = "parquet", path = "{pictures}", size = 16 }}'

    def write(
        archs: int = 2,
        tasks: tuple[str, ...] = ("cls", "jig"),
        seeds: tuple[int, ...] = (1,),
        epochs: int = 1,
        engine: str = "inline",
        execution: str = "",
        extra: str = "",
        dataset: str = custom,
    ) -> Path:
        file = tmp_path / "tiny.toml"
        text = TINY.format(
            path=tmp_path / "run",
            archs=archs,
            tasks=json.dumps(tasks),
            seeds=list(seeds),
            epochs=epochs,
            engine=engine,
            execution=execution,
            dataset=dataset if dataset == custom else f'"{dataset}"',
        )
        file.write_text(text + extra)
        return file

    return write


# Loaded by every Python process that has its folder on PYTHONPATH: spoils what a worker calls for a training, when that
# is imported.
SITE = """
import importlib.util, sys

class Spoiler:
    def find_spec(self, name, path, target=None):
        if name != "workers.attempt":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            spoil(module)
        spec.loader.exec_module = exec_module
        return spec

def spoil(module):
    train = module.run
    def run(trial, *args, **options):
        import ctypes, os, pathlib, signal, time, torch
        mark = pathlib.Path({marks!r}) / trial.id
        tries = len(list(mark.parent.glob(mark.name + "*")))
        mark.with_name(f"{{trial.id}}-{{tries + 1}}").touch()
        befall(trial, tries + 1, options)
        return train(trial, *args, **options)
    module.run = run

def befall(trial, attempt, options):
    import ctypes, os, pathlib, signal, time, torch
    marks = pathlib.Path({marks!r})
{faults}

if "workers.attempt" in sys.modules:
    spoil(sys.modules["workers.attempt"])
else:
    sys.meta_path.insert(0, Spoiler())
"""

Spoil = Callable[[str], dict[str, str]]


@pytest.fixture
def spoil(tmp_path: Path) -> Spoil:
    """Makes trainings fail or wait; gives the environment under which they do.

    The code knows `trial`, `attempt`, the `options` of the training, and a folder `marks`.
    """

    def write(faults: str) -> dict[str, str]:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(spoiler(tmp_path / "marks", faults))
        return {"PYTHONPATH": str(tmp_path / "site")}

    return write


def spoiler(marks: Path, faults: str) -> str:
    """The code that spoils trainings, and the folder of its marks."""
    marks.mkdir()
    indented = "\n".join("    " + line for line in faults.strip().splitlines())
    return SITE.format(marks=str(marks), faults=indented)


# Epochs that last, without any work: how long a training takes is then the same on every machine.
SLOW = """
heard = options.get("on_epoch")
def told(values):
    time.sleep({seconds})
    if heard is not None: heard(values)
if {condition}: options["on_epoch"] = told
"""


def slow(seconds: float, condition: str = "True") -> str:
    """For `spoil`: every epoch lasts so long, in trainings for which the condition holds."""
    return SLOW.format(seconds=seconds, condition=condition)


def wait_for(true: Callable[[], object], timeout: float = 240, every: float = 0.05) -> None:
    """Until it is true; an error after so many seconds, for machines that have other things to do."""
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, f"not in {timeout} s: {true}"
        time.sleep(every)


def inline(file: Path) -> None:
    """Run a study in this process, all trials well."""
    assert runner.run(load(str(file))).exit_code == 0


_STARTED: list[Command] = []


@pytest.fixture(autouse=True)
def _no_process_stays() -> Iterator[None]:
    """A test that fails leaves no driver behind to disturb the others."""
    yield
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


def start(*words: object, **options: object) -> Command:
    """`archsweep WORDS` as a process of its own, in a process group of its own; options are environment variables.

    It is forked from a process that has imported everything: PYTHONPATH reaches what it starts, not the command.
    `cpus`, `ignored` and `first` are those of `warm.start`.
    """
    given = {name: options.pop(name) for name in ("cpus", "ignored", "first") if name in options}
    env = {**os.environ, "COLUMNS": "200", **{k: str(v) for k, v in options.items()}}
    process = Command(*words, env=env, **given)
    _STARTED.append(process)
    return process


class Ended:
    """How a command ended."""

    def __init__(self, process: Command, timeout: float = 240) -> None:
        self.code = process.wait(timeout)
        self.out, self.err = process.out, process.err


def cli(*words: object, **options: object) -> Ended:
    """Run a command to its end."""
    return Ended(start(*words, **options))
