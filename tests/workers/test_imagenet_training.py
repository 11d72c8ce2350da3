"""Training on photographs of many sizes: fed from the CPU, the same however it is done."""

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import workers
from tests.workers.photographs import folder
from tests.workers.prepared import prepare, stop_after
from tests.workers.replayed import tape
from workers import datasets, tasks
from workers.cuda_graphs import Graphs
from workers.data import chunks, loader
from workers.data.loader import slices
from workers.data.resize import crop
from workers.datasets import Form
from workers.training.epoch import evaluate, train_epoch

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("data") / "imagenet", each=4)


@pytest.fixture(autouse=True)
def _asked_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def trial(task: str, root: Path, mode: str = "array", arch: str = "c3_c3", **changes) -> workers.Trial:
    recipe = workers.recipe("demo", space="chain", dataset="photos", task=task).replace(
        epochs=2, width=8, depth=2, batch=4, test_batch=4, precise_bn=8, lr=0.01, **changes
    )
    dataset_id = datasets.identify("imagenet", root, None, Form(mode))
    return workers.Trial(space="chain", arch=arch, dataset="imagenet", task=task, recipe=recipe, dataset_id=dataset_id)


@pytest.mark.parametrize("mode", ["array", "exact"])
@pytest.mark.parametrize("task", ["cls", "rot", "jig"])
def test_a_trial_is_a_row_and_resumes_bit_for_bit(
    task: str, mode: str, root: Path, cache: Path, tmp_path: Path
) -> None:
    t = trial(task, root, mode)
    whole = workers.run(t, root, cache_dir=cache)
    with pytest.raises(workers.Interrupted):
        workers.run(t, root, cache_dir=cache, checkpoint_url=str(tmp_path / "c.pt"), **stop_after())
    resumed = workers.run(t, root, cache_dir=cache, checkpoint_url=str(tmp_path / "c.pt"))
    assert resumed["resumed"] == 1
    for name in ("curve_train_loss", "curve_test_score", "score_best"):
        assert resumed[name] == whole[name]
    assert len(whole["curve_train_loss"]) == 2
    assert whole["dataset_id"] == t.dataset_id


def test_batches_depend_on_the_epoch_and_not_on_the_architecture(root: Path, cache: Path) -> None:
    one, other = (prepare(trial("cls", root, arch=arch), CPU, root, cache) for arch in ("c3_c3", "c5_c5"))
    for a, b in zip(one.batches("train", 0, 3), other.batches("train", 0, 3), strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    assert not torch.equal(next(one.batches("train", 0, 1))[0], next(one.batches("train", 1, 1))[0])
    assert torch.cat([y for _, y in one.test_batches()]).tolist() == [0, 0, 1, 1, 2, 2]


def test_an_epoch_sees_every_image_with_its_label(root: Path, cache: Path) -> None:
    t = prepare(trial("cls", root), CPU, root, cache)
    labels = torch.cat([y for _, y in t.batches("train", 0, t.steps)])
    assert torch.bincount(labels).tolist() == [4, 4, 4]


@pytest.mark.parametrize("task", ["cls", "rot", "jig"])
def test_replayed_steps_train_like_eager_ones(task: str, root: Path, cache: Path) -> None:
    """A step that is fed can be recorded too; the last part of the test images is smaller."""
    found = []
    for record in (None, tape):
        t = prepare(trial(task, root), CPU, root, cache, record)
        found.append([float(v) for epoch in range(2) for v in (train_epoch(t, epoch), *evaluate(t))])
    assert t.learning.work.mode == "graph"
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_colours_of_photographs_are_learned(root: Path, cache: Path) -> None:
    """One step of four images: at full resolution its 313 scores a pixel take seconds."""
    t = prepare(trial("col", root), CPU, root, cache)
    before = [p.detach().clone() for p in t.net.parameters()]
    (loss,) = t.learning.over(t.parts("train", 0, 1))
    assert 4 < loss < 8  # log(313) = 5.7
    assert any(not torch.equal(a, b) for a, b in zip(before, t.net.parameters(), strict=True))


@pytest.mark.parametrize("room", [loader.AHEAD_BYTES, 1])
def test_parts_made_ahead_by_threads_are_the_same_in_order(
    root: Path, cache: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU is fed, on the CPU: other threads, the same parts."""
    monkeypatch.setattr(loader, "AHEAD_BYTES", room)
    t = prepare(trial("jig", root), CPU, root, cache)
    drawn = {
        "image": torch.arange(12).flip(0),
        **tasks.get("jig").draw(12, datasets.get("imagenet"), torch.Generator(), True),
    }
    before = threading.active_count()
    here, ahead = list(t.train.parts(drawn, 2)), list(t.train.prefetch(slices(drawn, 2)))
    assert len(here) == len(ahead) == 6
    for a, b in zip(here, ahead, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    first = t.train.prefetch(slices(drawn, 2))
    next(first)
    first.close()  # a training that ends early leaves no threads behind
    assert threading.active_count() == before


def test_the_two_modes_are_two_questions_with_like_answers(root: Path, cache: Path) -> None:
    array, exact = (prepare(trial("cls", root, mode), CPU, root, cache) for mode in ("array", "exact"))
    assert array.trial.id != exact.trial.id
    # These photographs are smaller than 256 px: the modes differ by rounding alone, for their draws are of their ids.
    draws = tasks.get("cls").draw(12, datasets.get("imagenet"), torch.Generator().manual_seed(1), True)
    parts = [next(t.train.parts({"image": torch.arange(12), **draws}, 12)) for t in (array, exact)]
    assert [p["pixels"].dtype for p in parts] == [torch.uint8, torch.float32]
    assert (parts[0]["pixels"].float() - parts[1]["pixels"]).abs().max() <= 1.01


@pytest.mark.parametrize("mode", ["array", "exact"])
def test_a_part_holds_the_squares_of_its_images(mode: str, root: Path, cache: Path) -> None:
    t = prepare(trial("cls", root, mode), CPU, root, cache)
    task, dataset = tasks.get("cls"), datasets.get("imagenet")
    draws = task.draw(5, dataset, torch.Generator().manual_seed(1), True)
    (part,) = t.train.parts({"image": torch.tensor([7, 0, 11, 3, 3]), **draws}, 5)
    assert part["label"].tolist() == [1, 0, 2, 0, 0]
    for place, number in enumerate([7, 0, 11, 3, 3]):
        image = t.train.images.pixels(number)
        (how,) = task.crops(
            torch.tensor([image.shape[:2]]), {name: v[place : place + 1] for name, v in draws.items()}, dataset
        ).tolist()
        assert torch.equal(part["pixels"][place], crop(image, how, (224, 224), part["pixels"].dtype))


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """As with `ulimit -n 256`."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_descriptors")
def test_more_chunks_than_a_process_may_have_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random order of the images touches every chunk in the first epoch; full ImageNet has 2,601."""
    monkeypatch.setattr(chunks, "COUNT", 1)
    files = folder(tmp_path / "imagenet", each=100, longest=48)
    stored = datasets.prepare("imagenet", files, tmp_path / "cache", form=Form("array", short_side=32))
    assert len(stored.train.chunks) == 306
    seen = [stored.train.pixels(number) for number in range(len(stored.train))]
    assert len(seen) == 300
    assert {min(pixels.shape[:2]) for pixels in seen} == {32}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_decoding_starts_one_thread_for_each_core_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    monkeypatch.setattr(chunks, "COUNT", 4)
    files = folder(tmp_path / "imagenet", each=20, longest=400)
    torch.set_num_threads(6)
    torch.randn(512, 512) @ torch.randn(512, 512)  # this thread's own team
    before, most, over = len(os.listdir("/proc/self/task")), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.001):
            most[0] = max(most[0], len(os.listdir("/proc/self/task")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        datasets.prepare("imagenet", files, tmp_path / "cache", form=Form("array", short_side=64))
    finally:
        over.set()
        watcher.join()
    assert most[0] <= before + 2 * 6 + 1  # were each thread a team of six, there would be 36
    assert torch.get_num_threads() == 6


@pytest.mark.parametrize(("cpus", "said", "expected"), [(None, "1", 1), (2, "1", 2), (None, "3,2", 3), (None, "", 4)])
def test_as_many_threads_make_parts_as_a_trial_has_cores(
    cpus: int | None, said: str, expected: int, root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)))
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    t = prepare(trial("jig", root), CPU, root, cache, cpus=cpus)
    drawn = tasks.get("jig").draw(12, datasets.get("imagenet"), torch.Generator(), True)
    before, own = threading.active_count(), torch.get_num_threads()
    parts = t.train.prefetch(slices({"image": torch.arange(12), **drawn}, 1))
    next(parts)
    assert threading.active_count() == before + expected
    parts.close()
    assert torch.get_num_threads() == own


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("mode", ["array", "exact"])
@pytest.mark.parametrize("task", ["cls", "rot", "jig", "col"])
def test_graphs_are_fed_photographs_over_several_epochs(task: str, mode: str, root: Path, cache: Path) -> None:
    """Parts made by threads, pinned and copied on a stream of their own: the numbers of eager steps on the CPU."""
    found = []
    for device, record in ((CPU, None), (torch.device("cuda"), Graphs())):
        t = prepare(trial(task, root, mode), device, root, cache, record)
        found.append([float(v) for epoch in range(3) for v in (train_epoch(t, epoch), *evaluate(t))])
    assert t.step_mode == "graph"
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-3)
    assert found[1][3::3] == pytest.approx(found[0][3::3], rel=0.05)
