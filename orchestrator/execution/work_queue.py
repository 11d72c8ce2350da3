"""The trials of a launch as a queue: engines take one attempt after the other until none is left or a stop is asked."""

import logging
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.execution.failure_limit import FailureLimit
from orchestrator.execution.growth import Growth
from orchestrator.execution.job import Job, Outcome, Settings, publish, trial_columns
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Failure, Ledger
from orchestrator.store.waiting import Readiness, base_of
from orchestrator.study.plan import trial_of
from workers.scrub import scrub

log = logging.getLogger(__name__)

# The death of a worker may have a temporary cause (little memory, a node that goes away): the next attempt waits, each
# time twice as long, up to a maximum; in seconds.
BACK_OFF_S, BACK_OFF_MOST_S = 3.0, 60.0
DEATHS = ("worker_died", "oom_host", "oom_victim", "node_died")


@dataclass
class Counts:
    """The progress of a launch."""

    total: int  # trials of the plan
    done: int = 0  # with an ok row, earlier launches included
    trained: int = 0  # ok rows of this launch
    failed: int = 0  # failed attempts of this launch


class Work:
    """The trials that one launch still has to train.

    Engines call `take` for the next job and report its result with `finish` or `lost`.  An engine that takes a job
    before it has resources for it calls `take(ahead=True)`, and `begin` when the job starts.  Thread-safe.
    Trials that failed before come last: one that needs a machine without other trials then delays no other trial.
    Trials whose architecture a search has to find are no part of the queue; `growth` plans them when the search has
    ended, and they are added.  Trials that use the weights of another one are handed out after it.

    bases: the trials whose weights are kept.  kept: those of them whose weights are in the run's folder.
    """

    def __init__(
        self,
        store: RunStore,
        plan_rows: list[dict[str, Any]],
        ledger: Ledger,
        settings: Settings,
        total: int,
        growth: Growth | None = None,
        bases: Collection[str] = (),
        kept: Collection[str] = (),
    ) -> None:
        self._store, self._ledger, self._settings, self._growth = store, ledger, settings, growth
        self._lock = threading.Lock()
        self._planning = threading.Lock()  # held while the plan grows, which takes seconds; taken before _lock
        self._ended_searches: set[str] = set()  # whose trials are not planned yet
        self._rows = {row["trial_id"]: row for row in plan_rows}
        self._bases, self._kept = set(bases), set(kept)
        self._ready = Readiness(ledger, self._kept)
        self._queue: deque[str] = deque()
        self._again: dict[str, float] = {}  # not before this time (monotonic)
        self._followers: dict[str, list[str]] = defaultdict(list)  # trials that wait for the weights of each
        self._given_up: dict[str, list[str]] = {}  # the same, of those that will have none
        for trial_id in self._rows:
            self._enter(trial_id)
        self._breaker = FailureLimit()
        self._open: dict[str, Job] = {}  # taken and not reported yet
        self._ahead: set[str] = set()  # those of them that have not started
        self.counts = Counts(total)
        self.stopping = threading.Event()
        self.broken: str | None = None  # why the launch stopped itself
        self.listeners: list[Any] = []
        self.growth_listeners: list[Any] = []  # called with the ids of trials that were added

    def _enter(self, trial_id: str) -> bool:
        """Enter a trial of the plan if it is to be attempted: into the queue, or among those that wait for weights."""
        state, base = self._ready.ledger.state(trial_id), base_of(self._rows[trial_id])
        if state not in ("left", "failed"):
            return False
        if base is not None and not self._ready.has_weights(base):
            self._followers[base].append(trial_id)
        elif state == "left":
            self._queue.append(trial_id)
        else:
            self._again[trial_id] = 0.0
        return True

    @property
    def left(self) -> int:
        """Trials that wait or run now."""
        with self._lock:
            return len(self._queue) + len(self._again) + len(self._open) + sum(map(len, self._followers.values()))

    @property
    def running(self) -> list[str]:
        """The ids of the trials that run now."""
        with self._lock:
            return [t for t in self._open if t not in self._ahead]

    @property
    def exhausted(self) -> bool:
        """Whether `take` will never return a job again."""
        with self._lock:
            more = self._queue or self._again or self._open or self._ended_searches
            return self.stopping.is_set() or not more

    def waiting(self) -> list[str]:
        """The ids of the trials that have not started and are to be attempted."""
        with self._lock:
            return [*self._queue, *self._again, *self._ahead, *(t for each in self._followers.values() for t in each)]

    def given_up(self, trial_id: str) -> list[str]:
        """The trials that will not be attempted because this one has failed."""
        with self._lock:
            return list(self._given_up.get(trial_id, ()))

    @property
    def waiting_for(self) -> Counter[str]:
        """The searches that trials of the plan wait for, and the number of these trials; they are not `waiting`."""
        return self._growth.waiting if self._growth else Counter()

    def row_of(self, trial_id: str) -> dict[str, Any]:
        """The plan's row of a trial."""
        return self._rows[trial_id]

    def take(self, ahead: bool = False) -> Job | None:
        """The next job; None where none can start at this moment, or a stop was requested.

        ahead: the job does not start now; the engine will call `begin`.
        """
        with self._lock:
            if self.stopping.is_set():
                return None
            if self._queue:
                job = self._job(self._queue.popleft())
            else:
                now = time.monotonic()
                ready = [t for t, then in self._again.items() if then <= now]
                if not ready:
                    return None
                chosen = min(ready, key=self._alone)  # those that need a machine for themselves come last
                del self._again[chosen]
                job = self._job(chosen)
            self._open[job.trial_id] = job
            if ahead:
                self._ahead.add(job.trial_id)
            return job

    def begin(self, trial_id: str) -> None:
        """Report that a job which was taken ahead has started."""
        with self._lock:
            self._ahead.discard(trial_id)

    def _close(self, trial_id: str) -> Job | None:
        """Remove a job from those that are open and return it; the lock must be held."""
        self._ahead.discard(trial_id)
        return self._open.pop(trial_id, None)

    def _job(self, trial_id: str) -> Job:
        """The next attempt at a trial, with the resources and the timeout that its past failures require."""
        now, ever = self._ledger.kinds(trial_id), self._ledger.kinds(trial_id, forgiven=True)
        settings = self._settings
        if ever["oom_cuda"] and 0 < settings.gpus < 1:
            settings = replace(settings, gpus=1.0)
        if now["timeout"] and settings.timeout_s is not None:
            settings = replace(settings, timeout_s=2 * settings.timeout_s)
        return Job(
            trial_of(self._rows[trial_id]).model_dump_json(),
            trial_id,
            self._ledger.next_attempt(trial_id),
            settings,
            alone=self._alone(trial_id),
            keep_weights=trial_id in self._bases,
        )

    def _alone(self, trial_id: str) -> bool:
        """Whether other trials may be the cause: the machine ran out of memory, or the worker died more than once."""
        ever = self._ledger.kinds(trial_id, forgiven=True)
        return bool(ever["oom_host"] or ever["oom_victim"] or ever["worker_died"] > 1)

    def finish(self, outcome: Outcome) -> None:
        """Report a job that ended in its worker, which has published the row (or was stopped between epochs)."""
        with self._lock:
            job = self._close(outcome.trial_id)
            if job is None:
                return
            if outcome.status == "interrupted":
                self._queue.appendleft(outcome.trial_id)
            else:
                self._settle({**outcome.columns(), "attempt": job.attempt}, job)
        self._grow(outcome)
        self._notify(outcome)

    def lost(self, trial_id: str, kind: str, text: str, *, ran_s: float = 0.0, details: str = "") -> None:
        """Report a job whose worker died; its failed row is published here, since the worker cannot do it.

        text: the cause.  ran_s: seconds from its start to now.  details: text before `text` in the traceback.

        A worker may die after it has published its row, or its watchdog may have published one: that row is kept.
        Deaths while the launch stops do not count as failures of the trial.
        `kind="publish"`: the worker is alive, but could not write its row.  Others could not either: the launch stops.
        """
        with self._lock:
            job = self._close(trial_id)
        if job is None:
            return
        text, details = scrub(text), scrub(details)
        try:
            row = self._store.attempt(trial_id, self._settings.launch, job.attempt)
            if row is None and kind != "publish" and not self.stopping.is_set():
                row = _failed_row(job, kind, text, ran_s, details)
                publish(self._store, row)
        except OSError as error:
            row, kind, text = None, "publish", f"{type(error).__name__}: {error}"
        if row is None:
            if kind == "publish":
                self.break_off(f"the row of trial {trial_id} could not be written: {text}")
            with self._lock:
                self._queue.appendleft(trial_id)
            self._notify(Outcome(trial_id, "interrupted"))
            return
        with self._lock:
            self._settle(row, job)
        self._grow(Outcome.of(row))
        self._notify(Outcome.of(row))

    def break_off(self, reason: str) -> None:
        """Stop the launch because of an error: running trials drain.  The first reason is the one that is reported."""
        if self.broken is None:
            self.broken = reason
        self.stopping.set()

    def _settle(self, row: Mapping[str, Any], job: Job) -> None:
        """Record an attempt; after a failure that may be temporary the trial is queued again."""
        trial_id = row["trial_id"]
        self._ledger.add(row)
        failure = None
        if row["status"] == "ok":
            self.counts.done += 1
            self.counts.trained += 1
            if self._grows(row):
                self._ended_searches.add(trial_id)
            if job.keep_weights:
                self._kept.add(trial_id)
                self._release(trial_id)
        else:
            failure = Failure.of(row)
            self.counts.failed += 1
            if not self._ledger.waits(trial_id):
                self._again[trial_id] = time.monotonic() + self._pause(trial_id, failure.kind)
            else:
                self._given_up[trial_id] = self._without(trial_id)
        reason = self._breaker.add(failure)
        if reason and (self._queue or self._again):
            self.break_off(reason)

    def _release(self, base: str) -> None:
        """Hand out next what waited for the weights of a trial; the lock must be held."""
        queued = len(self._queue)
        for trial_id in self._followers.pop(base, []):
            self._enter(trial_id)
        self._queue.rotate(len(self._queue) - queued)  # in front: each architecture is completed before the next

    def _without(self, base: str) -> list[str]:
        """Remove what waits for the weights of a trial, directly or not; the lock must be held."""
        found = self._followers.pop(base, [])
        return [*found, *(t for each in found for t in self._without(each))]

    def _grows(self, row: Mapping[str, Any]) -> bool:
        """Whether trials wait for what this row has found."""
        found = self._growth is not None and row["status"] == "ok" and row.get("found")
        return bool(found and self._growth and row["trial_id"] in self._growth.waiting)

    def _grow(self, ended: Outcome) -> None:
        """Add the trials of the architecture that a search has found.  Called without the lock: planning takes time."""
        if self._growth is None or ended.status != "ok" or not ended.found:
            return
        rows: list[dict[str, Any]] = []
        with self._planning:
            with self._lock:
                found = dict(self._ledger.found)
            try:
                if ended.trial_id in self._growth.waiting:  # else planned together with another search
                    rows = self._growth.add(found)
            except (OSError, ValueError, LookupError) as error:
                self.break_off(f"what search {ended.trial_id} has found could not be planned: {error}")
            with self._lock:
                new = {row["trial_id"]: row for row in rows if row["trial_id"] not in self._rows}
                self._rows |= new
                self._bases.update(filter(None, self._growth.table["base"].to_pylist()))
                entered = [trial_id for trial_id in new if self._enter(trial_id)]
                planned = self._growth.table["trial_id"].to_pylist()
                self.counts.total, self.counts.done = len(planned), sum(t in self._ledger.done for t in planned)
                self._ended_searches.discard(ended.trial_id)
        for listener in self.growth_listeners if new else []:
            listener(entered)

    def _pause(self, trial_id: str, kind: str) -> float:
        """Seconds to wait after a failure."""
        if kind not in DEATHS:
            return 0.0
        n = self._ledger.kinds(trial_id)[kind]
        return min(BACK_OFF_S * 2.0 ** (n - 1), BACK_OFF_MOST_S)

    def _notify(self, outcome: Outcome) -> None:
        """Call the listeners; one that raises is removed, and the work continues."""
        for listener in list(self.listeners):
            try:
                listener(outcome)
            except Exception:
                log.exception("progress is no longer shown")
                self.listeners.remove(listener)


def _failed_row(job: Job, kind: str, text: str, ran_s: float, details: str) -> dict[str, Any]:
    """The row of an attempt whose worker has died."""
    now = datetime.now(UTC)
    return {
        **trial_columns(job),
        "status": "failed",
        "error_class": kind,
        "error_text": text,
        "traceback": f"{details}\n{text}" if details else text,
        "diverged": False,
        "gpu_share": job.settings.gpus,
        "started_at": now - timedelta(seconds=ran_s),
        "finished_at": now,
        "wall_s": ran_s,
    }
