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
    """Prevents Tune from copying and saving an object; Tune's state is not kept anyway."""

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {}


class JobSearcher(_NotCopied, Searcher):
    """Hands out the jobs of `work` until no more will come."""

    def __init__(self, work: Work, cpus: float, per_epoch: bool) -> None:
        super().__init__()
        self._work, self._cpus, self._per_epoch = work, cpus, per_epoch
        self._driver = asdict(node_check.here())

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True  # nothing is searched

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._work.exhausted:
            return str(Searcher.FINISHED)
        job = self._work.take(ahead=True)  # Tune asks for the next trial before it has resources for it
        if job is None:
            return None  # a running trial may fail and be queued again
        room = _room(job, self._cpus)
        return {"job": job.to_json(), "room": room, "driver": self._driver, "per_epoch": self._per_epoch}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        return None  # ResultCallback reports the job

    def save(self, checkpoint_path: str) -> None:
        return None

    def restore(self, checkpoint_path: str) -> None:
        return None


class ResultCallback(_NotCopied, SilentReporter):
    """Reports the result of each job to `work`, and its epochs to the loggers."""

    def __init__(self, work: Work, loggers: Loggers | None) -> None:
        super().__init__()
        self._work, self._loggers = work, loggers
        self._began: dict[str, float] = {}
        self.refusal: str | None = None  # of a machine with another environment that joined during the run

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._began[trial.config["job"]["trial_id"]] = time.monotonic()
        self._work.begin(trial.config["job"]["trial_id"])
        if self._loggers:
            self._loggers.began(Job.from_json(trial.config["job"]))

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        # Reported here, before Tune asks the searcher again, which finishes only when no job is open.
        if "refusal" in result:
            self.refusal = result["refusal"]
            self._work.stopping.set()  # the scheduler would continue to send trials there
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
        ray_watch.check()  # if Ray itself has died, the trial did not fail
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
    """The resources of a job: its share of a node, or all cores of the smallest node that has enough."""
    gpus = job.settings.gpus
    if job.alone:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fitting = [node["CPU"] for node in nodes if node.get("CPU", 0.0) >= cpus and node.get("GPU", 0.0) >= gpus]
        cpus = min(fitting, default=cpus)  # a larger node can run it too if the smallest one goes away
    return {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
