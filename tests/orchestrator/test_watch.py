"""`status --watch` shows the progress of a run and ends with its exit code."""

import dataclasses
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


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object) -> tuple[int, list[str]]:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["archsweep", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return int(ended.value.code or 0), capsys.readouterr().out.splitlines()

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
    """Steps that happen while somebody watches, a moment apart."""

    def act() -> None:
        for step in steps:
            time.sleep(0.4)
            step()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_it_ends_when_nothing_is_left(driven: RunStore, say: Say, tmp_path: Path) -> None:
    steps = meanwhile(*(lambda n=n: write_part(tmp_path / "x", ROWS[:n]) for n in (6, 8)))
    code, lines = say("status", driven.url, "--watch", "--every", 0.1)
    steps.join()
    assert code == 0
    assert [line.partition(" of 8 trials done; driven by process")[0] for line in lines] == ["3", "6", "8"]


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
    assert [line.partition(" of 8 trials done")[0] for line in lines] == ["3", "8"]


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
        driven.write(lease._bytes(dataclasses.replace(theirs, expires=time.time() - 3600)), lease.NAME)

    renew()
    steps = meanwhile(renew, renew, lambda: write_part(tmp_path / "x", ROWS))
    code, lines = say("status", driven.url, "--watch", "--every", 0.1)
    steps.join()
    assert code == 0
    assert lines[-1].startswith("8 of 8 trials done")
    assert "elsewhere" in "".join(say("stop", driven.url)[1])
    assert driven.stop_asked()


def test_it_ends_when_the_driver_has_gone(driven: RunStore, say: Say) -> None:
    steps = meanwhile(lambda: lease.release(driven, "mine"))
    code, lines = say("status", driven.url, "--watch", "--every", 0.1)
    steps.join()
    assert code == 3
    assert lines[-1] == "3 of 8 trials done; no driver at work"


def test_it_tells_what_waits_for_retry(say: Say, tmp_path: Path) -> None:
    twice = [failed(arch="z", task="cls", attempt=n, error_class="error", traceback="ValueError: no") for n in (1, 2)]
    write_run(tmp_path / "x", ROWS + twice)
    code, lines = say("status", tmp_path / "x", "--watch")
    assert code == 1
    assert lines[0] == "8 of 9 trials done, 1 quarantined; no driver at work"
    assert "1 x ValueError: no" in lines[2]


def test_several_runs_are_watched_until_all_are_over(driven: RunStore, say: Say, tmp_path: Path) -> None:
    write_run(tmp_path / "y", ROWS)
    steps = meanwhile(lambda: write_part(tmp_path / "x", ROWS))
    code, lines = say("status", tmp_path / "y", driven.url, "--watch", "--every", 0.1)
    steps.join()
    assert code == 0
    assert [line.partition(" of 8")[0] for line in lines] == [
        f"{tmp_path}/y: 8",
        f"{tmp_path}/x: 3",
        f"{tmp_path}/x: 8",
    ]
    both = json.loads("".join(say("status", tmp_path / "y", driven.url, "--json")[1]))
    assert [one["done"] for one in both] == [8, 8]


def test_ctrl_c_leaves_the_run_alone(driven: RunStore, say: Say) -> None:
    steps = meanwhile(lambda: os.kill(os.getpid(), signal.SIGINT))
    assert say("status", driven.url, "--watch", "--every", 0.1)[0] == 130
    steps.join()
    assert lease.held(driven, "mine")
    assert not driven.stop_asked()
