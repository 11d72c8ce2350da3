"""Studies in two stages: the plan and the queue grow while a launch is at work."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator import runner
from orchestrator.cli.progress import Progress
from orchestrator.execution.growth import Growth
from orchestrator.execution.job import Outcome, Settings
from orchestrator.execution.work_queue import Work
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study.plan import Planner, order_of_work
from orchestrator.terminal import Terminal
from workers import files

from .staged import CELLS, RETRAIN, SEARCH, rows, study
from .staged import undisturbed as undisturbed  # a fixture


def test_a_plan_that_cannot_be_written_stops_the_launch_and_loses_nothing(
    tmp_path: Path, undisturbed: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RunStore, table: object) -> None:
        raise OSError("disk full")

    chosen = study(tmp_path / "run")

    @contextmanager
    def filling(work: Work) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "write_plan", full)
            patch.setattr(files, "WAITS_S", ())
            yield

    ended = runner.run(chosen, watch=filling)
    assert ended.exit_code == 1
    assert "could not be planned: disk full" in str(ended.broken)
    assert runner.run(chosen).exit_code == 0
    assert rows(tmp_path / "run") == undisturbed


def test_progress_counts_the_trials_that_are_added(tmp_path: Path) -> None:
    lines: list[str] = []

    @contextmanager
    def watched(work: Work) -> Iterator[None]:
        view = Progress(work, Terminal(width=200))
        assert "0 of 6 trials done, 0 running, 4 trainings wait for 2 searches" in view.line()
        yield
        lines.append(view.line())
        assert sum(view._total.values()) == 6

    assert runner.run(study(tmp_path / "run"), watch=watched).exit_code == 0
    assert "6 of 6 trials done" in lines[0]


def test_the_queue_grows_by_what_a_worker_published_before_it_died(tmp_path: Path) -> None:
    chosen = study(tmp_path / "run")
    planner, store = Planner(chosen), RunStore(chosen.path)
    planned = planner.plan({})
    growth = Growth(store, planner, planned, {}, lambda row: True)
    settings = Settings(store.url, "now", {}, None, 0.0, 60.0, False, None)
    todo = order_of_work(planned.table)[:2]
    work = Work(store, todo, Ledger(), settings, len(planned.table), growth)
    added: list[str] = []
    work.growth_listeners.append(added.extend)
    first, second = work.take(), work.take()
    assert first is not None
    assert second is not None
    ok = {"launch": "now", "attempt": 1, "status": "ok", "found": CELLS[0], "finished_at": datetime.now(UTC)}
    store.publish_attempt(ok | {"trial_id": first.trial_id})
    work.lost(first.trial_id, "worker_died", "killed")
    assert len(work.waiting()) == len(added) == 2
    assert (work.counts.total, work.counts.done) == (6, 1)
    work.finish(Outcome(second.trial_id, "ok", found=CELLS[0]))
    assert len(added) == 2, "the same cell"
    assert (work.counts.total, work.counts.done) == (4, 2)
    assert not work.exhausted
    assert {work.row_of(trial_id)["arch"] for trial_id in work.waiting()} == {CELLS[0]}


def test_the_queue_is_not_exhausted_while_the_trials_of_the_last_search_are_planned(tmp_path: Path) -> None:
    """Engines may ask at any moment, from any thread."""
    seen: list[Any] = []

    class Asked(Growth):
        def add(self, found: Any) -> list[dict[str, Any]]:
            seen.extend([work.exhausted, work.take()])
            return super().add(found)

    chosen = study(tmp_path / "run", SEARCH.replace('["cls", "rot"]', '["cls"]'), RETRAIN)
    planner, store = Planner(chosen), RunStore(chosen.path)
    planned = planner.plan({})
    growth = Asked(store, planner, planned, {}, lambda row: True)
    settings = Settings(store.url, "now", {}, None, 0.0, 60.0, False, None)
    work = Work(store, order_of_work(planned.table)[:1], Ledger(), settings, 3, growth)
    job = work.take()
    assert job is not None
    work.finish(Outcome(job.trial_id, "ok", found=CELLS[0]))
    assert seen == [False, None]
    assert (work.exhausted, work.left) == (False, 2)
