"""Several GPUs per trial: which trials use them, and what is refused before anything is trained."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.execution import devices
from orchestrator.study import schema as studies
from orchestrator.study.plan import plan

from .conftest import Write

Command = Callable[..., tuple[int, str, str]]


def test_a_trial_with_two_gpus_trains_on_both(
    study: Write, tmp_path: Path, archsweep: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two processes of the CPU, as there may be no GPU."""
    monkeypatch.setenv("ARCHSWEEP_DEVICE", "cpu")
    file = study(archs=1, tasks=("cls",), execution="gpus_per_trial = 2")
    code, _, err = archsweep("run", file)
    assert code == 0, err
    (row,) = pd.read_parquet(tmp_path / "run" / "rows").to_dict("records")
    assert (row["status"], row["gpu_share"]) == ("ok", 2)
    assert row["step_mode"] == "eager: 2 devices train together"


def test_batches_that_gpus_cannot_divide_are_refused(study: Write, tmp_path: Path, archsweep: Command) -> None:
    file = study(archs=1, execution="gpus_per_trial = 3")
    for command in ("plan", "run"):
        code, _, err = archsweep(command, file)
        assert code == 2
        assert "gpus_per_trial = 3 cannot divide the batch of 32 images of recipe demo; override batch" in err
    assert not (tmp_path / "run" / "rows").exists()


def test_gpus_that_are_not_there_are_refused(study: Write, archsweep: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    code, _, err = archsweep("run", study(archs=1, execution="gpus_per_trial = 2"))
    assert (code, "gpus_per_trial = 2, but this machine has 1 GPUs" in err) == (2, True)


def test_searches_use_one_of_several_gpus_and_the_plan_says_so() -> None:
    text = """
    name = "both"
    [[sweeps]]
    name = "search"
    space = "nasbench201"
    dataset = "scenes"
    tasks = ["cls", "rot"]
    recipe = "darts"
    [[sweeps]]
    space = "nasbench201"
    architectures = { found = "search" }
    dataset = "scenes"
    tasks = ["cls"]
    recipe = "demo"
    """
    rows = plan(studies.parse(text, "both")).table.to_pylist()
    assert devices.check(rows, 2) == ["2 trials of other methods than training use one of their 2 GPUs"]
    assert devices.check(rows, 0.5) == devices.check(rows, None) == []
