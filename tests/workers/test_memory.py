"""The memory of a trial is released when it ends, not at the next garbage collection."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn, optim

import spaces
import workers
from tests.workers.prepared import small, stop_after
from workers.loop import Interrupted


@pytest.fixture(autouse=True)
def _asked_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> int:
    """Layers of this process, and what optimisers train."""
    kinds = [(thing, type(thing)) for thing in gc.get_objects()]
    layers = sum(issubclass(kind, nn.Module) for _, kind in kinds)
    trained = [thing.param_groups[0]["params"] for thing, kind in kinds if issubclass(kind, optim.Optimizer)]
    return layers + sum(len(parameters) for parameters in trained if len(parameters) > 1)


@pytest.mark.parametrize("task", ["cls", "col", "jig"])
def test_nothing_of_a_finished_trial_stays(task: str, pictures: Path, tmp_path: Path) -> None:
    trial = small(pictures, tmp_path, task)
    before = alive()
    assert workers.run(trial, pictures, cache_dir=tmp_path)["status"] == "ok"
    assert alive() == before


def test_nothing_of_a_trial_that_failed_or_was_stopped_stays(pictures: Path, tmp_path: Path) -> None:
    one, two = (small(pictures, tmp_path, "cls", epochs=epochs) for epochs in (1, 2))
    before = alive()

    def broken(epoch: dict[str, float]) -> None:
        raise RuntimeError("a logger that fails")

    assert workers.attempt(one, pictures, cache_dir=tmp_path, on_epoch=broken)["status"] == "failed"
    assert alive() == before
    with pytest.raises(Interrupted):
        workers.attempt(two, pictures, cache_dir=tmp_path, **stop_after())
    assert alive() == before


def test_a_plugins_network_that_names_itself_goes_too(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A circle of references inside a network: only a collection finds it."""
    chain, trial = spaces.get("chain"), small(pictures, tmp_path, "cls")

    class Circular:
        def __getattr__(self, name: str) -> object:
            return getattr(chain, name)

        def trunk(self, *args: object, **options: object) -> nn.Module:
            net = chain.trunk(*args, **options)
            net.register_forward_hook(lambda *_, net=net: None)
            return net

    monkeypatch.setattr(spaces, "get", lambda name: Circular())
    before = alive()
    assert workers.attempt(trial, pictures, cache_dir=tmp_path)["status"] == "ok"
    assert alive() == before
