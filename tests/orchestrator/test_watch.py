"""`status --watch` shows the progress of a run and ends with its exit code."""

import contextlib
import dataclasses
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.store import lease
from orchestrator.store.run_folder import RunStore
from workers import files

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
from made_up import failed, population, write_part, write_plan, write_run

Say = Callable[..., tuple[int, list[str]]]
ROWS = population(4, tasks=("cls", "rot"))


class Screen(io.StringIO):
    """What a command has printed so far, which another thread may wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, text: str) -> int:
        with self._written:
            n = super().write(text)
            self._written.notify_all()
        return n

    def wait_for(self, text: str) -> None:
        with self._written:
            assert self._written.wait_for(lambda: text in self.getvalue(), 60), f"{text} was not printed in 60 s"


@pytest.fixture
def screen() -> Screen:
    """Standard output of the commands of this test."""
    return Screen()


@pytest.fixture
def say(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object) -> tuple[int, list[str]]:
        screen.seek(0)
        screen.truncate()
        monkeypatch.setattr("sys.argv", ["archsweep", *map(str, words)])
        with contextlib.redirect_stdout(screen), pytest.raises(SystemExit) as ended:
            main.main()
        return int(ended.value.code or 0), screen.getvalue().splitlines()

    return run


@pytest.fixture
def driven(tmp_path: Path) -> RunStore:
    """A run of eight trials, three done, whose driver is this process."""
    write_plan(tmp_path / "x", ROWS)
    write_part(tmp_path / "x", ROWS[:3])
    store = RunStore(str(tmp_path / "x"))
    lease.acquire(store, "mine")
    return store


def meanwhile(*steps: Callable[[], object]) -> threading.Thread:
    """Steps that happen while somebody watches: each after what it waits for, else a moment after the one before."""

    def act() -> None:
        for step in steps:
            time.sleep(0.2)
            step()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def progress(lines: list[str]) -> list[str]:
    """The lines about the progress of a run, up to the word "done"."""
    return [line.partition(" trials done")[0] for line in lines if " trials done" in line]


def test_it_ends_when_nothing_is_left(driven: RunStore, say: Say, screen: Screen, tmp_path: Path) -> None:
    steps = meanwhile(
        lambda: screen.wait_for("3 of 8"),
        lambda: write_part(tmp_path / "x", ROWS[:6]),
        lambda: screen.wait_for("6 of 8"),
        lambda: write_part(tmp_path / "x", ROWS),
    )
    code, lines = say("status", driven.url, "--watch", "--every", 0.1)
    steps.join()
    assert code == 0
    assert progress(lines) == ["3 of 8", "6 of 8", "8 of 8"]
    assert all("driven by process" in line for line in lines[:3])


def test_scores_are_shown_at_the_end(say: Say, tmp_path: Path) -> None:
    write_run(tmp_path / "x", ROWS)
    shown = say("status", tmp_path / "x", "--watch")[1][1:]
    assert [line.split()[:4] for line in shown] == [
        ["score", "in", "%", "n"],
        ["darts", "cifar10", "cls", "4"],
        ["darts", "cifar10", "rot", "4"],
    ]


def test_a_look_at_a_part_that_is_just_being_replaced_is_not_the_end(
    driven: RunStore, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a slow shared disk shows one that is written in place."""
    [part] = (tmp_path / "x" / "rows").iterdir()
    half = part.read_bytes()[:500]
    monkeypatch.setattr(files, "WAITS_S", (0.2,) * 100)
    steps = meanwhile(
        lambda: part.write_bytes(half), lambda: part.write_bytes(b""), lambda: write_part(tmp_path / "x", ROWS)
    )
    code, lines = say("status", driven.url, "--watch", "--every", 0.1)
    steps.join()
    assert code == 0
    assert progress(lines) == ["3 of 8", "8 of 8"]


def test_a_part_that_stays_damaged_ends_the_watch(
    driven: RunStore, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "WAITS_S", (0.01, 0.01))
    [part] = (tmp_path / "x" / "rows").iterdir()
    part.write_bytes(part.read_bytes()[:500])
    code, _ = say("status", driven.url, "--watch")
    assert code == 2


def test_a_driver_elsewhere_whose_clock_is_behind_is_watched_on(
    driven: RunStore, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease looks expired, and is renewed."""
    theirs = dataclasses.replace(lease.Lease.mine("theirs"), host="elsewhere")

    def renew() -> None:
        driven.write(lease.encoded(dataclasses.replace(theirs, expires=time.time() - 3600)), lease.NAME)

    renew()
    steps = meanwhile(renew, renew, lambda: write_part(tmp_path / "x", ROWS))
    code, lines = say("status", driven.url, "--watch", "--every", 0.1)
    steps.join()
    assert code == 0
    assert progress(lines)[-1] == "8 of 8"
    assert "elsewhere" in "".join(say("stop", driven.url)[1])
    assert driven.stop_asked()


def test_it_ends_when_the_driver_has_gone(driven: RunStore, say: Say) -> None:
    steps = meanwhile(lambda: lease.release(driven, "mine"))
    code, lines = say("status", driven.url, "--watch", "--every", 0.1)
    steps.join()
    assert code == 3
    assert "3 of 8 trials done; no driver at work" in lines


def test_it_tells_what_waits_for_retry(say: Say, tmp_path: Path) -> None:
    twice = [failed(arch="z", task="cls", attempt=n, error_class="error", traceback="ValueError: no") for n in (1, 2)]
    write_run(tmp_path / "x", ROWS + twice)
    code, lines = say("status", tmp_path / "x", "--watch")
    assert code == 1
    assert lines[0] == "8 of 9 trials done, 1 quarantined; no driver at work"
    assert any("1 x ValueError: no" in line for line in lines)


def test_several_runs_are_watched_until_all_are_over(
    driven: RunStore, say: Say, screen: Screen, tmp_path: Path
) -> None:
    write_run(tmp_path / "y", ROWS)
    steps = meanwhile(lambda: screen.wait_for("x: 3 of 8"), lambda: write_part(tmp_path / "x", ROWS))
    code, lines = say("status", tmp_path / "y", driven.url, "--watch", "--every", 0.1)
    steps.join()
    assert code == 0
    assert progress(lines) == [f"{tmp_path}/y: 8 of 8", f"{tmp_path}/x: 3 of 8", f"{tmp_path}/x: 8 of 8"]
    both = json.loads("".join(say("status", tmp_path / "y", driven.url, "--json")[1]))
    assert [one["done"] for one in both] == [8, 8]


def test_ctrl_c_leaves_the_run_alone(driven: RunStore, say: Say) -> None:
    steps = meanwhile(lambda: os.kill(os.getpid(), signal.SIGINT))
    assert say("status", driven.url, "--watch", "--every", 0.1)[0] == 130
    steps.join()
    assert lease.held(driven, "mine")
    assert not driven.stop_asked()
