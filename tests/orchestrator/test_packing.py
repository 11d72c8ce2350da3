"""GPU memory: the advice of `plan` about gpus_per_trial."""

import pandas as pd
import pytest
import torch

import workers
from orchestrator.cli import packing
from orchestrator.cli.preview import preview
from orchestrator.store.run_folder import RunStore
from orchestrator.study.schema import load
from tests.orchestrator.conftest import Write, cli
from workers.memory import saved_bytes, training_bytes


def trial(**more: object) -> workers.Trial:
    recipe = workers.recipe("unnas", space="nasbench101", dataset="cifar10", task="cls").replace(**more)
    arch = "c3.0_c1.01_mp.02_out.23"
    return workers.Trial(space="nasbench101", arch=arch, dataset="cifar10", task="cls", recipe=recipe)


def test_memory_is_that_of_the_tensors_a_real_step_keeps() -> None:
    """The count of the meta device against real tensors, whose storages tell what shares memory."""
    t = trial(batch=4, width=8, depth=1)
    net, kept = workers.build_network(t), {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    images = torch.randn(4, 3, 32, 32)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = net(images)
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    real = sum(size for place, (size, _) in kept.items() if place not in own) + out.numel() * 4
    with torch.device("meta"):
        counted = saved_bytes(workers.build_network(t), torch.empty(4, 3, 32, 32))
    assert counted == pytest.approx(real, rel=0.05)


def test_a_larger_batch_or_network_needs_more() -> None:
    sizes = [training_bytes(trial(batch=b, width=w)) for b, w in ((32, 64), (64, 64), (64, 128))]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("task", ["col", "seg"])
def test_a_dense_step_does_not_hold_all_upsampled_scores(task: str) -> None:
    """What an image more takes is what its network keeps up to the scores before upsampling."""
    recipe = workers.recipe("demo", space="nasbench101", dataset="photos", task=task)
    sizes = {}
    for batch in (512, 513):
        t = workers.Trial(
            space="nasbench101",
            arch="c3.0_c1.01_mp.02_out.23",
            dataset="imagenet" if task == "col" else "cityscapes",
            task=task,
            recipe=recipe.replace(batch=batch, width=4, depth=1),
        )
        sizes[batch] = training_bytes(t)
    net, kept = workers.build_network(t), {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = net.scores(torch.randn(2, *t.configured_task.element(t.data)))
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    real = sum(size for place, (size, _) in kept.items() if place not in own) + scores.numel() * 4
    assert sizes[513] - sizes[512] == pytest.approx(real / 2, rel=0.1)


@pytest.mark.parametrize(("trial_gb", "gpu_gb", "most"), [(1.0, 141, 8), (7.0, 80, 8), (7.0, 24, 2), (30.0, 24, 1)])
def test_so_many_trials_have_room(trial_gb: float, gpu_gb: float, most: int) -> None:
    share = packing.share(int(trial_gb * 1e9), int(gpu_gb * 1e9))
    assert int(1 / share) == most
    assert most * share <= 1
    if most > 1:
        assert most * trial_gb < gpu_gb


@pytest.mark.parametrize(
    ("gb", "expected"), [(20, "0.3333 on 80 GB"), (87, "that fits: 1 on 141 GB"), (200, "too small")]
)
def test_a_gpu_that_is_too_small_is_not_named(gb: int, expected: str) -> None:
    text = packing.Room(gb * 10**9, measured=False, gpu=None).text()
    assert expected in text
    assert "on 16 GB" not in text
    assert "too small" in packing.Room(gb * 10**9, measured=False, gpu=16 * 10**9).text()


def test_plan_tells_before_any_row_and_finished_trials_tell_better(study: Write, tmp_path) -> None:
    text = study(dataset="cifar10").read_text()
    file = tmp_path / "gpu.toml"
    file.write_text(text + "gpus_per_trial = 1\n")
    said = cli("plan", file)
    assert said.code == 0, said.err
    assert "estimated from the largest network" in said.out
    guessed = preview(load(str(file))).room
    assert guessed is not None
    assert not guessed.measured
    planned = preview(load(str(file)))
    store = RunStore(planned.study.path)
    row = {
        "trial_id": "0" * 16,
        "launch": "a",
        "attempt": 1,
        "status": "ok",
        "gpu_share": 1.0,
        "peak_mem_bytes": 9 * 10**9,
        "device_mem_bytes": 80 * 10**9,
        "finished_at": pd.Timestamp("2026-01-01", tz="UTC"),
    }
    store.publish_attempt(row)
    found = preview(load(str(file))).room
    assert found is not None
    assert found.measured
    assert found.trial == 9 * 10**9
    assert "fits on GPUs of 80 GB" in found.text()
    # What torch held besides tensors counts too: a share of the GPU limits both together.
    store.publish_attempt({**row, "trial_id": "1" * 16, "peak_reserved_bytes": 30 * 10**9})
    found = preview(load(str(file))).room
    assert found is not None
    assert (found.trial, found.share) == (30 * 10**9, 1 / 2)
