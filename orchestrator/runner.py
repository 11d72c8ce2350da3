"""`run`: from a study to its rows, as often as it is called, until nothing is left."""

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w

import spaces
from orchestrator import inline, lease, loggers
from orchestrator.job import Settings
from orchestrator.ledger import Ledger
from orchestrator.loggers import Loggers
from orchestrator.plan import Plan, architectures, order_of_work, plan
from orchestrator.pulse import Pulse, signals
from orchestrator.store import STOP, RunStore
from orchestrator.study import Study, tables
from orchestrator.work import Work
from workers import datasets

log = logging.getLogger(__name__)
Select = Callable[[dict[str, Any]], bool]
Watch = Callable[[Work], contextlib.AbstractContextManager[object]]


@dataclass(frozen=True)
class Summary:
    """How a launch ended."""

    total: int
    done: int
    trained: int
    left: int
    quarantined: list[str] = field(default_factory=list)
    stopped: bool = False
    broken: str | None = None  # why the launch stopped itself

    @property
    def exit_code(self) -> int:
        """0 nothing left, 1 trials wait for `retry` or the launch stopped itself, 3 stopped with work left."""
        if self.broken:
            return 1
        if self.stopped and self.left:
            return 3
        return 1 if self.quarantined else 0


def open_run(study: Study) -> RunStore:
    """The store of a study's run; refuses a folder that belongs to a study of another name."""
    store = RunStore(study.path)
    there = store.read("study.toml")
    if there is not None:
        name = tables(there.decode(), store.at("study.toml")).get("name")
        if name != study.name:
            raise ValueError(
                f"{study.path} is the run of study {spaces.quoted(name)}, not of {study.name!r}; "
                "give this study another path, or its name back"
            )
    return store


def _resolved(study: Study) -> dict[str, Any]:
    """The study as plain values that mean the same anywhere: files of architectures written out, data by full path."""
    values = study.model_dump(exclude_none=True, exclude_defaults=True, mode="json") | {"path": study.path}
    if study.data_root:
        values["data_root"] = _absolute(study.data_root)
    for sweep, plain in zip(study.sweeps, values["sweeps"], strict=True):
        if sweep.dataset.path:
            plain["dataset"]["path"] = _absolute(sweep.dataset.path)
        if sweep.architectures.file is not None:
            plain["architectures"] = {"list": architectures(sweep)[0]}
    return values


def freeze(study: Study, store: RunStore, planned: Plan) -> None:
    """Put study and plan into the run's folder, each replaced at once and only if it changed."""
    text = tomli_w.dumps(_resolved(study))
    if store.read("study.toml") != text.encode():
        store.write(text.encode(), "study.toml")
    there = store.plan()
    if there is None or not there.equals(planned.table):
        store.write_plan(planned.table)


def _check_writable(store: RunStore) -> None:
    try:
        store.write(bytes(2**16), "_probe")  # as large as a row: a full disk may still take an empty file
        store.remove("_probe")
    except (OSError, NotImplementedError) as error:
        raise PermissionError(
            f"the run's folder {store.url} cannot be written: {error}; choose another `path` in the study"
        ) from None


def _absolute(path: str | Path | None) -> str | None:
    """Workers may have another working directory."""
    return None if path is None else str(Path(path).expanduser().absolute())


def _settings(study: Study, store: RunStore, roots: Mapping[str, Path | None], launch: str, gpus: float) -> Settings:
    execution = study.execution
    url = store.url if "://" in store.url else str(_absolute(store.url))
    return Settings(
        run_url=url,
        launch=launch,
        data_roots={dataset_id: _absolute(root) for dataset_id, root in roots.items()},
        cache_dir=_absolute(execution.cache_dir),
        gpus=gpus,
        checkpoint_s=execution.checkpoint_s,
        cuda_graphs=execution.cuda_graphs,
        keep=execution.keep_checkpoints,
        timeout_s=execution.trial_timeout_s if execution.engine == "tune" else None,
    )


def _prepare_data(study: Study, planned: Plan, rows: list[dict[str, Any]], note: Callable[[str], None]) -> None:
    """Decode what the trials need before any starts, so that missing data is one clear error."""
    wanted, roots = sorted({(r["dataset"], r["dataset_id"]) for r in rows}), planned.roots
    for dataset, dataset_id in wanted:
        if not datasets.is_read(dataset, dataset_id):
            raise FileNotFoundError(
                f"the trials of {dataset} have no names before its files are listed: there are none at "
                f"{roots[dataset_id]}; give their folder as data_root or as the dataset's path"
            )
    if os.environ.get("RAY_ADDRESS"):
        return  # the data lies on the nodes of the cluster; every node prepares its own
    for dataset, dataset_id in wanted:
        named = planned.own.get(dataset_id, dataset)
        datasets.prepare(named, roots[dataset_id], study.execution.cache_dir, expect=dataset_id, note=note)


def run(
    study: Study,
    *,
    select: Select = lambda row: True,
    limit: int | None = None,
    forgive: Collection[str] = (),
    watch: Watch = lambda work: contextlib.nullcontext(),
    note: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Train what a study has left; `select` chooses among plan rows, `limit` bounds the trials of this launch,
    past failures of the trials in `forgive` no longer count once training can start.

    Raises ValueError, LookupError or OSError before anything is trained where study, data or folder are wrong,
    and `lease.Held` where another driver is at work.
    """
    loggers.check(study.execution)
    store = open_run(study)
    planned = plan(study)
    launch = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + uuid.uuid4().hex[:6]
    _check_writable(store)
    lease.acquire(store, launch)
    try:
        freeze(study, store, planned)
        store.remove(STOP)
        store.compact()
        return _launch(study, store, planned, launch, select, limit, forgive, watch, note)
    finally:
        _leave(store, launch)


def _leave(store: RunStore, launch: str) -> None:
    """Give the run back, unless another driver has it by now.

    Where that cannot be written the lease stays, of a process that is gone: on this machine it counts for nothing
    from then on, elsewhere it expires.
    """
    try:
        if lease.held(store, launch):
            store.remove(STOP)
            lease.release(store, launch)
    except OSError as error:
        log.warning("the lease of the run stays behind (%s)", error)


def _fold_last(store: RunStore, pulse: Pulse, work: Work) -> None:
    """Fold what lies loose, so that rows/ is whole; where that cannot be, readers find the rows where they are."""
    if not pulse.holds:
        return
    try:
        store.compact()
    except (OSError, ValueError) as error:
        work.break_off(f"finished rows could not be folded into rows/ and stay in attempts/: {error}")


def _launch(
    study: Study,
    store: RunStore,
    planned: Plan,
    launch: str,
    select: Select,
    limit: int | None,
    forgive: Collection[str],
    watch: Watch,
    note: Callable[[str], None],
) -> Summary:
    """Train with the lease held."""
    ledger, table = Ledger.of(store), planned.table
    ledger.overlook(forgive)
    chosen = [row for row in order_of_work(table) if select(row)]
    ids = [row["trial_id"] for row in chosen]
    todo = [row for row in chosen if ledger.state(row["trial_id"]) in ("left", "failed")][:limit]
    if not todo:
        return _summary(ledger, ids, 0, stopped=False)
    _prepare_data(study, planned, todo, note)
    with contextlib.ExitStack() as stack:
        gpus = _start_engine(study, stack, note)
        if forgive:  # only now: what is refused before leaves everything as it was
            ledger.keep(store)
            note(f"retrying {len(forgive):,} trial{'s' * (len(forgive) > 1)}")
        work = Work(store, todo, ledger, _settings(study, store, planned.roots, launch, gpus), len(table))
        work.counts.done = sum(t in ledger.done for t in table["trial_id"].to_pylist())
        pulse = Pulse(store, launch, work)
        pulse.start()
        stack.callback(_fold_last, store, pulse, work)
        stack.callback(pulse.end)
        stack.enter_context(signals(work))
        stack.enter_context(watch(work))
        if study.execution.engine == "inline":
            inline.run(work)
        else:
            from orchestrator import tune

            tune.run(work, study.execution, _loggers(study, store, launch, stack, note))
    ended = _summary(ledger, ids, work.counts.trained, stopped=work.stopping.is_set() or limit is not None)
    return replace(ended, broken=work.broken)


def _start_engine(study: Study, stack: contextlib.ExitStack, note: Callable[[str], None]) -> float:
    """Connect to Ray where the engine needs it; the GPUs of a trial."""
    if study.execution.engine == "inline":
        return study.execution.gpus_per_trial or 0.0
    note("starting Ray" if not os.environ.get("RAY_ADDRESS") else f"connecting to {os.environ['RAY_ADDRESS']}")
    from orchestrator import tune  # imports ray, which takes seconds: only where it is used

    stack.enter_context(tune.cluster(study.execution))
    return tune.gpus_of_a_trial(study.execution)


def _loggers(
    study: Study, store: RunStore, launch: str, stack: contextlib.ExitStack, note: Callable[[str], None]
) -> Loggers | None:
    """The loggers that the study asks for, set up; None where it asks for none."""
    if not study.execution.loggers:
        return None
    folder = loggers.folder_of(study.name, store.url)
    note(f"{', '.join(study.execution.loggers)}: what lies in files is below {folder}")
    found = Loggers(study.execution.loggers, study.name, folder, launch)
    stack.callback(found.close)
    return found


def _summary(ledger: Ledger, ids: list[str], trained: int, *, stopped: bool) -> Summary:
    states = {t: ledger.state(t) for t in ids}
    quarantined = [t for t, state in states.items() if state == "quarantined"]
    done = sum(state == "done" for state in states.values())
    return Summary(len(ids), done, trained, len(ids) - done - len(quarantined), quarantined, stopped)
