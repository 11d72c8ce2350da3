"""Loggers receive trials by name and in order; the failure of a logger does not affect the run."""

import logging
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution.job import Job, Settings
from orchestrator.ray_tune import loggers
from workers import Trial, recipe

SECRET = "c0ffee5ecret-and-more"


def job(seed: int = 1) -> Job:
    its = recipe("demo", space="chain", dataset="photos", task="cls")
    trial = Trial(space="chain", arch="c3", dataset="photos", task="cls", seed=seed, recipe=its, dataset_id="photos-0")
    settings = Settings(
        "s3://bucket/run", "launch-abcdef", {"photos-0": f"/data/{SECRET}"}, None, 0.0, 60.0, False, None
    )
    return Job(trial.model_dump_json(), trial.id, 2, settings)


class Kept:
    """A callback that keeps what it is told, and from some moment on fails."""

    def __init__(self, good_for: int = 99) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.configs: list[dict[str, Any]] = []
        self._good_for = good_for

    def _keep(self, *what: Any) -> None:
        if len(self.told) >= self._good_for:
            raise ConnectionError(f"no answer to {SECRET}")
        self.told.append(what)

    def log_trial_start(self, trial: Any) -> None:
        self.configs.append(trial.config)
        self._keep("start", str(trial))

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        self._keep(iteration, str(trial), result["test_score"])

    def log_trial_end(self, trial: Any, failed: bool) -> None:
        self._keep("failed" if failed else "end", str(trial))

    def on_experiment_end(self, trials: Any) -> None:
        self._keep("over")


def test_one_fails_and_the_other_hears_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    kept = {"tensorboard": Kept(), "mlflow": Kept(good_for=2)}
    monkeypatch.setattr(loggers, "_callback", lambda name, study, folder: kept[name])
    with caplog.at_level(logging.WARNING):
        both = loggers.Loggers(("tensorboard", "mlflow"), "study", tmp_path, "launch-abcdef")
        first, second = job(1), job(2)
        for one in (first, second):
            both.began(one)
        both.epoch(first.trial_id, {"training_iteration": 1, "test_score": 0.5})
        both.ended(first.trial_id, ok=True)
        both.ended(first.trial_id, ok=True)
        both.close()  # the second never ended: the run was stopped
    names = [f"chain-photos-cls-seed{one}-{j.trial_id}" for one, j in ((1, first), (2, second))]
    assert kept["tensorboard"].told == [
        ("start", names[0]),
        ("start", names[1]),
        (1, names[0], 0.5),
        ("end", names[0]),
        ("failed", names[1]),
        ("over",),
    ]
    assert len(kept["mlflow"].told) == 2
    assert caplog.text.count("mlflow is left out from now on") == 1
    assert SECRET not in caplog.text + str(kept["tensorboard"].configs)
    assert (
        kept["tensorboard"].configs[1] | {"seed": 2, "attempt": 2, "recipe.epochs": 4} == kept["tensorboard"].configs[1]
    )


def test_what_cannot_be_set_up_stops_the_run_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, study: str, folder: Path) -> Any:
        raise RuntimeError("no API key found")

    monkeypatch.setattr(loggers, "_callback", refuse)
    with pytest.raises(ValueError, match="wandb cannot be set up: no API key"):
        loggers.Loggers(("wandb",), "study", tmp_path, "launch")


def test_files_lie_in_the_run_where_that_is_a_folder() -> None:
    assert loggers.folder_of("x", "/runs/x") == Path("/runs/x/logs")
    assert loggers.folder_of("x", "s3://bucket/x") == Path.cwd() / "logs" / "x"
