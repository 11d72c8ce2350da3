"""What a worker does with one trial: train it, publish its row, clean up.  Every engine runs this same code."""

import contextlib
import logging
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.execution import watchdog
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_log import TrialLog
from workers import files
from workers.trial import Trial

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What all jobs of a launch share."""

    run_url: str
    launch: str
    data_roots: dict[str, str | None]  # by dataset_id
    cache_dir: str | None
    gpus: float
    checkpoint_s: float
    keep: bool
    timeout_s: float | None  # ends the whole process: only for processes that belong to one trial at a time
    cuda_graphs: bool = True


@dataclass(frozen=True)
class Job:
    """One attempt at one trial, as it travels to a worker."""

    trial_json: str
    trial_id: str
    attempt: int
    settings: Settings
    alone: bool = False  # on a machine without neighbours, if that can be

    def to_json(self) -> dict[str, Any]:
        """Plain values only, for a journey through any scheduler."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Job":
        """The inverse of `to_json`."""
        return cls(**{**values, "settings": Settings(**values["settings"])})


@dataclass(frozen=True)
class Outcome:
    """What the driver learns of a job; the row itself lies in the store."""

    trial_id: str
    status: str  # ok | failed | interrupted
    error_class: str | None = None
    error_text: str | None = None
    traceback: str | None = None
    wall_s: float | None = None
    train_s: float | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Outcome":
        """What a row says; a column it lacks is null."""
        return cls(**{name: row.get(name) for name in cls.__dataclass_fields__})  # type: ignore[arg-type]

    def columns(self) -> dict[str, Any]:
        """The columns of a row that the ledger reads."""
        return asdict(self)


def trial_columns(job: Job) -> dict[str, Any]:
    """The columns of a job's row that are known before it runs."""
    from workers.run import columns

    return {**columns(Trial.model_validate_json(job.trial_json)), "launch": job.settings.launch, "attempt": job.attempt}


def _device(gpus: float) -> str:
    """The device of a job.  A scheduler shows it exactly the GPUs it may use.

    ARCHSWEEP_DEVICE=cpu tries the placement of a study out on a machine whose GPUs are only declared to Ray.
    """
    return os.environ.get("ARCHSWEEP_DEVICE") or ("cuda" if gpus > 0 else "cpu")


def publish(store: RunStore, row: dict[str, Any]) -> None:
    """Publish a row; a store that refuses for a while is asked again, then its OSError is raised."""
    files.with_retries(lambda: store.publish_attempt(row), f"the row of trial {row['trial_id']} could not be published")


def perform(job: Job, told: Callable[[dict[str, Any]], None] | None = None, cpus: int | None = None) -> Outcome:
    """Train a job's trial and publish its row; `told` hears of every epoch; `cpus` is what the trial may use.

    Only a store that cannot be written raises, an OSError.
    """
    import workers

    settings, store = job.settings, RunStore(job.settings.run_url)
    if _asked_to_stop(store):
        return Outcome(job.trial_id, "interrupted")  # it was handed out just before the stop
    device = _device(settings.gpus)
    trial = Trial.model_validate_json(job.trial_json)
    with TrialLog(store, job.trial_id, settings.checkpoint_s) as said, _deadline(job, said):
        log.info(
            "trial %s, attempt %d, on %s as %s; CUDA_VISIBLE_DEVICES=%r",
            job.trial_id,
            job.attempt,
            platform.node(),
            device,
            os.environ.get("CUDA_VISIBLE_DEVICES"),
        )
        try:
            row = workers.attempt(
                trial,
                settings.data_roots.get(str(trial.dataset_id)),
                device,
                cache_dir=settings.cache_dir,
                checkpoint_url=store.at("trials", job.trial_id, "checkpoint.pt"),
                checkpoint_every_s=settings.checkpoint_s,
                cuda_graphs=settings.cuda_graphs,
                stop=lambda: _asked_to_stop(store),
                told=told,
                run_url=settings.run_url,
                cpus=cpus,
            )
        except workers.Interrupted as stopped:
            log.info("%s", stopped)
            return Outcome(job.trial_id, "interrupted")
        row |= {"launch": settings.launch, "attempt": job.attempt, "gpu_share": settings.gpus}
        if row["status"] == "failed":
            log.error("%s", row["traceback"])
            said.publish()
        elif settings.keep:
            said.publish()
        publish(store, row)
    if row["status"] == "ok" and not settings.keep:
        try:
            store.remove_folder("trials", job.trial_id)
        except OSError as error:
            log.warning("trial %s is done, but its folder stays (%s)", job.trial_id, error)
    return Outcome.of(row)


def _asked_to_stop(store: RunStore) -> bool:
    """Whether the run's folder says stop.  One that does not answer says nothing: training goes on."""
    try:
        return store.stop_asked()
    except OSError as error:
        log.warning("the run's folder does not answer (%s): training goes on", error)
        return False


@contextlib.contextmanager
def _deadline(job: Job, said: TrialLog) -> Iterator[None]:
    """The process must be out of here in time, or it is ended together with the trial."""
    seconds = job.settings.timeout_s
    if seconds is None:
        yield
        return
    row = trial_columns(job) | {"gpu_share": job.settings.gpus, "started_at": datetime.now(UTC)}
    with watchdog.guard(seconds, job.settings.run_url, row, said.path):
        yield
