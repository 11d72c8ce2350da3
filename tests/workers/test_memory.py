"""The memory of a trial is released when it ends, not at the next garbage collection."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn, optim

import spaces
import workers
from tests.workers.prepared import stop_after
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


def trial(task: str, space: str = "chain", **changes: object) -> workers.Trial:
    recipe = workers.recipe("demo", space=space, dataset="photos", task=task)
    recipe = recipe.replace(**{"epochs": 1, "width": 4, "batch": 64, "test_batch": 128, "precise_bn": 64, **changes})
    arch = spaces.sample(spaces.get(space), 1, 0).archs[0]
    dataset_id = workers.datasets.identify("photos")
    return workers.Trial(space=space, arch=arch, dataset="photos", task=task, recipe=recipe, dataset_id=dataset_id)


def alive() -> int:
    """Layers of this process, and what optimisers train."""
    kinds = [(thing, type(thing)) for thing in gc.get_objects()]
    layers = sum(issubclass(kind, nn.Module) for _, kind in kinds)
    trained = [thing.param_groups[0]["params"] for thing, kind in kinds if issubclass(kind, optim.Optimizer)]
    return layers + sum(len(parameters) for parameters in trained if len(parameters) > 1)


@pytest.mark.parametrize("task", ["cls", "col", "jig"])
def test_nothing_of_a_finished_trial_stays(task: str, tmp_path: Path) -> None:
    before = alive()
    assert workers.run(trial(task), cache_dir=tmp_path)["status"] == "ok"
    assert alive() == before


def test_nothing_of_a_trial_that_failed_or_was_stopped_stays(tmp_path: Path) -> None:
    before = alive()

    def broken(epoch: dict[str, float]) -> None:
        raise RuntimeError("a logger that fails")

    assert workers.attempt(trial("cls"), cache_dir=tmp_path, on_epoch=broken)["status"] == "failed"
    assert alive() == before
    with pytest.raises(Interrupted):
        workers.attempt(trial("cls", epochs=2), cache_dir=tmp_path, **stop_after())
    assert alive() == before


def test_a_plugins_network_that_names_itself_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A circle of references inside a network: only a collection finds it."""
    chain = spaces.get("chain")

    class Circular:
        def __getattr__(self, name: str) -> object:
            return getattr(chain, name)

        def trunk(self, *args: object, **options: object) -> nn.Module:
            net = chain.trunk(*args, **options)
            net.register_forward_hook(lambda *_, net=net: None)
            return net

    monkeypatch.setattr(spaces, "get", lambda name: Circular())
    before = alive()
    assert workers.attempt(trial("cls"), cache_dir=tmp_path)["status"] == "ok"
    assert alive() == before
