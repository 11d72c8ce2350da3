"""A recorded step computes what the eager step computes: on the CPU by a tape, on a GPU by CUDA graphs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import spaces
import workers
from tests.workers.replayed import tape
from workers.captured import Captured, Recorder, cuda_graph
from workers.train import Images, Training, evaluate, train_epoch
from workers.training import _prepare

CPU = torch.device("cpu")


def training(space: str, task: str, cache: Path, device: torch.device, record: Recorder | None) -> Training:
    """Three steps an epoch, and a test split whose last batch is smaller, on natural images."""
    recipe = workers.recipe("demo", space=space, dataset="photos", task=task).replace(
        epochs=3, width=4, depth=1 if space == "nasbench101" else 3, batch=24, test_batch=24, lr=0.01
    )
    arch = spaces.sample(spaces.get(space), 1, 0).archs[0]
    dataset_id = workers.datasets.identify("photos")
    trial = workers.Trial(space=space, arch=arch, dataset="photos", task=task, recipe=recipe, dataset_id=dataset_id)
    t = _prepare(trial, device, None, cache, record)
    train, test = (Images(split.pixels[:n], split.labels[:n]) for split, n in ((t.train, 72), (t.test, 40)))
    return replace(t, train=train, test=test)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def epochs(t: Training, count: int = 2) -> list[float]:
    """Loss, score and health of each epoch."""
    return [float(v) for epoch in range(count) for v in (train_epoch(t, epoch), *evaluate(t))]


@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
@pytest.mark.parametrize("space", spaces.names())
def test_replayed_steps_train_like_eager_ones(space: str, task: str, cache: Path) -> None:
    """Other images in every step, another learning rate in every epoch, a test split whose last batch is smaller."""
    eager, replayed = (training(space, task, cache, CPU, record) for record in (None, tape))
    assert epochs(replayed) == pytest.approx(epochs(eager), rel=1e-5)
    assert (eager.learning.work.mode, replayed.learning.work.mode) == ("eager", "graph")
    for a, b in zip(eager.net.state_dict().values(), replayed.net.state_dict().values(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


def test_the_warm_up_leaves_no_trace(cache: Path) -> None:
    t = training("chain", "cls", cache, CPU, tape)
    before = [p.detach().clone() for p in t.net.state_dict().values()]
    part = next(t.parts("train", 0, 1))
    t.learning.work._capture(part, tape)
    assert all(torch.equal(a, b) for a, b in zip(before, t.net.state_dict().values(), strict=True))
    assert t.learning.sums[0] == 0
    assert all(not state["momentum_buffer"].any() for state in t.optimizer.state.values())


def test_what_cannot_be_recorded_is_done_eagerly_and_said() -> None:
    total = torch.zeros(())

    def work(part: dict[str, torch.Tensor]) -> None:
        if part["x"].sum().item() > 0:  # waits for the device
            total.add_(part["x"].sum())

    captured = Captured(work, lambda: [total], CPU, tape)
    for _ in range(3):
        captured({"x": torch.ones(4)})
    assert total == 12
    assert captured.mode.startswith("eager: operation not permitted when stream is capturing")


def test_memory_that_runs_out_is_not_hidden() -> None:
    def work(part: dict[str, torch.Tensor]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Captured(work, list, CPU, tape)({"x": torch.ones(4)})


def test_a_row_says_how_its_steps_were_made(cache: Path) -> None:
    t = training("chain", "cls", cache, CPU, None)
    assert workers.run(t.trial, cache_dir=cache)["step_mode"] == "eager"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
@pytest.mark.parametrize("space", spaces.names())
def test_cuda_graphs_train_like_eager_steps(space: str, task: str, cache: Path) -> None:
    """In fp32 over few steps of a small network; kernels that add in any order leave a rounding."""
    cuda = torch.device("cuda")
    eager, graph = (training(space, task, cache, cuda, record) for record in (None, cuda_graph))
    ours, theirs = epochs(graph, 1), epochs(eager, 1)
    assert graph.learning.work.mode == graph.judging.work.mode == "graph"
    assert ours[0] == pytest.approx(theirs[0], rel=1e-3)
    for a, b in zip(eager.net.parameters(), graph.net.parameters(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-2, atol=1e-3)
    row = workers.run(graph.trial, cache_dir=cache, device="cuda")
    assert row["step_mode"] == "graph"
    plain = workers.run(graph.trial, cache_dir=cache, device="cuda", cuda_graphs=False)
    assert plain["step_mode"] == "eager"
