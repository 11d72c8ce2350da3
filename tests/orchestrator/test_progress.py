"""What a run prints where nobody looks on: few lines, however many trials and failures."""

import io
import types
from pathlib import Path

import pytest

from orchestrator import progress
from orchestrator.job import Outcome
from orchestrator.ledger import Ledger
from orchestrator.plan import order_of_work, plan
from orchestrator.store import RunStore
from orchestrator.study import load
from orchestrator.terminal import Terminal
from orchestrator.work import Work

from .conftest import Write


def test_four_thousand_trials_print_under_200_lines_whatever_fails(
    study: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute each, two days and more in all; every fifth fails, each with a message of its own."""
    planned = plan(load(str(study(archs=10, tasks=("jig",), seeds=tuple(range(400)))))).table
    work = Work(RunStore(str(tmp_path / "run")), order_of_work(planned), Ledger(), None, len(planned))  # type: ignore[arg-type]
    now = 0.0
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: now))
    printed = io.StringIO()
    with progress.watch(work, Terminal(file=printed, width=200)):
        for number, trial_id in enumerate(work.waiting()):
            now += 60.0
            failed = number % 5 == 0
            outcome = Outcome(trial_id, "failed", "error", f"no file {number}") if failed else Outcome(trial_id, "ok")
            for listener in work.listeners:
                listener(outcome)
    lines = printed.getvalue().splitlines()
    assert 20 < len(lines) < 200
    assert any("no file 0" in line for line in lines)  # the first failures are told at once
    assert "4,000" in lines[0]
