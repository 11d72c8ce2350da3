"""The queue of trials: published rows are kept, retries get more resources, many failures stop the launch."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.execution import work_queue as module
from orchestrator.execution.job import Outcome, Settings
from orchestrator.execution.work_queue import Work
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study import schema as studies
from orchestrator.study.plan import order_of_work, plan

from .conftest import Write


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACK_OFF_S", 0.0)


def work(
    study: Write,
    tmp_path: Path,
    archs: int = 1,
    gpus: float = 0.0,
    ledger: Ledger | None = None,
    tasks: tuple[str, ...] = ("cls",),
) -> tuple[Work, RunStore, list[Outcome]]:
    store = RunStore(str(tmp_path / "run"))
    rows = order_of_work(plan(studies.load(str(study(archs=archs, tasks=tasks)))).table)
    settings = Settings(store.url, "now", {}, None, gpus, 60.0, False, 100.0)
    made, heard = Work(store, rows, ledger or Ledger(), settings, len(rows)), list[Outcome]()
    made.listeners.append(heard.append)
    return made, store, heard


def failed(trial_id: str, kind: str, text: str = "boom") -> Outcome:
    return Outcome(trial_id, "failed", kind, text, f"Traceback\nRuntimeError: {text}")


def test_a_row_published_just_before_its_worker_died_stands(study: Write, tmp_path: Path) -> None:
    driver, store, heard = work(study, tmp_path)
    job = driver.take()
    assert job is not None
    store.publish_attempt(
        {
            "trial_id": job.trial_id,
            "launch": "now",
            "attempt": 1,
            "status": "ok",
            "score_best": 0.5,
            "finished_at": datetime.now(UTC),
        }
    )
    driver.lost(job.trial_id, "worker_died", "killed")
    assert [(r["status"], r["score_best"]) for r in store.attempts().to_pylist()] == [("ok", 0.5)]
    assert driver.counts.trained == 1
    assert driver.exhausted
    assert [o.status for o in heard] == ["ok"]


def test_a_worker_that_died_without_a_row_gets_one_and_its_trial_another_try(study: Write, tmp_path: Path) -> None:
    driver, store, heard = work(study, tmp_path)
    job = driver.take()
    assert job is not None
    driver.lost(job.trial_id, "worker_died", "killed")
    (row,) = store.attempts().to_pylist()
    assert (row["status"], row["error_class"], row["attempt"]) == ("failed", "worker_died", 1)
    again = driver.take()
    assert again is not None
    assert (again.trial_id, again.attempt) == (job.trial_id, 2)
    assert [o.status for o in heard] == ["failed"]


def test_a_lost_attempt_says_how_long_it_ran_and_all_that_is_known_of_its_end(study: Write, tmp_path: Path) -> None:
    driver, store, heard = work(study, tmp_path)
    job = driver.take()
    assert job is not None
    driver.lost(job.trial_id, "oom_host", "held 2 GB", ran_s=90.0, details="a page of Ray's")
    (row,) = store.attempts().to_pylist()
    assert row["wall_s"] == 90.0 == (row["finished_at"] - row["started_at"]).total_seconds()
    assert row["error_text"] == heard[0].error_text == "held 2 GB"
    assert row["traceback"] == "a page of Ray's\nheld 2 GB"


@pytest.mark.parametrize(
    ("kind", "tries"),
    [("oom_cuda", 2), ("oom_host", 3), ("worker_died", 3), ("timeout", 2), ("node_died", 20), ("oom_victim", 20)],
)
def test_each_class_of_failure_has_its_number_of_tries(kind: str, tries: int, study: Write, tmp_path: Path) -> None:
    driver, _, _ = work(study, tmp_path)
    attempts = []
    while (job := driver.take()) is not None:
        attempts.append(job.attempt)
        driver.finish(failed(job.trial_id, kind))
    assert attempts == list(range(1, tries + 1))
    assert driver.exhausted
    assert driver.broken is None


def test_a_retry_gets_the_room_and_the_time_that_were_short(study: Write, tmp_path: Path) -> None:
    for kind, gpus, seconds, alone in [
        ("oom_cuda", 1.0, 100.0, False),
        ("oom_host", 0.25, 100.0, True),
        ("oom_victim", 0.25, 100.0, True),
        ("worker_died", 0.25, 100.0, False),
        ("timeout", 0.25, 200.0, False),
        ("error", 0.25, 100.0, False),
    ]:
        driver, _, _ = work(study, tmp_path, gpus=0.25)
        first = driver.take()
        assert first is not None
        assert (first.settings.gpus, first.settings.timeout_s, first.alone) == (0.25, 100.0, False)
        driver.finish(failed(first.trial_id, kind))
        again = driver.take()
        assert again is not None
        assert (again.settings.gpus, again.settings.timeout_s, again.alone) == (gpus, seconds, alone), kind


def test_a_trial_that_outgrew_its_share_keeps_the_whole_gpu_after_retry(study: Write, tmp_path: Path) -> None:
    driver, store, _ = work(study, tmp_path, gpus=0.25)
    ledger = driver._ledger
    while (job := driver.take()) is not None:
        driver.finish(failed(job.trial_id, "oom_cuda"))
    ledger.forgive(store, ledger.failures)
    job = work(study, tmp_path, gpus=0.25, ledger=ledger)[0].take()
    assert job is not None
    assert (job.attempt, job.settings.gpus) == (3, 1.0)


def test_what_failed_waits_until_everything_else_was_tried(study: Write, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "BACK_OFF_S", 3600.0)
    driver, _, _ = work(study, tmp_path, archs=4)
    first = driver.take()
    assert first is not None
    driver.finish(failed(first.trial_id, "error"))
    second = driver.take()
    assert second is not None
    driver.finish(failed(second.trial_id, "worker_died"))
    order = [job.trial_id for _ in range(4) if (job := driver.take()) is not None]
    assert len(order) == 3  # the two others and the error; the dead one's time has not come
    assert order[-1] == first.trial_id
    assert not driver.exhausted


def test_deaths_while_the_launch_stops_are_not_held_against_a_trial(study: Write, tmp_path: Path) -> None:
    driver, store, heard = work(study, tmp_path)
    job = driver.take()
    assert job is not None
    driver.stopping.set()
    driver.lost(job.trial_id, "worker_died", "killed")
    assert store.attempts().num_rows == 0
    assert driver.left == 1
    assert [o.status for o in heard] == ["interrupted"]


def test_a_store_that_cannot_be_written_stops_the_launch_and_is_not_the_trial_s_fault(
    study: Write, tmp_path: Path, monkeypatch
) -> None:
    def refuse(row: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workers.files.WAITS_S", (0.01, 0.01))
    for kind, text in [("publish", "OSError: [Errno 28] No space left on device"), ("worker_died", "killed")]:
        driver, store, _ = work(study, tmp_path, archs=2)
        monkeypatch.setattr(store, "publish_attempt", refuse)
        job = driver.take()
        assert job is not None
        driver.lost(job.trial_id, kind, text)
        assert driver.broken is not None
        assert f"the row of trial {job.trial_id} could not be written: OSError: [Errno 28] No space" in driver.broken
        assert driver.take() is None
        assert (driver.left, driver.counts.failed) == (2, 0)


def test_twenty_failures_at_the_start_stop_the_launch(study: Write, tmp_path: Path) -> None:
    driver, _, _ = work(study, tmp_path, archs=30)
    n = 0
    while (job := driver.take()) is not None:
        n += 1
        driver.finish(failed(job.trial_id, "error", "no such file" if n % 4 else f"text {n}"))
    assert n == 20
    assert driver.broken == ("the first 20 attempts all failed, 15 of them with error: RuntimeError: no such file")
    assert driver.exhausted


def test_a_broken_study_stops_itself_and_says_why(
    study: Write, archsweep: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise FileNotFoundError("no weights on this machine")

    monkeypatch.setattr(import_module("workers.attempt"), "run", broken)
    code, out, err = archsweep("run", study(archs=21, tasks=("jig",)), columns=200)
    why = "the first 20 attempts all failed, 20 of them with error: FileNotFoundError: no weights on this machine"
    assert (code, f"stopped: {why}" in out) == (1, True), out + err
    assert len(pd.read_parquet(tmp_path / "run" / "rows")) == 20
    assert not (tmp_path / "run" / "lease.json").exists()


def test_one_success_among_the_first_twenty_keeps_the_launch_going(study: Write, tmp_path: Path) -> None:
    driver, _, _ = work(study, tmp_path, archs=30)
    for n in range(25):
        job = driver.take()
        assert job is not None
        driver.finish(Outcome(job.trial_id, "ok") if n == 7 else failed(job.trial_id, "error"))
    assert driver.broken is None


@pytest.mark.parametrize(("kind", "stops"), [("error", True), ("node_died", False)])
def test_a_third_of_the_last_hundred_stop_the_launch_unless_nodes_died(
    kind: str, stops: bool, study: Write, tmp_path: Path
) -> None:
    driver, _, _ = work(study, tmp_path, archs=100, tasks=("cls", "jig"))
    n = 0
    while n < 150 and (job := driver.take()) is not None:
        n += 1
        driver.finish(failed(job.trial_id, kind) if n > 50 and n % 2 else Outcome(job.trial_id, "ok"))
    if stops:
        assert n == 111  # the 31st failure among the last hundred
        assert driver.broken is not None
        assert driver.broken.startswith("31 of the last 100 attempts failed, 31 of them with error: RuntimeError: boom")
    else:
        assert driver.broken is None


def test_a_listener_that_fails_ends_nothing_and_hears_nothing_more(study: Write, tmp_path: Path) -> None:
    driver, _, heard = work(study, tmp_path, archs=2)
    calls = []

    def fails(outcome: Outcome) -> None:
        calls.append(outcome)
        raise OSError(28, "No space left on device")

    driver.listeners.insert(0, fails)
    for _ in range(2):
        job = driver.take()
        assert job is not None
        driver.finish(failed(job.trial_id, "error"))
    assert len(heard) == 2
    assert len(calls) == 1
    assert driver.broken is None
