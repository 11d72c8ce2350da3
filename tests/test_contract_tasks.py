"""The contract of tasks on every dataset; a new file in either folder is tested automatically.

The promises that hold for tasks of other packages too are `workers.contracts`; here are those of our own beside them.
"""

from itertools import product

import pytest
import torch
from torch import Tensor

from workers import contracts, datasets, tasks
from workers.contracts.task import Trunk
from workers.datasets import Dataset
from workers.tasks import Task

CHECKS = [
    pytest.param(check, id=f"{name}-{check}")
    for name in tasks.names()
    for check in contracts.checks("task", tasks.get(name))
]
# Tasks see of a dataset its size and its kind: one of each stands for the others.
KINDS = {
    (d.size, d.large is None, bool(d.large and d.large.maps), d.classes > 0): d.name
    for d in map(datasets.get, reversed(datasets.names()))
}
CELLS = [
    c
    for c in product(tasks.names(), sorted(KINDS.values()))
    if not tasks.get(c[0]).unsupported_reason(datasets.get(c[1]))
]
cells = pytest.mark.parametrize(("task", "dataset"), CELLS, ids=["-".join(cell) for cell in CELLS], indirect=True)
SMALL = [cell for cell in CELLS if datasets.get(cell[1]).size <= (200 if tasks.get(cell[0]).dense else 64)]
small_cells = pytest.mark.parametrize(("task", "dataset"), SMALL, ids=["-".join(cell) for cell in SMALL], indirect=True)
B = 6


@pytest.fixture
def task(request: pytest.FixtureRequest) -> Task:
    return tasks.get(request.param)


@pytest.fixture
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return datasets.get(request.param)


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: contracts.Check) -> None:
    check()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(task: Task, dataset: Dataset, n: int = B) -> tuple[Tensor, Tensor]:
    side = task.side(dataset)
    images = torch.randint(256, (n, side, side, 3), generator=generator(1), dtype=torch.uint8)
    if not task.dense:
        return images, torch.randint(max(1, dataset.classes), (n,), generator=generator(2))
    maps = torch.randint(task.classes(dataset), (n, side, side), generator=generator(2), dtype=torch.uint8)
    maps[:, : side // 3] = datasets.IGNORED
    return images, maps


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"'depth'.*cls.*rot"):
        tasks.get("depth")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@cells
def test_a_gpu_makes_the_same_batch(task: Task, dataset: Dataset) -> None:
    images, labels = pictures(task, dataset)
    draws = task.draw(B, dataset, generator(), True)
    here = task.batch(images, labels, draws, dataset)
    there = task.batch(images.cuda(), labels.cuda(), {k: d.cuda() for k, d in draws.items()}, dataset)
    torch.testing.assert_close(there[0].cpu(), here[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(there[1].cpu(), here[1])


@small_cells
def test_a_batch_made_for_evaluation_leaves_training_possible(task: Task, dataset: Dataset) -> None:
    images, labels = pictures(task, dataset)
    draws = task.draw(B, dataset, generator(), True)
    net = task.network(Trunk(task.in_channels), dataset)
    with torch.inference_mode():
        task.batch(images, labels, draws, dataset)
    inputs, targets = task.batch(images, labels, draws, dataset)
    loss = task.loss(net(inputs), targets)
    loss.backward()
    assert loss.shape == ()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@small_cells
def test_correct_counts_targets(task: Task, dataset: Dataset) -> None:
    images, labels = pictures(task, dataset)
    inputs, targets = task.batch(images, labels, task.draw(B, dataset, generator(), True), dataset)
    out = task.network(Trunk(task.in_channels), dataset)(inputs)
    assert out.shape == (len(targets), task.classes(dataset), *targets.shape[1:])
    if task.tally(dataset):
        pytest.skip("counts more than targets met: tests/workers/test_seg.py")
    right = torch.zeros_like(out).scatter_(1, targets[:, None], 1.0)
    assert task.correct(right, targets).item() == targets.numel()
    assert task.score(task.correct(right, targets), targets.numel()) == 1
    wrong = (targets + 1) % task.classes(dataset)
    wrong.view(-1)[0] = targets.view(-1)[0]
    assert task.correct(right, wrong).item() == 1
    assert task.correct(right, wrong).dtype == torch.int64
    assert task.loss(right * 100, targets) < task.loss(right * 100, wrong)


@cells
def test_images_of_another_size_are_refused_by_naming_the_right_one(task: Task, dataset: Dataset) -> None:
    images, labels = pictures(task, dataset)
    draws = task.draw(B, dataset, generator(), False)
    with pytest.raises(ValueError, match=rf"\(B, {task.side(dataset)}"):
        task.batch(images[:, 1:, 1:], labels, draws, dataset)
    with pytest.raises(ValueError, match="uint8"):
        task.batch(images.double(), labels, draws, dataset)
    if dataset.large is None:
        with pytest.raises(ValueError, match="uint8"):
            task.batch(images.float(), labels, draws, dataset)
        with pytest.raises(ValueError, match=r"one image size"):
            task.crops(torch.full((2, 2), 40), draws, dataset)
