"""SIGTERM and SIGHUP drain a run, whenever they come."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.execution import signals
from orchestrator.execution.stopped import Stopped

from .conftest import Ended, Write, start, wait_for


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_drains(number: signal.Signals, study: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    driver = start("run", study(archs=1, tasks=("jig",), epochs=100_000, execution="checkpoint_s = 0"))
    wait_for(lambda: list(run.glob("trials/*/checkpoint.pt")))
    driver.send_signal(number)
    ended = Ended(driver)
    assert ended.code == 3, ended.err
    assert "1 left" in ended.out
    assert list(run.glob("trials/*/checkpoint.pt"))
    assert not (run / "lease.json").exists()


def test_who_ignores_a_closed_terminal_goes_on_ignoring_it(study: Write, tmp_path: Path) -> None:
    """As under nohup."""
    file = study(archs=1, tasks=("jig",), epochs=3, execution="checkpoint_s = 0")
    driver = start("run", file, ignored=[signal.SIGHUP])

    def hang_up() -> bool:
        driver.send_signal(signal.SIGHUP)
        return (tmp_path / "run" / "lease.json").exists()

    wait_for(hang_up)
    driver.send_signal(signal.SIGHUP)
    ended = Ended(driver)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_before_the_first_trial_a_signal_ends_the_block_and_leaves_no_handler(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=f"{number.name} came before"), signals.stoppable():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_a_signal_that_is_held_back_comes_at_the_end_and_never_reaches_what_was_started() -> None:
    child = []

    def begin() -> None:
        with signals.stoppable(), signals.deferred():
            child.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
            for number in (signal.SIGTERM, signal.SIGHUP):
                child[0].send_signal(number)
            signal.raise_signal(signal.SIGTERM)
            child.append(None)  # the block goes on to its end

    with pytest.raises(Stopped):
        begin()
    started, _ = child
    started.communicate(b"\n", timeout=60)
    assert started.returncode == 0
