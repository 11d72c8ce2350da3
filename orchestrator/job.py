"""What a worker does with one trial: train it, publish its row, clean up.  Every engine runs this same code."""

import faulthandler
import logging
import os
import platform
import time
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.store import STOP, RunStore
from workers.secrets import scrub
from workers.trial import Trial

log = logging.getLogger(__name__)
_PUBLISH_TRIES = 5


@dataclass(frozen=True)
class Settings:
    """What all jobs of a launch share."""

    run_url: str
    launch: str
    data_roots: dict[str, str | None]  # by dataset_id
    cache_dir: str | None
    gpus: float
    checkpoint_s: float
    cuda_graphs: bool
    keep: bool
    timeout_s: float | None  # ends the whole process: only for processes that belong to one trial at a time


@dataclass(frozen=True)
class Job:
    """One attempt at one trial, as it travels to a worker."""

    trial_json: str
    trial_id: str
    attempt: int
    settings: Settings

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

    def columns(self) -> dict[str, Any]:
        """The columns of a row that the ledger reads."""
        return asdict(self)


def trial_columns(job: Job) -> dict[str, Any]:
    """The columns of a job's row that are known before it runs."""
    from workers.training import columns

    return {**columns(Trial.model_validate_json(job.trial_json)), "launch": job.settings.launch, "attempt": job.attempt}


class _TrialLog(logging.Handler):
    """Keeps a trial's lines and publishes them whole: after a failure, and every so often while it trains."""

    def __init__(self, store: RunStore, trial_id: str, every_s: float) -> None:
        super().__init__(logging.INFO)
        self._store, self._trial_id, self._every_s = store, trial_id, every_s
        self._lines: list[str] = []
        self._published = time.monotonic()
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
        if time.monotonic() - self._published >= self._every_s:
            self.publish()

    def publish(self) -> None:
        """Write what has been said so far to the trial's folder."""
        self._published = time.monotonic()
        self._store.write(
            scrub("\n".join(self._lines) + "\n").encode(errors="backslashreplace"), "trials", self._trial_id, "log.txt"
        )


def _device(gpus: float) -> str:
    """The device of a job.  A scheduler shows it exactly the GPUs it may use.

    ARCHSWEEP_DEVICE=cpu tries the placement of a study out on a machine whose GPUs are only declared to Ray.
    """
    return os.environ.get("ARCHSWEEP_DEVICE") or ("cuda" if gpus > 0 else "cpu")


def _publish(store: RunStore, row: dict[str, Any]) -> None:
    """Publish a row; a store that refuses for a while is asked again."""
    for attempt in range(1, _PUBLISH_TRIES + 1):
        try:
            return store.publish_attempt(row)
        except OSError as error:
            if attempt == _PUBLISH_TRIES:
                raise
            log.warning("the row could not be published (%s): trying again", error)
            time.sleep(2.0**attempt / 2)
    return None


def perform(job: Job) -> Outcome:
    """Train a job's trial and publish its row.  Only a store that cannot be written raises."""
    import workers

    settings, store = job.settings, RunStore(job.settings.run_url)
    if store.exists(STOP):
        return Outcome(job.trial_id, "interrupted")  # it was handed out just before the stop
    device = _device(settings.gpus)
    trial = Trial.model_validate_json(job.trial_json)
    handler = _TrialLog(store, job.trial_id, settings.checkpoint_s)
    logger = logging.getLogger("workers")
    logger.addHandler(handler)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if settings.timeout_s is not None:
        # A C thread of the interpreter: it fires even when Python hangs in native code.
        faulthandler.dump_traceback_later(settings.timeout_s, exit=True, file=2)
    logger.info(
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
            stop=lambda: store.exists(STOP),
        )
    except workers.Interrupted as stopped:
        log.info("%s", stopped)
        return Outcome(job.trial_id, "interrupted")
    finally:
        if settings.timeout_s is not None:
            faulthandler.cancel_dump_traceback_later()
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
    row |= {"launch": settings.launch, "attempt": job.attempt, "gpu_share": settings.gpus}
    if row["status"] == "failed":
        handler.handle(logging.LogRecord("workers", logging.ERROR, "", 0, row["traceback"], None, None))
        handler.publish()
    elif settings.keep:
        handler.publish()
    _publish(store, row)
    if row["status"] == "ok" and not settings.keep:
        store.remove_folder("trials", job.trial_id)
    return Outcome(
        job.trial_id,
        row["status"],
        row.get("error_class"),
        row.get("error_text"),
        row.get("traceback"),
    )
