"""A worker that hangs, however it hangs, is ended in time; its trial's folder tells where it stood."""

import time
from pathlib import Path

import pytest

from orchestrator.store.run_folder import RunStore
from tests.forks import program

WORKER = """
import ctypes, os, signal, sys, time
from datetime import UTC, datetime
from orchestrator.execution import watchdog

def trained():
    {how}

row = {{"trial_id": "t", "launch": "l", "attempt": 1, "started_at": datetime.now(UTC)}}
with open({log!r}, "w") as log:
    log.write("epoch 1\\n")
with watchdog.guard({seconds}, {run!r}, row, {log!r}):
    {first}
    trained()
{after}
print("done")
"""
HANGS = {
    "Python": "while True: time.sleep(0.01)",
    "native code that holds the interpreter": "ctypes.PyDLL(None).sleep(600)",
    "frozen": "os.kill(os.getpid(), signal.SIGSTOP)",
}


def worker(tmp_path: Path, how: str, seconds: float, first: str = "pass", after: str = "") -> int:
    """Run a worker to its end; gives its exit code."""
    log, run = str(tmp_path / "log"), str(tmp_path / "run")
    code = WORKER.format(how=how, seconds=seconds, run=run, log=log, first=first, after=after)
    return program(code).returncode


def published(tmp_path: Path, timeout: float = 60) -> str:
    """The trial's log, once it is there."""
    log = tmp_path / "run" / "trials" / "t" / "log.txt"
    end = time.monotonic() + timeout
    while not log.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return log.read_text()


@pytest.mark.parametrize("how", HANGS)
def test_a_hang_is_ended_and_leaves_its_stack_and_its_row(how: str, tmp_path: Path) -> None:
    assert worker(tmp_path, HANGS[how], seconds=0.5) == -9
    said = published(tmp_path)
    assert said.startswith("epoch 1\n")
    (row,) = RunStore(str(tmp_path / "run")).attempts().to_pylist()
    assert (row["status"], row["error_class"], row["attempt"]) == ("failed", "timeout", 1)
    assert row["error_text"] == "the attempt did not end in 0.5 s" == row["traceback"].splitlines()[-1]
    for text in (said, row["traceback"]):
        assert ("in trained" in text) == (how != "frozen")
    assert not (tmp_path / "log").exists()


def test_a_row_that_was_published_in_time_is_not_written_over(tmp_path: Path) -> None:
    first = (
        "from orchestrator.store.run_folder import RunStore; "
        f"RunStore({str(tmp_path / 'run')!r}).publish_attempt({{**row, 'status': 'ok', 'score_best': 0.5}})"
    )
    assert worker(tmp_path, HANGS["Python"], seconds=2, first=first) == -9
    (row,) = RunStore(str(tmp_path / "run")).attempts().to_pylist()
    assert (row["status"], row["score_best"]) == ("ok", 0.5)


def test_the_log_of_a_crashed_worker_is_published_with_the_stack(tmp_path: Path) -> None:
    assert worker(tmp_path, "ctypes.string_at(0)", seconds=60) == -11
    said = published(tmp_path)
    assert "Segmentation fault" in said
    assert "in trained" in said
    assert "died here" in said
    assert RunStore(str(tmp_path / "run")).attempts().num_rows == 0  # the driver books it


def test_a_log_is_published_although_a_worker_is_killed_with_its_children(tmp_path: Path) -> None:
    """So Ray's memory monitor does."""
    first = (
        "watchdog._process.wait(timeout=60); import pathlib; "
        "[os.kill(int(p.name), 9) for p in pathlib.Path('/proc').glob('[0-9]*') "
        "if int((p / 'stat').read_text().rpartition(')')[2].split()[1]) == os.getpid()]; "
        "os.kill(os.getpid(), 9)"
    )
    assert worker(tmp_path, "pass", seconds=60, first=first) == -9
    assert "died here" in published(tmp_path)


def test_who_ends_in_time_is_left_alone(tmp_path: Path) -> None:
    assert worker(tmp_path, "pass", seconds=0.3, after="time.sleep(2)") == 0
    assert not (tmp_path / "run").exists()
