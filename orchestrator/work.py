"""What an engine draws from: trials one at a time, each with its attempt, until nothing is left or a stop is asked."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.job import Job, Outcome, Settings, trial_columns
from orchestrator.ledger import Ledger
from orchestrator.plan import trial_of
from orchestrator.store import RunStore
from workers.secrets import scrub


@dataclass
class Counts:
    """How far a launch has come."""

    total: int  # trials of the plan
    done: int = 0  # with an ok row, earlier launches included
    trained: int = 0  # ok rows of this launch
    failed: int = 0  # failed attempts of this launch


class Work:
    """The trials that one launch still has to train.

    Engines call `take` for the next job and tell how it ended by `finish` or `lost`.  Thread-safe.
    """

    def __init__(
        self, store: RunStore, plan_rows: list[dict[str, Any]], ledger: Ledger, settings: Settings, total: int
    ) -> None:
        self._store, self._ledger, self._settings = store, ledger, settings
        self._lock = threading.Lock()
        self._rows = {row["trial_id"]: row for row in plan_rows}
        self._queue = deque(t for t in self._rows if ledger.state(t) in ("left", "failed"))
        self.running: dict[str, Job] = {}
        self.counts = Counts(total)
        self.stopping = threading.Event()
        self.listeners: list[Any] = []

    @property
    def left(self) -> int:
        """Trials that wait or run now."""
        with self._lock:
            return len(self._queue) + len(self.running)

    @property
    def exhausted(self) -> bool:
        """Whether `take` will never give a job again."""
        with self._lock:
            return self.stopping.is_set() or (not self._queue and not self.running)

    def waiting(self) -> list[str]:
        """The ids of trials not handed out."""
        with self._lock:
            return list(self._queue)

    def row_of(self, trial_id: str) -> dict[str, Any]:
        """The plan's row of a trial."""
        return self._rows[trial_id]

    def take(self) -> Job | None:
        """The next job, or None: nothing waits just now, or a stop was asked."""
        with self._lock:
            if self.stopping.is_set() or not self._queue:
                return None
            trial_id = self._queue.popleft()
            trial = trial_of(self._rows[trial_id])
            job = Job(trial.model_dump_json(), trial_id, self._ledger.next_attempt(trial_id), self._settings)
            self.running[trial_id] = job
            return job

    def finish(self, outcome: Outcome) -> None:
        """A job came to its end in the worker, which has published its row (or was stopped between epochs)."""
        with self._lock:
            job = self.running.pop(outcome.trial_id, None)
            if job is None:
                return
            if outcome.status == "interrupted":
                self._queue.appendleft(outcome.trial_id)
            else:
                self._settle({**outcome.columns(), "attempt": job.attempt})
        self._tell(outcome)

    def lost(self, trial_id: str, kind: str, text: str) -> None:
        """A job's worker died with it; its failed row is published here, since the worker cannot.

        A worker may die after it has published its row: that row stands, it is not written over.
        """
        with self._lock:
            job = self.running.pop(trial_id, None)
        if job is None:
            return
        text = scrub(text)
        published = self._store.attempt(trial_id, self._settings.launch, job.attempt)
        if published is not None:
            with self._lock:
                self._settle(published)
            self._tell(Outcome(**{name: published[name] for name in Outcome.__dataclass_fields__}))
            return
        now = datetime.now(UTC)
        row = {
            **trial_columns(job),
            "status": "failed",
            "error_class": kind,
            "error_text": text,
            "traceback": text,
            "diverged": False,
            "started_at": now,
            "finished_at": now,
        }
        self._store.publish_attempt(row)
        with self._lock:
            self._settle(row)
        self._tell(Outcome(trial_id, "failed", kind, text, text))

    def _settle(self, row: Mapping[str, Any]) -> None:
        """Book an attempt; a failure that may pass goes to the end of the queue."""
        trial_id = row["trial_id"]
        self._ledger.add(row)
        if row["status"] == "ok":
            self.counts.done += 1
            self.counts.trained += 1
            return
        self.counts.failed += 1
        if not self._ledger.waits(trial_id):
            self._queue.append(trial_id)

    def _tell(self, outcome: Outcome) -> None:
        for listener in self.listeners:
            listener(outcome)
