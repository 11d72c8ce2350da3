"""`run`: from a study to its rows, as often as it is called, until nothing is left."""

import contextlib
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa
import tomli_w

from orchestrator import inline, lease
from orchestrator.job import Settings
from orchestrator.ledger import Ledger
from orchestrator.plan import Plan, order_of_work, plan
from orchestrator.store import STOP, RunStore
from orchestrator.study import Study, parse
from orchestrator.work import Work
from workers import datasets

log = logging.getLogger(__name__)
_PULSE_S = 0.5
_COMPACT_AT = 200  # loose attempts


@dataclass(frozen=True)
class Summary:
    """How a launch ended."""

    total: int
    done: int
    trained: int
    left: int
    quarantined: list[str] = field(default_factory=list)
    stopped: bool = False

    @property
    def exit_code(self) -> int:
        """0 nothing left, 1 trials wait for `retry`, 3 stopped with work left."""
        if self.stopped and self.left:
            return 3
        return 1 if self.quarantined else 0


def open_run(study: Study) -> RunStore:
    """The store of a study's run; refuses a folder that belongs to a study of another name."""
    store = RunStore(study.path)
    there = store.read("study.toml")
    if there is not None:
        name = parse(there.decode(), store.at("study.toml")).name
        if name != study.name:
            raise ValueError(
                f"{study.path} is the run of study {name!r}, not of {study.name!r}; "
                "give this study another path, or its name back"
            )
    return store


def freeze(study: Study, store: RunStore, planned: Plan) -> None:
    """Put study and plan into the run's folder, each replaced at once and only if it changed."""
    text = tomli_w.dumps(study.model_dump(exclude_none=True, exclude_defaults=True, mode="json") | {"path": study.path})
    if store.read("study.toml") != text.encode():
        store.write(text.encode(), "study.toml")
    there = store.plan()
    if there is None or not there.equals(planned.table):
        store.write_plan(planned.table)


def _check_writable(store: RunStore) -> None:
    try:
        store.write(b"", "_probe")
        store.remove("_probe")
    except OSError as error:
        raise PermissionError(
            f"the run's folder {store.url} cannot be written: {error}; choose another `path` in the study"
        ) from None


def _absolute(path: str | Path | None) -> str | None:
    """Workers may have another working directory."""
    return None if path is None else str(Path(path).expanduser().absolute())


def _settings(study: Study, store: RunStore, launch: str, gpus: float) -> Settings:
    execution = study.execution
    url = store.url if "://" in store.url else str(_absolute(store.url))
    return Settings(
        run_url=url,
        launch=launch,
        data_roots={s.dataset.name: _absolute(study.root_of(s.dataset)) for s in study.sweeps},
        cache_dir=_absolute(execution.cache_dir),
        gpus=gpus,
        checkpoint_s=execution.checkpoint_s,
        keep=execution.keep_checkpoints,
        timeout_s=execution.trial_timeout_s if execution.engine == "tune" else None,
    )


def _prepare_data(study: Study, rows: list[dict[str, Any]]) -> None:
    """Decode what the trials need before any starts, so that missing data is one clear error."""
    if os.environ.get("RAY_ADDRESS"):
        return  # the data lies on the nodes of the cluster; every node prepares its own
    for dataset, dataset_id in sorted({(r["dataset"], r["dataset_id"]) for r in rows}):
        choice = next(s.dataset for s in study.sweeps if s.dataset.name == dataset)
        datasets.prepare(dataset, study.root_of(choice), study.execution.cache_dir, expect=dataset_id)


class _Pulse(threading.Thread):
    """The driver's heartbeat: renews the lease, sees a stop request, folds rows when many lie loose."""

    def __init__(self, store: RunStore, launch: str, work: Work) -> None:
        super().__init__(daemon=True, name="pulse")
        self._store, self._launch, self._work = store, launch, work
        self._end = threading.Event()
        self._folded = 0

    def run(self) -> None:
        renewed = time.monotonic()
        while not self._end.wait(_PULSE_S):
            try:
                if self._store.exists(STOP):
                    self._work.stopping.set()
                elif self._work.stopping.is_set():
                    self._store.write(b"", STOP)  # tells the workers: end after this epoch
                if time.monotonic() - renewed >= lease.LIFE_S / 4:
                    renewed = time.monotonic()
                    if not lease.renew(self._store, self._launch):
                        log.error("the run was taken over by another driver: stopping")
                        self._work.stopping.set()
                finished = self._work.counts.trained + self._work.counts.failed
                if finished - self._folded >= _COMPACT_AT:
                    self._folded = finished
                    self._store.compact()
            except OSError as error:
                log.warning("the run's folder does not answer (%s); asking again", error)

    def end(self) -> None:
        """Stop beating; returns when the last beat is over."""
        self._end.set()
        self.join()


@contextlib.contextmanager
def _signals(work: Work) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM drains, the second ends at once with 130."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        if work.stopping.is_set() and number == signal.SIGINT:
            os._exit(130)  # the lease names a process that is gone, so the next driver takes over at once
        work.stopping.set()

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


Select = Callable[[dict[str, Any]], bool]


def run(
    study: Study,
    *,
    select: Select = lambda row: True,
    limit: int | None = None,
    watch: Callable[[Work], contextlib.AbstractContextManager[object]] = lambda work: contextlib.nullcontext(),
    note: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Train what a study has left; `select` chooses among plan rows, `limit` bounds the trials of this launch.

    Raises ValueError, LookupError or OSError before anything is trained where study, data or folder are wrong,
    and `lease.Held` where another driver is at work.
    """
    store = open_run(study)
    planned = plan(study)
    launch = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + uuid.uuid4().hex[:6]
    _check_writable(store)
    lease.acquire(store, launch)
    try:
        freeze(study, store, planned)
        store.remove(STOP)
        store.compact()
        return _launch(study, store, planned.table, launch, select, limit, watch, note)
    finally:
        store.remove(STOP)
        lease.release(store, launch)


def _launch(
    study: Study,
    store: RunStore,
    table: pa.Table,
    launch: str,
    select: Select,
    limit: int | None,
    watch: Callable[[Work], contextlib.AbstractContextManager[object]],
    note: Callable[[str], None],
) -> Summary:
    """Train with the lease held."""
    ledger = Ledger.of(store)
    chosen = [row for row in order_of_work(table) if select(row)]
    ids = [row["trial_id"] for row in chosen]
    todo = [row for row in chosen if ledger.state(row["trial_id"]) in ("left", "failed")][:limit]
    if not todo:
        return _summary(ledger, ids, 0, stopped=False)
    _prepare_data(study, todo)
    with contextlib.ExitStack() as stack:
        gpus = _start_engine(study, stack, note)
        work = Work(store, todo, ledger, _settings(study, store, launch, gpus), len(table))
        work.counts.done = sum(t in ledger.done for t in table["trial_id"].to_pylist())
        pulse = _Pulse(store, launch, work)
        pulse.start()
        stack.callback(store.compact)
        stack.callback(pulse.end)
        stack.enter_context(_signals(work))
        stack.enter_context(watch(work))
        if study.execution.engine == "inline":
            inline.run(work)
        else:
            from orchestrator import tune

            tune.run(work, study.execution, gpus)
    return _summary(ledger, ids, work.counts.trained, stopped=work.stopping.is_set() or limit is not None)


def _start_engine(study: Study, stack: contextlib.ExitStack, note: Callable[[str], None]) -> float:
    """Connect to Ray where the engine needs it; the GPUs of a trial."""
    if study.execution.engine == "inline":
        return study.execution.gpus_per_trial or 0.0
    note("starting Ray" if not os.environ.get("RAY_ADDRESS") else f"connecting to {os.environ['RAY_ADDRESS']}")
    from orchestrator import tune  # imports ray, which takes seconds: only where it is used

    stack.enter_context(tune.cluster(study.execution))
    return tune.gpus_of_a_trial(study.execution)


def _summary(ledger: Ledger, ids: list[str], trained: int, *, stopped: bool) -> Summary:
    states = {t: ledger.state(t) for t in ids}
    quarantined = [t for t, state in states.items() if state == "quarantined"]
    done = sum(state == "done" for state in states.values())
    return Summary(len(ids), done, trained, len(ids) - done - len(quarantined), quarantined, stopped)
