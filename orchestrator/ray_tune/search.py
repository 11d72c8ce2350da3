"""How Ray Tune gets its trials and where their results go: a searcher and a callback around the work of a launch."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import ray
from ray.tune.search import Searcher

from orchestrator.execution import node_check
from orchestrator.execution.job import Job
from orchestrator.ray_tune import failure_causes
from orchestrator.ray_tune import watch as ray_watch
from orchestrator.ray_tune.pruning import SilentReporter

if TYPE_CHECKING:
    from orchestrator.execution.work_queue import Work
    from orchestrator.ray_tune.loggers import Loggers


class _NotCopied:
    """An object of this process that Tune wants to copy and to save; its state is thrown away, so neither happens."""

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {}


class JobSearcher(_NotCopied, Searcher):
    """Hands out jobs of `work` until nothing will come any more."""

    def __init__(self, work: Work, cpus: float, tells: bool) -> None:
        super().__init__()
        self._work, self._cpus, self._tells = work, cpus, tells
        self._driver = asdict(node_check.here())

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True  # there is nothing to search for

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._work.exhausted:
            return str(Searcher.FINISHED)
        job = self._work.take()
        if job is None:
            return None  # what runs now may fail and come back
        room = _room(job, self._cpus)
        return {"job": job.to_json(), "room": room, "driver": self._driver, "tells": self._tells}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        return None  # the callback knows the job

    def save(self, checkpoint_path: str) -> None:
        return None

    def restore(self, checkpoint_path: str) -> None:
        return None


class ResultCallback(_NotCopied, SilentReporter):
    """Tells `work` how each job ended, and loggers how it goes."""

    def __init__(self, work: Work, loggers: Loggers | None) -> None:
        super().__init__()
        self._work, self._loggers = work, loggers
        self._began: dict[str, float] = {}
        self.refusal: str | None = None  # of a machine that joined with another environment while we ran

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._began[trial.config["job"]["trial_id"]] = time.monotonic()
        if self._loggers:
            self._loggers.began(Job.from_json(trial.config["job"]))

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        # Booked here, before Tune asks the searcher again: it ends only when all jobs are settled.
        if "refusal" in result:
            self.refusal = result["refusal"]
            self._work.stopping.set()  # the scheduler would go on sending trials there
        if "outcome" in result:
            self._began.pop(result["outcome"].trial_id, None)
            self._work.finish(result["outcome"])
        if self._loggers:
            self._log(trial.config["job"]["trial_id"], result)

    def _log(self, trial_id: str, result: dict[str, Any]) -> None:
        assert self._loggers
        if "outcome" in result:
            self._loggers.ended(trial_id, result["outcome"].status == "ok")
        elif "epoch" in result:
            self._loggers.epoch(trial_id, result["epoch"])

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        job = Job.from_json(trial.config["job"])
        if self._loggers:
            self._loggers.ended(job.trial_id, ok=False)
        ray_watch.check()  # what dies with Ray is not held against the trial
        error = failure_causes.error_of(trial)
        kind, text = failure_causes.cause(error)
        now = time.monotonic()
        seconds = now - self._began.pop(job.trial_id, now)
        if kind == "worker_died" and seconds >= (job.settings.timeout_s or math.inf):
            kind, text = (
                "timeout",
                f"the attempt did not end in {job.settings.timeout_s:g} s",
            )  # its row was not written
        self._work.lost(job.trial_id, kind, text, ran_s=seconds, details=str(error) if text not in str(error) else "")


def _room(job: Job, cpus: float) -> dict[str, float]:
    """What a job holds of a node: its share, or every core of one that has room for it."""
    gpus = job.settings.gpus
    if job.alone:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fitting = [node["CPU"] for node in nodes if node.get("CPU", 0.0) >= cpus and node.get("GPU", 0.0) >= gpus]
        cpus = min(fitting, default=cpus)  # of the smallest: a larger one can take it too, should that one go away
    return {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
