"""A training on several devices: the row of one device, in float64 to 1e-9; deaths, stops and resuming."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import workers
from tests.forks import Forked
from tests.workers import together
from tests.workers.together import CASES, COMPARED, Process, member, trial, undisturbed
from workers import ranks
from workers.datasets import get, prepare

pytestmark = pytest.mark.xdist_group("ranks")  # what two processes compute is computed once


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    prepare("scenes", None, folder, expect=get("scenes").published_id)
    return folder


@pytest.fixture(scope="module")
def both(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes computed."""
    folder = tmp_path_factory.mktemp("ranks")
    others = [Forked(member, rank, str(folder / "meeting"), str(cache), str(folder / "out")) for rank in range(2)]
    for process in others:
        process.join(300)
        assert process.exitcode == 0
    return [torch.load(folder / f"out.{rank}") for rank in range(2)]


@pytest.mark.parametrize(("space", "task", "changes"), CASES)
def test_two_processes_train_as_one_in_float64(
    space: str, task: str, changes: dict[str, Any], both: list[dict[str, Any]], cache: Path
) -> None:
    alone = together.results(trial(space, task, **changes), cache)
    for found in (one[space] for one in both):
        assert found["curve"] == pytest.approx(alone["curve"], rel=1e-9)
        assert found["state"].keys() == alone["state"].keys()
        for name, value in alone["state"].items():
            torch.testing.assert_close(found["state"][name], value, rtol=1e-9, atol=1e-9)
        for theirs, ours in zip(found["counts"], alone["counts"], strict=True):
            torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-9)  # also the sum of all outputs
    first, second = (one[space]["state"] for one in both)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("what", ["segmentation", "normalised"])
def test_means_over_the_whole_batch_and_their_gradients(what: str, both: list[dict[str, Any]]) -> None:
    """Of pixels with a class, which the parts have unequally many of; of batch norm, against torch's own."""
    wanted = getattr(together, what)(None)
    for one in both:
        for found, value in zip(one[what], wanted, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-12, atol=1e-12)


def test_a_training_on_two_devices_that_is_stopped_and_killed_ends_in_the_same_row(
    both: list[dict[str, Any]], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit that of the two processes that nobody disturbed."""
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.01)
    t = undisturbed()
    started: list[Process] = []

    def noted(*words: Any, **options: Any) -> Process:
        started.append(Process(*words, **options))
        return started[-1]

    def kill(epoch: dict[str, float]) -> None:
        if epoch["training_iteration"] == 3:
            started[-1].send_signal(signal.SIGKILL)

    monkeypatch.setattr(ranks.subprocess, "Popen", noted)
    options: dict[str, Any] = {"devices": ["cpu", "cpu"], "cache_dir": cache}
    options |= {"checkpoint_url": str(tmp_path / "state.pt"), "checkpoint_every_s": 0.0}
    with pytest.raises(workers.Interrupted, match="its checkpoint was saved"):
        workers.run(t, stop=lambda: True, **options)
    with pytest.raises(RuntimeError, match=r"the process of device cpu \(number 1\) ended by SIGKILL"):
        workers.run(t, on_epoch=kill, **options)
    assert len(started) == 4
    assert all(process.poll() is not None for process in started)
    row = workers.run(t, **options)
    assert row["resumed"] >= 1
    assert {name: row[name] for name in COMPARED} == both[0]["row"]
    assert (row["step_mode"], row["gpu_share"]) == ("eager: 2 devices train together", 0.0)


def test_an_error_of_a_device_is_the_error_of_the_trial() -> None:
    t = trial("chain", "cls")
    row = workers.attempt(t, None, devices=["cpu", "cpu", "cpu"])
    assert row["status"] == "failed"
    assert "a batch of 8 images cannot be divided among 3 devices" in row["error_text"]
    search = workers.recipe("random_search/params", space="chain", dataset="scenes", task="cls")
    t = workers.Trial(space="chain", arch="*", dataset="scenes", dataset_id=t.dataset_id, task="cls", recipe=search)
    with pytest.raises(ValueError, match="the method 'random_search' runs on one device; 2 are given"):
        workers.run(t, devices=["cpu", "cpu"])
    with pytest.raises((RuntimeError, AssertionError), match=r"(?i)cuda|nvidia") as raised:
        ranks.run(trial("chain", "cls"), ["cuda:99"], {})
    assert "in the process of device cuda:99 (number 0):\nTraceback" in raised.value.__notes__[0]
