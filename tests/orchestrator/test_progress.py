"""Output of a run without a terminal: few lines, whatever the number of trials and failures."""

import heapq
import io
import re
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.cli import progress
from orchestrator.execution.job import Outcome
from orchestrator.execution.work_queue import Work
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study.estimate import multiply_adds, recipe_of
from orchestrator.study.plan import order_of_work, plan
from orchestrator.study.schema import load
from orchestrator.terminal import Terminal

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


def test_a_trial_that_waits_for_resources_is_not_counted_as_running(study: Write, tmp_path: Path) -> None:
    """Two trials run at a time; as Ray Tune does, the engine has taken a third one."""
    planned = plan(load(str(study(archs=4, tasks=("cls",))))).table
    work = Work(RunStore(str(tmp_path / "run")), order_of_work(planned), Ledger(), None, len(planned))  # type: ignore[arg-type]
    view = progress.Progress(work, Terminal(file=io.StringIO(), width=200))
    first, second, third = (job.trial_id for _ in range(3) if (job := work.take(ahead=True)))
    assert "0 of 4 trials done, 0 running" in view.line()
    work.begin(first)
    work.begin(second)
    assert "2 running" in view.line()
    work.finish(Outcome(first, "ok"))
    assert "1 of 4 trials done, 2 running" in view.line(just_ended=True)
    assert "1 running" in view.line()
    work.begin(third)
    assert "2 running" in view.line()


_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
_SAID = re.compile(r"(about|at least) ([\d.,]+) (s|min|h) left")


class Simulated:
    """A run over made-up durations: what its line said at every moment, and how long it still took."""

    def __init__(self, rows: list[dict[str, Any]], folder: Path, patch: pytest.MonkeyPatch, **how: Any) -> None:
        self.work = Work(RunStore(str(folder)), rows, Ledger(), None, len(rows))  # type: ignore[arg-type]
        self.now, self.how, self.rng = 1000.0, how, np.random.default_rng(7)
        patch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: self.now))
        self.view = progress.Progress(self.work, Terminal(file=io.StringIO(), width=200))
        self.done: dict[str, int] = {row["task"]: 0 for row in rows}
        self.said: list[tuple[float, str, int, bool]] = []  # when, what, done of the cell with fewest, any waiting
        self.longest = 0.0
        self._run()
        self.end = self.now

    def seconds(self, row: dict[str, Any]) -> float:
        """A fixed part and one in proportion to the multiply-adds, unlike in every cell, and some noise."""
        fixed, per_giga = self.how["cells"][row["task"]]
        noise = float(self.rng.lognormal(0, self.how.get("noise", 0.1)))
        return (fixed + per_giga * multiply_adds(row, recipe_of(row)) / 1e9) * noise

    def _run(self) -> None:
        busy: list[tuple[float, int, str, float, float]] = []  # end, worker, trial, its own clock, its training
        free = [(worker, self.how.get("load", 0.0)) for worker in range(self.how["workers"])]
        while True:
            for worker, loading in free:
                if job := self.work.take():
                    training = self.seconds(self.work.row_of(job.trial_id))
                    whole = training + loading + self.how.get("rest", 0.0)
                    self.longest = max(self.longest, whole)
                    heapq.heappush(
                        busy, (self.now + self.how.get("pause", 0.0) + whole, worker, job.trial_id, whole, training)
                    )
            self._note()
            if not busy:
                return
            end, worker, trial_id, whole, training = heapq.heappop(busy)
            self.now += (end - self.now) / 2  # a terminal is drawn at any time
            self._note()
            self.now = end
            failed = self.rng.random() < self.how.get("fails", 0.0)
            error = {"error_class": "error", "error_text": "no", "traceback": "no"} if failed else {}
            outcome = Outcome(
                trial_id, "failed" if failed else "ok", **error, wall_s=whole, train_s=None if failed else training
            )
            self.done[self.work.row_of(trial_id)["task"]] += not failed
            self.work.finish(outcome)
            self._note()
            free = [(worker, 0.0)]

    def _note(self) -> None:
        self.said.append((self.now, self.view.line(), min(self.done.values()), bool(self.work.waiting())))


CELLS = {"cls": (0.4, 1.0), "rot": (0.5, 0.3), "jig": (6.0, 0.2), "col": (0.3, 9.0)}
RUNS = {
    "two workers, unlike cells": {"workers": 2},
    "libraries take 20 times a trial to load": {"workers": 2, "load": 60.0},
    "processes start for every trial": {"workers": 2, "pause": 4.0},
    "one by one, with reading and writing": {"workers": 1, "rest": 2.0, "load": 30.0},
    "eight workers": {"workers": 8, "load": 10.0, "rest": 0.5},
    "only fixed parts": {"workers": 2, "cells": {task: (k + 1.0, 0.0) for k, task in enumerate(CELLS)}},
    "only parts in proportion": {"workers": 2, "cells": {task: (0.0, 1.0 + 9 * k) for k, task in enumerate(CELLS)}},
    "much noise": {"workers": 2, "noise": 0.4},
    "an attempt in ten fails": {"workers": 2, "fails": 0.1},
    "an attempt in five fails, some trials are given up": {"workers": 2, "fails": 0.2},
}


@pytest.mark.parametrize("how", RUNS.values(), ids=RUNS.keys())
def test_the_time_left_is_within_a_factor_of_three_once_two_trials_of_every_cell_are_done(
    how: dict[str, Any], study: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(load(str(study(archs=24, tasks=tuple(CELLS))))).table
    run = Simulated(order_of_work(planned), tmp_path / "run", monkeypatch, **{"cells": CELLS, **how})
    checked = 0
    for now, line, fewest, waiting in run.said:
        left, said = run.end - now, _SAID.search(line)
        if said is None:
            assert fewest == 0
            continue
        seconds = float(said[2].replace(",", "")) * _S[said[3]]
        if said[1] == "at least":
            assert fewest < 2, line
            assert seconds <= 1.5 * left + 1, (line, left)
        elif waiting:
            checked += 1
            assert left / 3 - 1 <= seconds <= 3 * left + 1, (line, left)
        else:  # the last ones: off by no more than one of them takes
            assert abs(seconds - left) <= run.longest, (line, left)
    assert checked > 100
