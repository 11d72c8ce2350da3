"""Every command in every environment ends with the promised exit code and words, and never with a traceback.

Environments are combined, so that each command meets each of them in a few starts; `pytest -m soak` tries each by
itself.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .conftest import TINY
from .warm import code_of, kept, start

Words = Callable[[Path], list[object]]
FULL = "/dev/full"


@dataclass(frozen=True)
class Command:
    """A command, its exit code, and a word of what it prints; `answers`: what it prints is all that it does."""

    words: Words
    code: int = 0
    says: str = ""
    answers: bool = True


def study(place: Path, archs: int = 1) -> None:
    """Write a study of a second into the folder."""
    given = {"archs": archs, "tasks": '["cls"]', "seeds": "[1]", "epochs": 1, "engine": "inline", "execution": ""}
    given["dataset"] = '"photos"'
    (place / "tiny.toml").write_text(TINY.format(path=place / "run", **given))


COMMANDS = {
    "--help": Command(lambda place: ["--help"], says="correlate"),
    "run --help": Command(lambda place: ["run", "--help"], says="STUDY"),
    "--version": Command(lambda place: ["--version"], says="archsweep"),
    "unknown": Command(lambda place: ["resume"], 2),
    "plan": Command(lambda place: ["plan", place / "tiny.toml"], says="1 trials"),
    "plan nothing": Command(lambda place: ["plan", "no-such-study"], 2),
    "run": Command(lambda place: ["run", place / "tiny.toml"], says="1 of 1 trials done", answers=False),
    "status": Command(lambda place: ["status", place / "done"], says="1 of 1 trials done"),
    "status --json": Command(lambda place: ["status", place / "done", "--json"], says='"done": 1'),
    "status --watch": Command(lambda place: ["status", place / "done", "--watch"], says="1 of 1 trials done"),
    "stop": Command(lambda place: ["stop", place / "done"], says="no driver", answers=False),
    "retry": Command(lambda place: ["retry", place / "done", "--failed"], says="nothing to retry", answers=False),
    "correlate": Command(lambda place: ["correlate", place / "done"], says="no two cells"),
    "correlate --csv": Command(lambda place: ["correlate", place / "done", "--of", "cells", "--csv"], says="chain"),
    "query": Command(lambda place: ["query", place / "done", "select count(*) as n from rows"], says="1"),
    "export": Command(lambda place: ["export", place / "done", place / "all.csv"], says="1 rows", answers=False),
    "report": Command(
        lambda place: ["report", place / "done", "--resamples", 0, "--to", place / "page"], says="report", answers=False
    ),
    "import": Command(
        lambda place: [
            *("import", "table", place / "results.csv", "--into", place / "imported", "--space", "mine"),
            *("--arch", "arch", "--dataset", "d", "--task", "t", "--value", "value"),
        ],
        says="2 of 2 rows are new",
        answers=False,
    ),
    "list": Command(lambda place: ["list"], says="presets"),
    "list spaces": Command(lambda place: ["list", "spaces"], says="chain"),
    "show": Command(lambda place: ["show", "c3_c5"], says="chain"),
    "prepare": Command(lambda place: ["prepare", "photos"], says="768 training", answers=False),
    "bench": Command(
        lambda place: [
            "bench",
            "step",
            "--smoke",
            "--rounds",
            1,
            "--task",
            "cls",
            "--space",
            "nasbench101",
            "--size",
            "p10",
        ],
        says="nasbench101",
    ),
}


@dataclass(frozen=True)
class Place:
    """An environment: how standard output ends, variables ("" takes one away), and what `start` is given."""

    stdout: str = ""  # a file where empty
    env: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)


LONG = "archsweep-" + "x" * 100
ALONE = {
    "no HOME": Place(env={"HOME": ""}),
    "a HOME that is not there": Place(env={"HOME": "/nonexistent"}),
    "no terminal": Place(given={"stdin": "closed"}, env={"TERM": ""}),
    "closed stdout": Place(stdout="closed"),
    "closed stdout and stderr": Place(stdout="closed", given={"stderr": "closed"}),
    "broken pipe": Place(stdout="broken"),
    "broken stderr": Place(given={"stderr": "broken"}),
    "ASCII": Place(env={"PYTHONIOENCODING": "ascii"}),
    "latin-1": Place(env={"PYTHONIOENCODING": "latin-1"}),
    "20 columns": Place(env={"COLUMNS": "20"}),
    "0 columns": Place(env={"COLUMNS": "0", "LINES": "0"}),
    "read-only working directory": Place(given={"cwd": "/sys"}),
    "full disk": Place(stdout=FULL),
    "full disk for errors too": Place(stdout=FULL, given={"stderr": FULL}),
    "long TMPDIR": Place(env={"TMPDIR": LONG}),
    "one CPU": Place(given={"cpus": {min(os.sched_getaffinity(0))}}),
}
TOGETHER = {
    "cron": Place("closed", {"HOME": "", "TERM": "", "TMPDIR": LONG}, {"stdin": "closed", "cwd": "/sys"}),
    "a reader that leaves": Place("broken", {"PYTHONIOENCODING": "ascii", "COLUMNS": "20"}, ALONE["one CPU"].given),
    "a full disk": Place(FULL, {"HOME": "/nonexistent", "COLUMNS": "0"}, {"stderr": "broken", "cwd": "/sys"}),
    "a small terminal": Place("", {"PYTHONIOENCODING": "ascii", "COLUMNS": "20", "HOME": ""}, ALONE["one CPU"].given),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one trial that is done."""
    place = tmp_path_factory.mktemp("done")
    study(place)
    assert code_of(start(["run", place / "tiny.toml"])) == 0
    return place / "run"


@pytest.fixture
def place(tmp_path: Path, done: Path) -> Path:
    """A folder with a study, a finished run and a table of results."""
    study(tmp_path)
    shutil.copytree(done, tmp_path / "done")
    (tmp_path / "results.csv").write_text("arch,value\na,0.5\nb,0.25\n")
    return tmp_path


def check(name: str, where: Place, place: Path) -> None:
    """Start the command there; it ends as promised."""
    command = COMMANDS[name]
    env = {**os.environ, "COLUMNS": "100", **where.env}
    if where.env.get("TMPDIR"):
        env["TMPDIR"] = str(place / where.env["TMPDIR"])
        Path(env["TMPDIR"]).mkdir()
    env = {key: value for key, value in env.items() if value or key not in where.env}
    out, err = place / "out.txt", place / "err.txt"
    streams = {"stdout": where.stdout or str(out), "stderr": str(err)}
    process = start(command.words(place), **{**streams, "env": env, **where.given})
    promised = 2 if where.stdout == FULL and command.answers else command.code
    said, told = kept(out), kept(err)
    assert code_of(process) == promised, said + told
    said, told = kept(out), kept(err)
    assert "Traceback" not in said + told
    assert "Exception ignored" not in said + told
    if not where.stdout:
        assert command.says in " ".join(said.split()) or where.env.get("COLUMNS") == "20", said
    if promised == 2 and not where.given.get("stderr"):
        assert told  # a refusal has a reason
    if where.env.get("PYTHONIOENCODING") == "ascii":
        assert (said + told).isascii()
    if name == "run":
        assert len(list((place / "run" / "rows").glob("part-*.parquet"))) == 1
        assert not (place / "run" / "lease.json").exists()


@pytest.mark.parametrize("where", TOGETHER)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_ends_as_promised(name: str, where: str, place: Path) -> None:
    check(name, TOGETHER[where], place)


@pytest.mark.soak
@pytest.mark.parametrize("where", ALONE)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_every_environment(name: str, where: str, place: Path) -> None:
    check(name, ALONE[where], place)


@pytest.mark.parametrize(
    ("redirected", "code"),
    [(">&-", 0), (">&- 2>&-", 0), ("| true", 0), ("> /dev/full", 2), ("2>&- | true", 0), ("<&- >&- 2>&-", 0)],
)
def test_a_command_of_its_own_process_ends_as_promised(redirected: str, code: int) -> None:
    """The end of the interpreter included, which flushes once more."""
    script = f'"{sys.executable}" -m orchestrator list {redirected}\nexit "${{PIPESTATUS[0]}}"'
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_a_run_whose_reader_leaves_trains_on(tmp_path: Path) -> None:
    """The reader goes before the second trial begins; lines of failures and of the end have nobody to go to."""
    study(tmp_path, archs=3)
    assert code_of(start(["run", tmp_path / "tiny.toml"], stdout="broken", stderr="broken")) == 0
    assert len(list((tmp_path / "run" / "rows").glob("part-*.parquet"))) == 1


@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.8])
def test_ctrl_c_while_the_command_is_loaded_ends_in_silence(seconds: float) -> None:
    """From the first line of ours on; before it Python itself starts."""
    code = (
        "import os, signal, threading, time\n"
        "from orchestrator.__main__ import main\n"
        f"threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "import sys; sys.argv = ['archsweep', 'list', 'spaces']\n"
        "main()\n"
        "time.sleep(60)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.returncode in (0, 130, -signal.SIGINT), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_library_that_turns_ctrl_c_into_its_own_error_ends_in_silence() -> None:
    """As C extensions do that are interrupted while they import others."""
    code = (
        "import os, signal, sys, types\n"
        "class Torn(types.ModuleType):\n"
        "    def __getattr__(self, name):\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        except BaseException:\n"
        "            pass\n"
        "        raise ImportError('failed to import the C API')\n"
        "sys.modules['orchestrator.cli.listing'] = Torn('listing')\n"
        "sys.argv = ['archsweep', 'list', 'spaces']\n"
        "from orchestrator.__main__ import main\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (130, "")
