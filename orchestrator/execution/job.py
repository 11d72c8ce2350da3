"""What a worker does with one trial: train it, publish its row, clean up.  The same code in every engine."""

import contextlib
import logging
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.execution import devices, watchdog
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_log import TrialLog
from workers import files
from workers.trial import Trial

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Settings that all jobs of a launch share."""

    run_url: str
    launch: str
    data_roots: dict[str, str | None]  # by dataset_id
    cache_dir: str | None
    gpus: float
    checkpoint_s: float
    keep: bool
    timeout_s: float | None  # the whole process is killed then: only for processes that run one trial at a time
    cuda_graphs: bool = True


@dataclass(frozen=True)
class Job:
    """One attempt at one trial, as it is sent to a worker."""

    trial_json: str
    trial_id: str
    attempt: int
    settings: Settings
    alone: bool = False  # on a machine without other trials, if possible
    keep_weights: bool = False  # as other trials use them

    def to_json(self) -> dict[str, Any]:
        """Plain values that any scheduler can transport."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Job":
        """The inverse of `to_json`."""
        return cls(**{**values, "settings": Settings(**values["settings"])})


@dataclass(frozen=True)
class Outcome:
    """The result of a job as the driver gets it; the row itself is in the store."""

    trial_id: str
    status: str  # ok | failed | interrupted
    error_class: str | None = None
    error_text: str | None = None
    traceback: str | None = None
    wall_s: float | None = None
    train_s: float | None = None
    found: str | None = None  # the architecture, if the trial is a search that found one

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Outcome":
        """From the columns of a row; missing columns are null."""
        return cls(**{name: row.get(name) for name in cls.__dataclass_fields__})  # type: ignore[arg-type]

    def columns(self) -> dict[str, Any]:
        """The columns of a row that `Ledger` reads."""
        return asdict(self)


def trial_columns(job: Job) -> dict[str, Any]:
    """The columns of a job's row that are known before it runs."""
    from workers.run import columns

    return {**columns(Trial.model_validate_json(job.trial_json)), "launch": job.settings.launch, "attempt": job.attempt}


def publish(store: RunStore, row: dict[str, Any]) -> None:
    """Publish a row; failed writes are retried for a while, then the OSError is raised."""
    files.with_retries(lambda: store.publish_attempt(row), f"the row of trial {row['trial_id']} could not be published")


def perform(job: Job, on_epoch: Callable[[dict[str, Any]], None] | None = None, cpus: int | None = None) -> Outcome:
    """Train a job's trial and publish its row; `on_epoch` is called after each epoch; `cpus`: cores the trial may use.

    Raises OSError where the store cannot be written, and nothing else.
    """
    import workers

    settings, store = job.settings, RunStore(job.settings.run_url)
    if _asked_to_stop(store):
        return Outcome(job.trial_id, "interrupted")  # the stop was requested after the job was handed out
    trial = Trial.model_validate_json(job.trial_json)
    used = devices.of_trial(settings.gpus, trial)
    with TrialLog(store, job.trial_id, settings.checkpoint_s) as trial_log, _deadline(job, trial_log):
        log.info(
            "trial %s, attempt %d, on %s as %s; CUDA_VISIBLE_DEVICES=%r",
            job.trial_id,
            job.attempt,
            platform.node(),
            ", ".join(used),
            os.environ.get("CUDA_VISIBLE_DEVICES"),
        )
        try:
            row = workers.attempt(
                trial,
                settings.data_roots.get(str(trial.dataset_id)),
                used[0],
                devices=used,
                cache_dir=settings.cache_dir,
                checkpoint_url=store.at("trials", job.trial_id, "checkpoint.pt"),
                checkpoint_every_s=settings.checkpoint_s,
                cuda_graphs=settings.cuda_graphs,
                stop=lambda: _asked_to_stop(store),
                on_epoch=on_epoch,
                run_url=settings.run_url,
                cpus=cpus,
                weights_url=store.weights(job.trial_id) if job.keep_weights else None,
                base_url=None if trial.base is None else store.weights(trial.base),
            )
        except workers.Interrupted as stopped:
            log.info("%s", stopped)
            return Outcome(job.trial_id, "interrupted")
        row |= {"launch": settings.launch, "attempt": job.attempt, "gpu_share": settings.gpus}
        if row["status"] == "failed":
            log.error("%s", row["traceback"])
            trial_log.publish()
        elif settings.keep:
            trial_log.publish()
        publish(store, row)
    if row["status"] == "ok" and not settings.keep:
        try:
            store.remove_folder("trials", job.trial_id)
        except OSError as error:
            log.warning("trial %s is done, but its folder stays (%s)", job.trial_id, error)
    return Outcome.of(row)


def _asked_to_stop(store: RunStore) -> bool:
    """Whether a stop was requested.  While the run's folder does not respond, training continues."""
    try:
        return store.stop_asked()
    except OSError as error:
        log.warning("the run's folder does not respond (%s): training continues", error)
        return False


@contextlib.contextmanager
def _deadline(job: Job, trial_log: TrialLog) -> Iterator[None]:
    """The process is killed if it is still in the block after the job's timeout."""
    seconds = job.settings.timeout_s
    if seconds is None:
        yield
        return
    row = trial_columns(job) | {"gpu_share": job.settings.gpus, "started_at": datetime.now(UTC)}
    with watchdog.guard(seconds, job.settings.run_url, row, trial_log.path):
        yield
