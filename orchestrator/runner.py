"""`run`: from a study to its rows, as often as it is called, until nothing is left."""

import contextlib
import errno
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import tomli_w

import spaces
from orchestrator.execution import inline, loggers
from orchestrator.execution.heartbeat import Pulse, signals, stoppable
from orchestrator.execution.job import Settings
from orchestrator.execution.loggers import Loggers
from orchestrator.execution.work_queue import Work
from orchestrator.ray_tune import address as ray_address
from orchestrator.store import lease
from orchestrator.store.left_out import left_out
from orchestrator.store.run_folder import FOLDERS, STOP, RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study.plan import Plan, architectures, order_of_work, plan, too_large_batches
from orchestrator.study.schema import Study, parse, tables
from workers import datasets, files
from workers.data.agreement import check_left_out_images

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


def study_text(store: RunStore) -> str | None:
    """The study that lies in a run's folder, None where there is none; ValueError where it is no text."""
    data = store.read("study.toml")
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{store.at('study.toml')} is no study: TOML is UTF-8 text, and {error}; "
            "remove it, and `archsweep run` with the file of the study writes it anew"
        ) from None


def open_run(study: Study) -> RunStore:
    """The store of a study's run; refuses a folder that belongs to a study of another name."""
    store = RunStore(study.path)
    text = study_text(store)
    if text is not None:
        name = tables(text, store.at("study.toml")).get("name")
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
    if study.execution.cache_dir:
        values["execution"]["cache_dir"] = _absolute(study.execution.cache_dir)
    for sweep, plain in zip(study.sweeps, values["sweeps"], strict=True):
        if sweep.dataset.path:
            plain["dataset"]["path"] = _absolute(sweep.dataset.path)
        if sweep.architectures.file is not None:
            plain["architectures"] = {"list": architectures(sweep)[0]}
    return values


def differs(study: Study, store: RunStore) -> bool:
    """Whether a study asks for other trials than the one that the run has, as far as their texts tell."""
    text = study_text(store)
    if text is None:
        return False
    try:
        before = parse(text, store.at("study.toml"))
    except ValueError:
        return True  # of a version with other keys, or edited by hand
    sweeps = [_resolved(one)["sweeps"] for one in (study, before)]
    for sweep in [*sweeps[0], *sweeps[1]]:
        sweep["dataset"].pop("path", None)  # where data lies is not what it is
    return bool(sweeps[0] != sweeps[1])


def freeze(study: Study, store: RunStore, planned: Plan, note: Callable[[str], None] = lambda text: None) -> None:
    """Put study and plan into the run's folder, each replaced at once and only if it changed.

    Another study than the one that lies there is told in a note, as is a damaged plan.
    """
    try:
        there = store.plan()
    except ValueError as error:
        note(f"planned anew: {error}")
        there = None
    if differs(study, store):
        ids = [set(table["trial_id"].to_pylist()) if table else set() for table in (there, planned.table)]
        note(
            f"{store.at('study.toml')} differs from this study, which takes its place: "
            f"{len(ids[0] - ids[1]):,} trials fewer, {len(ids[1] - ids[0]):,} more"
        )
    text = tomli_w.dumps(_resolved(study))
    if store.read("study.toml") != text.encode():
        store.write(text.encode(), "study.toml")
    if there is None or not there.equals(planned.table):
        store.write_plan(planned.table)


def _check_writable(store: RunStore) -> None:
    """PermissionError where a file cannot be written, in the run's folder or in those inside it."""
    inside = files.names(store.url)
    for folder in ([], *([name] for name in FOLDERS if name in inside)):
        try:
            store.write(bytes(2**16), *folder, "_probe")  # as large as a row: a full disk may take an empty file
            store.remove(*folder, "_probe")
        except (OSError, NotImplementedError) as error:
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            cure = "free some space" if full else "make it writable"
            raise PermissionError(
                f"the run's folder {store.at(*folder)} cannot be written: {error}; {cure}, or choose another `path` in "
                "the study, where all is trained anew"
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


def _prepare_data(
    study: Study, store: RunStore, planned: Plan, rows: list[dict[str, Any]], note: Callable[[str], None]
) -> None:
    """Decode what the trials need before any starts, so that missing data is one clear error."""
    for sentence in too_large_batches(rows):
        note(sentence)
    wanted, roots = sorted({(r["dataset"], r["dataset_id"]) for r in rows}), planned.roots
    for dataset, dataset_id in wanted:
        if not datasets.is_read(dataset, dataset_id):
            raise FileNotFoundError(
                f"the trials of {dataset} have no names before its files are listed: there are none at "
                f"{roots[dataset_id]}; give their folder as data_root or as the dataset's path"
            )
    if study.execution.engine == "tune" and ray_address.named():
        return  # the data lies on the nodes of the cluster; every node prepares its own
    for dataset, dataset_id in wanted:
        named = planned.own.get(dataset_id, dataset)
        found = datasets.prepare(named, roots[dataset_id], study.execution.cache_dir, expect=dataset_id, note=note)
        check_left_out_images(store.url, found)


def _check_engine(study: Study, store: RunStore, planned: Plan, select: Select, forgive: Collection[str]) -> None:
    """AddressError where Ray could not be started or joined for what is left, before anything is written."""
    if study.execution.engine == "inline":
        return
    try:
        ray_address.check()
    except ray_address.AddressError:
        ledger = Ledger.of(store)
        ledger.overlook(forgive)
        rows = order_of_work(planned.table)
        if any(select(row) and ledger.state(row["trial_id"]) in ("left", "failed") for row in rows):
            raise


@stoppable()
def run(
    study: Study,
    *,
    select: Select = lambda row: True,
    check: Callable[[pa.Table], None] = lambda plan: None,
    limit: int | None = None,
    forgive: Collection[str] = (),
    watch: Watch = lambda work: contextlib.nullcontext(),
    note: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Train what a study has left; `select` chooses among plan rows, `limit` bounds the trials of this launch,
    past failures of the trials in `forgive` no longer count once training can start.

    `check` sees the plan before anything is written, and may raise.

    Raises ValueError, LookupError or OSError before anything is trained where study, data or folder are wrong,
    `lease.Held` where another driver is at work, and `stopped.Stopped` where a signal comes before the first trial or
    Ray dies.
    """
    loggers.check(study.execution)
    store = open_run(study)
    planned = plan(study)
    check(planned.table)
    launch = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + uuid.uuid4().hex[:6]
    _check_engine(study, store, planned, select, forgive)
    _check_writable(store)
    lease.acquire(store, launch)
    pulse = Pulse(store, launch)
    pulse.start()  # at once: data may take hours to prepare, and a cluster minutes to start
    try:
        freeze(study, store, planned, note)
        store.remove(STOP)
        store.compact()
        return _launch(study, store, planned, launch, pulse, select, limit, forgive, watch, note)
    finally:
        pulse.end()
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
    pulse: Pulse,
    select: Select,
    limit: int | None,
    forgive: Collection[str],
    watch: Watch,
    note: Callable[[str], None],
) -> Summary:
    """Train with the lease held."""
    ledger, table = Ledger.of(store), planned.table
    if (others := left_out(store, table, ledger.done)) is not None:
        note(str(others))
    ledger.overlook(forgive)
    chosen = [row for row in order_of_work(table) if select(row)]
    ids = [row["trial_id"] for row in chosen]
    todo = [row for row in chosen if ledger.state(row["trial_id"]) in ("left", "failed")][:limit]
    for line in planned.unused.values():
        note(line)
    if not todo:
        return _summary(ledger, ids, 0, stopped=False)
    _prepare_data(study, store, planned, todo, note)
    with contextlib.ExitStack() as stack:
        gpus = _start_engine(study, lambda: _leave(store, launch), stack, note)
        if forgive:  # only now: what is refused before leaves everything as it was
            ledger.keep(store)
            note(f"retrying {len(forgive):,} trial{'s' * (len(forgive) > 1)}")
        work = Work(store, todo, ledger, _settings(study, store, planned.roots, launch, gpus), len(table))
        work.counts.done = sum(t in ledger.done for t in table["trial_id"].to_pylist())
        pulse.attend(work)
        stack.callback(_fold_last, store, pulse, work)
        stack.callback(pulse.leave)
        stack.enter_context(signals(work))
        stack.enter_context(watch(work))
        if study.execution.engine == "inline":
            inline.run(work)
        else:
            from orchestrator.ray_tune import engine

            engine.run(work, study.execution, _loggers(study, store, launch, stack, note))
    there, wrong = _read_back(store, ledger)
    ended = _summary(there, ids, work.counts.trained, stopped=work.stopping.is_set() or limit is not None)
    if wrong and work.broken and wrong.partition(": ")[2] in work.broken:
        wrong = None  # the file that could not be folded cannot be read either
    return replace(ended, broken="; ".join(filter(None, (work.broken, wrong))) or None)


def _read_back(store: RunStore, booked: Ledger) -> tuple[Ledger, str | None]:
    """The rows as they now lie in the run's folder, and what is wrong with them compared with what was booked.

    A folder may be removed or moved while a run is at work, a disk may lose what it has taken.
    """
    try:
        there = Ledger.of(RunStore(store.url))
        lost = len(booked.done - there.done)
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
    """Connect to Ray where the engine needs it; the GPUs of a trial.  `leave` gives the run back should Ray die."""
    if study.execution.engine == "inline":
        return study.execution.gpus_per_trial or 0.0
    if address := ray_address.named():
        note(f"connecting to {address}")
    else:
        folder = ray_address.temporary_folder()
        note("starting Ray" + (f", its files in {folder}: TMPDIR is too long for its sockets" if folder else ""))
    from orchestrator.ray_tune import engine  # imports ray, which takes seconds: only where it is used

    stack.enter_context(engine.cluster(study.execution, leave))
    return engine.gpus_of_a_trial(study.execution)


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
