"""A captured step computes the same as an eager step: emulated on the CPU, with CUDA graphs on a GPU."""

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import spaces
import workers
from tests.workers.prepared import prepare, small
from tests.workers.replayed import tape
from workers.cuda_graphs import Captured, Graphs, Recorder, Replay
from workers.data.loader import Resident
from workers.training.epoch import evaluate, train_epoch
from workers.training.steps import Training

CPU = torch.device("cpu")


def training(space: str, task: str, cache: Path, device: torch.device, record: Recorder | None) -> Training:
    """Three steps an epoch, and a test split whose last batch is smaller, on natural images; fewer of them on a CPU."""
    batch = 8 if device.type == "cpu" else 24
    recipe = workers.recipe("demo", space=space, dataset="photos", task=task).replace(
        epochs=3,
        width=4,
        depth=3 if space == "darts" else 1,
        batch=batch,
        test_batch=batch,
        lr=0.01,
        precise_bn=2 * batch,
    )
    arch = spaces.sample(spaces.get(space), 1, 0).archs[0]
    dataset_id = workers.datasets.get("photos").published_id
    trial = workers.Trial(space=space, arch=arch, dataset="photos", task=task, recipe=recipe, dataset_id=dataset_id)
    t = prepare(trial, device, None, cache, record)
    sizes = (t.train, 3 * batch), (t.test, 5 * batch // 3)
    train, test = (Resident(split.pixels[:n], split.labels[:n]) for split, n in sizes)
    return replace(t, train=train, test=test)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def epochs(t: Training, count: int = 2) -> list[float]:
    """Loss, score and health of each epoch."""
    return [float(v) for epoch in range(count) for v in (train_epoch(t, epoch), *evaluate(t))]


@pytest.mark.parametrize(
    ("space", "task"),
    [*((name, "cls") for name in spaces.names()), ("chain", "rot"), ("chain", "col"), ("nasbench101", "jig")],
)
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
    t.learning.work.capture(part, tape)
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


def nothing(work: Replay, device: torch.device) -> Replay:
    """A graph that was captured on another device than the one the work went to: no error, and nothing in it."""
    work()
    return lambda: None


def test_an_empty_graph_is_noticed_and_the_trial_goes_on_eagerly(cache: Path) -> None:
    eager, broken = (training("chain", "cls", cache, CPU, record) for record in (None, nothing))
    assert epochs(broken, 1) == epochs(eager, 1)
    assert all(
        torch.equal(a, b)
        for a, b in zip(eager.net.state_dict().values(), broken.net.state_dict().values(), strict=True)
    )
    assert broken.step_mode.startswith("eager: the recorded step is not the whole step")


def test_a_graph_that_lacks_a_part_of_the_step_is_noticed() -> None:
    loss, weight = torch.zeros(()), torch.ones(())

    def work(part: dict[str, torch.Tensor]) -> None:
        loss.add_(part["x"].sum())
        weight.mul_(2)

    captured = Captured(work, lambda: [loss, weight], CPU, lambda work, device: lambda: loss.add_(4))
    for _ in range(3):
        captured({"x": torch.ones(4)})
    assert (loss, weight) == (12, 8)
    assert captured.mode.endswith("1 of the 2 tensors that the step changes stay as they were")


def test_where_only_evaluation_is_eager_it_is_said_too(cache: Path) -> None:
    t = training("chain", "cls", cache, CPU, tape)
    t.judging.work._record = nothing
    assert epochs(t, 1)
    assert t.step_mode.startswith("graph; evaluation eager: the recorded step is not the whole step: 4 of the 4")


def test_memory_that_runs_out_in_a_capture_is_not_hidden_by_what_ends_the_capture() -> None:
    def record(work: Replay, device: torch.device) -> Replay:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    with pytest.raises(torch.OutOfMemoryError):
        Captured(lambda part: None, list, CPU, record)({"x": torch.ones(4)})


def test_the_first_cause_is_told() -> None:
    def record(work: Replay, device: torch.device) -> Replay:
        try:
            raise RuntimeError("operation not permitted")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    captured = Captured(lambda part: None, list, CPU, record)
    captured({"x": torch.ones(4)})
    assert captured.mode == "eager: operation not permitted"


def test_memory_that_runs_out_is_not_hidden() -> None:
    def work(part: dict[str, torch.Tensor]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Captured(work, list, CPU, tape)({"x": torch.ones(4)})


def test_a_row_says_how_its_steps_were_made(pictures: Path, cache: Path) -> None:
    assert workers.run(small(pictures, cache, "cls"), pictures, cache_dir=cache)["step_mode"] == "eager"


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
@pytest.mark.parametrize("space", spaces.names())
def test_cuda_graphs_train_like_eager_steps(space: str, task: str, cache: Path) -> None:
    """In fp32 over few steps of a small network; kernels that add in any order leave a rounding."""
    cuda = torch.device("cuda")
    eager, graph = (training(space, task, cache, cuda, record) for record in (None, Graphs()))
    ours, theirs = epochs(graph, 1), epochs(eager, 1)
    assert graph.learning.work.mode == graph.judging.work.mode == "graph"
    assert ours[0] == pytest.approx(theirs[0], rel=1e-3)
    for a, b in zip(eager.net.parameters(), graph.net.parameters(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-2, atol=1e-3)
    row = workers.run(graph.trial, cache_dir=cache, device="cuda")
    assert row["step_mode"] == "graph"
    plain = workers.run(graph.trial, cache_dir=cache, device="cuda", cuda_graphs=False)
    assert plain["step_mode"] == "eager"


@pytest.mark.gpu
@gpu
def test_a_trial_gives_its_gpu_memory_back(cache: Path) -> None:
    """Network, images, graphs and their pools of the first trial are gone when the second one ends."""
    trial = training("nasbench101", "cls", cache, CPU, None).trial
    held = []
    for seed in (1, 2, 3):
        row = workers.run(trial.model_copy(update={"seed": seed}), cache_dir=cache, device="cuda")
        assert row["step_mode"] == "graph"
        assert row["peak_reserved_bytes"] >= row["peak_mem_bytes"] > 0
        held.append(torch.cuda.memory_reserved())
    assert held[1] <= 1.2 * held[0]
    assert held[2] <= 1.2 * held[0]


@pytest.mark.gpu
@gpu
def test_threads_that_pin_memory_do_not_break_a_capture(cache: Path) -> None:
    over, pinned, errors = threading.Event(), [0], []

    def pin() -> None:
        try:
            while not over.is_set():
                torch.empty(2**20 + 4096 * pinned[0], dtype=torch.uint8).pin_memory()  # new memory every time
                pinned[0] += 1
        except RuntimeError as error:
            errors.append(error)

    threads = [threading.Thread(target=pin) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            t = training("darts", "cls", cache, torch.device("cuda"), Graphs())
            epochs(t, 1)
            assert t.step_mode == "graph"
            t.close()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert pinned[0] > 0


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_trial_on_the_second_gpu_is_captured_there(cache: Path) -> None:
    trial = training("chain", "cls", cache, CPU, None).trial
    first, second = (workers.run(trial, cache_dir=cache, device=f"cuda:{n}") for n in (0, 1))
    assert (first["step_mode"], second["step_mode"]) == ("graph", "graph")
    assert second["train_loss"] == pytest.approx(first["train_loss"], rel=1e-2)


@pytest.mark.gpu
@gpu
def test_a_gpu_is_named_by_its_number_in_a_fresh_process(cache: Path) -> None:
    trial = training("chain", "cls", cache, CPU, None).trial
    script = f"""
import workers
trial = workers.Trial.model_validate_json({trial.model_dump_json()!r})
print(workers.run(trial, cache_dir={str(cache)!r}, device="cuda:0")["status"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ok", done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_told_alike_by_name_and_by_number(cache: Path) -> None:
    """By its number it was an `Invalid device argument`, in a fresh process even where there is one."""
    trial = training("chain", "cls", cache, CPU, None).trial
    said = []
    for name in ("cuda", "cuda:0"):
        with pytest.raises((RuntimeError, AssertionError)) as raised:
            workers.run(trial, cache_dir=cache, device=name)
        said.append(str(raised.value))
    assert said[0] == said[1]
