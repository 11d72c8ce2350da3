"""Curves of running trials in TensorBoard, MLflow or Weights & Biases, through Ray's callbacks for them.

Results are in the rows only: a logger that fails is reported once and disabled, training continues.  Loggers get the
definition of a trial and the numbers of its epochs, nothing about the environment.
"""

import importlib.util
import logging
import os
import queue
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.execution.job import Job
from workers.scrub import scrub
from workers.trial import Trial

if TYPE_CHECKING:
    from orchestrator.study.schema_parts import Execution

log = logging.getLogger(__name__)

_PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
_CLOSE_S = 120.0  # for writing what is pending when a run ends


def check(execution: "Execution") -> None:
    """ValueError where a study requires loggers that are not available."""
    if execution.loggers and execution.engine == "inline":
        raise ValueError(
            "execution.loggers are callbacks of Ray Tune: engine inline has none; leave out one of the two"
        )
    for name in execution.loggers:
        if importlib.util.find_spec(_PACKAGES[name]) is None:
            raise ValueError(
                f"execution.loggers: {name} needs the package {_PACKAGES[name]}, which is not installed; "
                f"pip install 'archsweep[{name}]', or leave the logger out"
            )


class Loggers:
    """Sends starts, epochs and ends of trials to loggers, in a thread of its own, so that none blocks the driver."""

    def __init__(self, names: tuple[str, ...], study: str, folder: Path, launch: str) -> None:
        """Set up every logger; ValueError where that fails, for example without login or server."""
        self._launch, self._folder = launch, folder
        self._shown: dict[str, _Shown] = {}
        self._callbacks: dict[str, Any] = {}
        for name in names:
            try:
                self._callbacks[name] = _callback(name, study, folder)
            except Exception as error:
                raise ValueError(f"execution.loggers: {name} cannot be set up: {scrub(str(error))}") from error
        self._todo: queue.SimpleQueue[Callable[[Any], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="loggers", daemon=True)
        self._thread.start()

    def began(self, job: Job) -> None:
        """Report that a worker has begun a job."""
        shown = self._shown[job.trial_id] = _Shown(job, self._launch, self._folder)
        if "wandb" in self._callbacks:
            shown.init_local_path()  # its process goes there
        self._todo.put(lambda callback: callback.log_trial_start(shown))

    def epoch(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report the result of an epoch."""
        if shown := self._shown.get(trial_id):
            self._todo.put(lambda callback: callback.log_trial_result(result["training_iteration"], shown, result))

    def ended(self, trial_id: str, ok: bool) -> None:
        """Report that a job has ended, for whatever reason."""
        if shown := self._shown.pop(trial_id, None):
            self._todo.put(lambda callback: callback.log_trial_end(shown, failed=not ok))

    def close(self) -> None:
        """Wait until everything is written, at most two minutes."""
        for trial_id in list(self._shown):
            self.ended(trial_id, ok=False)
        self._todo.put(lambda callback: callback.on_experiment_end([]))
        self._todo.put(None)
        self._thread.join(_CLOSE_S)

    def _work(self) -> None:
        while (act := self._todo.get()) is not None:
            for name, callback in list(self._callbacks.items()):
                try:
                    act(callback)
                except Exception as error:
                    log.warning("%s is left out from now on: %s", name, scrub(f"{type(error).__name__}: {error}"))
                    del self._callbacks[name]


class _Shown:
    """Replaces Tune's trial, since callbacks keep every trial: a small object with a readable name."""

    checkpoint = None

    def __init__(self, job: Job, launch: str, folder: Path) -> None:
        trial = Trial.model_validate_json(job.trial_json)
        named = {name: getattr(trial, name) for name in ("space", "arch", "dataset", "task", "seed")}
        recipe = {f"recipe.{key}": value for key, value in trial.recipe.facts.items()}
        facts = {"trial_id": job.trial_id, **named, "recipe": trial.recipe.name, **recipe, "attempt": job.attempt}
        self.config = {key: scrub(value) if isinstance(value, str) else value for key, value in facts.items()}
        self.evaluated_params = self.config
        self.trial_id = f"{job.trial_id}-{launch[-6:]}-{job.attempt}"
        self.experiment_dir_name = launch
        self._name = "-".join([trial.space, trial.dataset, trial.task, f"seed{trial.seed}", job.trial_id])
        self.local_path = str(folder / self._name)

    def __str__(self) -> str:
        return self._name

    def init_local_path(self) -> None:
        Path(self.local_path).mkdir(parents=True, exist_ok=True)


def folder_of(name: str, run_url: str) -> Path:
    """Where loggers write files: in the folder of a run on this machine, else below the working directory."""
    return Path("logs", name).absolute() if "://" in run_url else Path(run_url).expanduser().absolute() / "logs"


def _callback(name: str, study: str, folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    if name == "tensorboard":
        from ray.tune.logger import TBXLoggerCallback

        return TBXLoggerCallback()
    if name == "mlflow":
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        where = os.environ.get("MLFLOW_TRACKING_URI")
        if not where:  # a file store needs no server and no database; MLflow requires this opt-in
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            where = f"file://{folder / 'mlflow'}"
        callback: Any = MLflowLoggerCallback(tracking_uri=where, experiment_name=study)
    else:
        from ray.air.integrations.wandb import WandbLoggerCallback

        project = os.environ.get("WANDB_PROJECT") or re.sub(r"[^A-Za-z0-9._-]", "-", study)
        callback = WandbLoggerCallback(project=project, dir=str(folder))
    callback.setup()
    return callback
