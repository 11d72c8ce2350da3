"""What the driver books when a worker dies: never over a row that the worker had published."""

from datetime import UTC, datetime
from pathlib import Path

from orchestrator import study as studies
from orchestrator.job import Outcome, Settings
from orchestrator.ledger import Ledger
from orchestrator.plan import order_of_work, plan
from orchestrator.store import RunStore
from orchestrator.work import Work

from .conftest import Write


def work(study: Write, tmp_path: Path) -> tuple[Work, RunStore, list[Outcome]]:
    store = RunStore(str(tmp_path / "run"))
    rows = order_of_work(plan(studies.load(str(study(archs=1, tasks=("cls",))))).table)
    settings = Settings(store.url, "now", {}, None, 0.0, 60.0, False, None)
    made, heard = Work(store, rows, Ledger(), settings, len(rows)), list[Outcome]()
    made.listeners.append(heard.append)
    return made, store, heard


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
