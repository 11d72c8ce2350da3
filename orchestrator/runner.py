"""`run`: trains the trials of a study that are left; may be called repeatedly until none is left."""

import contextlib
import errno
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestrator.execution import devices, inline
from orchestrator.execution.growth import Growth
from orchestrator.execution.heartbeat import Heartbeat
from orchestrator.execution.job import Settings
from orchestrator.execution.selected import runnable, to_run, with_followers
from orchestrator.execution.signals import draining, stoppable
from orchestrator.execution.work_queue import Work
from orchestrator.ray_tune import address as ray_address
from orchestrator.ray_tune import loggers
from orchestrator.ray_tune.loggers import Loggers
from orchestrator.store import lease
from orchestrator.store.left_out import left_out
from orchestrator.store.run_folder import FOLDERS, STOP, RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.store.waiting import Readiness, Waits, awaited, bases_of, check_weights
from orchestrator.study import searches
from orchestrator.study.estimate import recipe_of
from orchestrator.study.frozen import absolute, freeze, open_run
from orchestrator.study.plan import Plan, Planner, order_of_work, too_large_batches
from orchestrator.study.schema import Study
from workers import datasets, files
from workers.data.agreement import check_left_out_images

log = logging.getLogger(__name__)
Select = Callable[[dict[str, Any]], bool]
Watch = Callable[[Work], contextlib.AbstractContextManager[object]]


@dataclass(frozen=True)
class Summary:
    """The result of a launch."""

    total: int
    done: int
    trained: int
    left: int
    quarantined: list[str] = field(default_factory=list)
    stopped: bool = False
    waiting: dict[str, int] = field(default_factory=dict)  # trials that wait for a search, by its trial_id
    waiting_for_weights: dict[str, int] = field(default_factory=dict)  # and for the weights of a trial
    broken: str | None = None  # the reason where the launch stopped because of an error

    @property
    def exit_code(self) -> int:
        """0: nothing left; 1: trials that are quarantined or wait for a trial that has not ended well, or stopped
        because of an error; 3: stopped with trials left."""
        if self.broken:
            return 1
        if self.stopped and self.left:
            return 3
        return 1 if self.quarantined or self.waits else 0

    @property
    def waits(self) -> Waits:
        """What trials wait for."""
        return Waits(Counter(self.waiting), Counter(self.waiting_for_weights))


def _check_writable(store: RunStore) -> None:
    """PermissionError where a file cannot be written in the run's folder or in its subfolders."""
    inside = files.names(store.url)
    for folder in ([], *([name] for name in FOLDERS if name in inside)):
        try:
            store.write(bytes(2**16), *folder, "_probe")  # as large as a row: a full disk may accept an empty file
            store.remove(*folder, "_probe")
        except (OSError, NotImplementedError) as error:
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            cure = "free some space" if full else "make it writable"
            raise PermissionError(
                f"the run's folder {store.at(*folder)} cannot be written: {error}; {cure}, or choose another `path` in "
                "the study, where all trials are trained again"
            ) from None


def _settings(study: Study, store: RunStore, roots: Mapping[str, Path | None], launch: str, gpus: float) -> Settings:
    execution = study.execution
    url = store.url if "://" in store.url else str(absolute(store.url))
    return Settings(
        run_url=url,
        launch=launch,
        data_roots={dataset_id: absolute(root) for dataset_id, root in roots.items()},
        cache_dir=absolute(execution.cache_dir),
        gpus=gpus,
        checkpoint_s=execution.checkpoint_s,
        cuda_graphs=execution.cuda_graphs,
        keep=execution.keep_checkpoints,
        timeout_s=execution.trial_timeout_s if execution.engine == "tune" else None,
    )


def _prepare_data(
    study: Study, store: RunStore, planned: Plan, rows: list[dict[str, Any]], note: Callable[[str], None]
) -> None:
    """Prepare the data of the trials before any starts, so that missing data is one clear error."""
    for sentence in too_large_batches(rows):
        note(sentence)
    # Rows of a table are looked up by the dataset's name where its id is not known.
    wanted = sorted({(r["dataset"], r["dataset_id"]) for r in rows if not recipe_of(r).rehearsed})
    roots = planned.roots
    read = {row["dataset_id"] for row in rows if recipe_of(row).reads_images}
    for dataset, dataset_id in wanted:
        if not datasets.is_read(dataset, dataset_id):
            raise FileNotFoundError(
                f"the ids of the trials of {dataset} depend on its files, and there are none at {roots[dataset_id]}; "
                "give their folder as data_root or as the dataset's path"
            )
    if study.execution.engine == "tune" and ray_address.named():
        return  # the data is on the nodes of the cluster; every node prepares it
    for dataset, dataset_id in wanted:
        if dataset_id not in read:
            continue
        named = planned.own.get(dataset_id, dataset)
        found = datasets.prepare(named, roots[dataset_id], study.execution.cache_dir, expect=dataset_id, note=note)
        check_left_out_images(store.url, found)


def _check_trials(
    study: Study, store: RunStore, planned: Plan, select: Select, forgive: Collection[str], again: Collection[str]
) -> None:
    """LookupError where trials need weights that were not kept, and AddressError where trials are left and Ray cannot
    be started or joined; called before anything is written."""
    uses_weights = planned.table["base"].null_count < len(planned.table)
    if uses_weights and not (forgive or again):
        rows = [row for row in order_of_work(planned.table) if select(row)]
        check_weights(rows, Readiness.of(store, Ledger.of(store), rows))
    if study.execution.engine == "inline":
        return
    try:
        ray_address.check()
    except ray_address.AddressError:
        rows, ledger = [row for row in order_of_work(planned.table) if select(row)], Ledger.of(store)
        ledger.overlook(forgive)
        ledger.done -= set(again)
        ready = Readiness.of(store, ledger, rows)
        if any(runnable(row, ready) for row in rows):
            raise


@stoppable()
def run(
    study: Study,
    *,
    select: Select = lambda row: True,
    check: Callable[[pa.Table], None] = lambda plan: None,
    limit: int | None = None,
    forgive: Collection[str] = (),
    again: Collection[str] = (),
    watch: Watch = lambda work: contextlib.nullcontext(),
    note: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Train the trials of a study that are left.

    select: which rows of the plan.  check: is called with the plan before anything is written, and may raise.  limit:
    the most trials of this launch.  forgive: trials whose past failures are ignored once training can start.  again:
    finished trials that are trained again for their weights; their rows stay.  watch: shows the progress.  note: is
    called with sentences for the user.

    Raises ValueError, LookupError or OSError before anything is trained where study, data or folder are wrong, also
    where trials need weights of finished ones that were not kept, unless some are trained again,
    `lease.Held` where another driver is at work, and `stopped.Stopped` after a signal before the first trial or where
    Ray dies.
    """
    loggers.check(study.execution)
    store = open_run(study)
    planner, found = Planner(study), searches.found(study)
    planned = planner.plan(found)
    check(planned.table)
    launch = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + uuid.uuid4().hex[:6]
    _check_trials(study, store, planned, select, forgive, again)
    _check_writable(store)
    lease.acquire(store, launch)
    heartbeat = Heartbeat(store, launch)
    heartbeat.start()  # at once: preparing data may take hours, starting a cluster minutes
    try:
        if found != (now := searches.found(study)):  # another driver has ended searches in between
            found, planned = now, planner.plan(now)
        freeze(study, store, planned, note)
        store.remove(STOP)
        store.compact()
        growth = None
        if planner.grows:
            # What a search finds that is tried again is trained, too.
            new = (lambda row: True) if forgive or again else select
            growth = Growth(store, planner, planned, found, new, lambda: heartbeat.holds)
        return _launch(study, store, planned, growth, launch, heartbeat, select, limit, forgive, again, watch, note)
    finally:
        heartbeat.end()
        _leave(store, launch)


def _leave(store: RunStore, launch: str) -> None:
    """Release the lease, unless another driver has taken the run over.

    If that fails, the lease stays and names a dead process: it is ignored on this machine and expires for others.
    """
    try:
        if lease.held(store, launch):
            store.remove(STOP)
            lease.release(store, launch)
    except OSError as error:
        log.warning("the lease of the run could not be removed (%s)", error)


def _compact_last(store: RunStore, heartbeat: Heartbeat, work: Work) -> None:
    """Compact the remaining attempts into rows/; if that fails, readers still find them in attempts/."""
    if not heartbeat.holds:
        return
    try:
        store.compact()
    except (OSError, ValueError) as error:
        work.break_off(f"finished rows could not be compacted into rows/ and stay in attempts/: {error}")


def _launch(
    study: Study,
    store: RunStore,
    planned: Plan,
    growth: Growth | None,
    launch: str,
    heartbeat: Heartbeat,
    select: Select,
    limit: int | None,
    forgive: Collection[str],
    again: Collection[str],
    watch: Watch,
    note: Callable[[str], None],
) -> Summary:
    """Train while this process has the lease."""
    ledger, table = Ledger.of(store), planned.table
    if (others := left_out(store, table, ledger.done)) is not None:
        note(str(others))
    ledger.overlook(forgive)
    ledger.done -= set(again)
    rows, retried = order_of_work(table), {*forgive, *again}
    ready = Readiness(ledger, Readiness.of(store, ledger, rows).kept)
    chosen = with_followers(rows, select, retried)
    todo = to_run(chosen, ready, limit)
    if growth is not None and limit is not None:
        growth.room = limit - len(todo)
    later = [row for row in chosen if awaited(row)]
    for line in (*planned.unused.values(), *planned.notes):
        note(line)
    if not todo:
        return _summary(ready, chosen, 0, stopped=False)
    for line in devices.check([*todo, *later], study.execution.gpus_per_trial):
        note(line)
    _prepare_data(study, store, planned, [*todo, *later], note)
    if study.execution.gpus_per_trial is None and all(recipe_of(row).rehearsed for row in (*todo, *later)):
        execution = study.execution.model_copy(update={"gpus_per_trial": 0.0})  # nothing is computed
        study = study.model_copy(update={"execution": execution})
    with contextlib.ExitStack() as stack:
        gpus = _start_engine(study, lambda: _leave(store, launch), stack, note)
        if forgive:  # only now: an earlier error must leave everything as it was
            ledger.keep(store)
        if retried:
            note(f"retrying {len(retried):,} trial{'s' * (len(retried) > 1)}")
        settings = _settings(study, store, planned.roots, launch, gpus)
        work = Work(store, todo, ledger, settings, len(table), growth, bases_of(rows) | set(again), ready.kept)
        work.counts.done = sum(t in ledger.done for t in table["trial_id"].to_pylist())
        heartbeat.attend(work)
        stack.callback(_compact_last, store, heartbeat, work)
        stack.callback(heartbeat.leave)
        stack.enter_context(draining(work))
        stack.enter_context(watch(work))
        if study.execution.engine == "inline":
            inline.run(work)
        else:
            from orchestrator.ray_tune import engine

            engine.run(work, study.execution, _loggers(study, store, launch, stack, note))
    there, wrong = _read_back(store, ledger)
    if growth is not None and growth.table is not table:
        rows, added = order_of_work(growth.table), growth.added
        chosen = with_followers(rows, lambda row: select(row) or row["trial_id"] in added, retried)
    left = Readiness.of(store, there, chosen)
    ended = _summary(left, chosen, work.counts.trained, stopped=work.stopping.is_set() or limit is not None)
    if wrong and work.broken and wrong.partition(": ")[2] in work.broken:
        wrong = None  # the same file could not be compacted
    return replace(ended, broken="; ".join(filter(None, (work.broken, wrong))) or None)


def _read_back(store: RunStore, recorded: Ledger) -> tuple[Ledger, str | None]:
    """The rows that are now in the run's folder, and how they differ from those that were recorded.

    A folder may be removed or moved during a run, a disk may lose data.
    """
    try:
        there = Ledger.of(RunStore(store.url))
        lost = len(recorded.done - there.done)
        gone = [name for name in ("study.toml", "plan.parquet") if not store.exists(name)]
    except (OSError, ValueError) as error:
        return Ledger(), f"the rows of this run cannot be read back: {error}"
    if not lost and not gone:
        return there, None
    what = [*([f"{lost:,} finished row{'s' * (lost > 1)}"] if lost else []), *gone]
    why = "the folder was removed, moved or changed while the run was at work"
    return there, f"no longer in {store.url}: {', '.join(what)}; {why}"


def _start_engine(
    study: Study, leave: Callable[[], None], stack: contextlib.ExitStack, note: Callable[[str], None]
) -> float:
    """Connect to Ray where the engine needs it; returns the GPUs per trial.  `leave` releases the run if Ray dies."""
    if study.execution.engine == "inline":
        gpus = study.execution.gpus_per_trial or 0.0
        devices.check_here(gpus)
        return gpus
    if address := ray_address.named():
        note(f"connecting to {address}")
    else:
        folder = ray_address.temporary_folder()
        note("starting Ray" + (f", its files in {folder}: TMPDIR is too long for its sockets" if folder else ""))
    from orchestrator.ray_tune import cluster  # imports ray, which takes seconds: only where it is used

    stack.enter_context(cluster.connected(study.execution, leave))
    return cluster.gpus_per_trial(study.execution)


def _loggers(
    study: Study, store: RunStore, launch: str, stack: contextlib.ExitStack, note: Callable[[str], None]
) -> Loggers | None:
    """The loggers that the study requires, set up; None where it requires none."""
    if not study.execution.loggers:
        return None
    folder = loggers.folder_of(study.name, store.url)
    note(f"{', '.join(study.execution.loggers)}: files are below {folder}")
    found = Loggers(study.execution.loggers, study.name, folder, launch)
    stack.callback(found.close)
    return found


def _summary(ready: Readiness, rows: list[dict[str, Any]], trained: int, *, stopped: bool) -> Summary:
    waits = Waits.of(rows, ready)
    states = {row["trial_id"]: ready.state(row) for row in rows}
    quarantined = [t for t, state in states.items() if state == "quarantined"]
    done = sum(state == "done" for state in states.values())
    left = len(rows) - done - len(quarantined) - waits.total
    return Summary(len(rows), done, trained, left, quarantined, stopped, dict(waits.searches), dict(waits.weights))
