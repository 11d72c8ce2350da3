"""Studies of a second or two, and the command line as a user calls it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
    custom = f'{{ name = "pictures", kind = "parquet", path = "{pictures}", size = 32 }}'

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


_STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _no_process_stays() -> Iterator[None]:
    """A test that fails leaves no driver behind to disturb the others."""
    yield
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


def start(*words: object, **options: object) -> subprocess.Popen[str]:
    """`archsweep WORDS` as a process of its own, in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from orchestrator.cli.main import main; main()", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "200", **{k: str(v) for k, v in options.items()}},
    )
    _STARTED.append(process)
    return process


class Ended:
    """How a command ended."""

    def __init__(self, process: subprocess.Popen[str], timeout: float = 240) -> None:
        self.out, self.err = process.communicate(timeout=timeout)
        self.code = process.returncode


def cli(*words: object, **options: object) -> Ended:
    """Run a command to its end."""
    return Ended(start(*words, **options))
