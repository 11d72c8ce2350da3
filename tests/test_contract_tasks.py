"""What every task promises on every dataset: a new file in either folder is tested as it arrives."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from spaces import Cost
from workers import datasets, tasks
from workers.datasets import IGNORED, Dataset
from workers.tasks import Task

# Tasks see of a dataset its size and its kind: one of each stands for the others.
KINDS = {
    (d.size, d.varied is None, bool(d.varied and d.varied.maps), d.classes > 0): d.name
    for d in map(datasets.get, reversed(datasets.names()))
}
CELLS = [c for c in product(tasks.names(), sorted(KINDS.values())) if not tasks.get(c[0]).objection(datasets.get(c[1]))]
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


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Trunk(nn.Module):
    """A stand-in for a space's trunk: one strided convolution with norm and ReLU."""

    out_channels = 5

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, self.out_channels, 3, stride=4, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(self.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(task: Task, dataset: Dataset, n: int = B) -> tuple[Tensor, Tensor]:
    side = task.side(dataset)
    images = torch.randint(256, (n, side, side, 3), generator=generator(1), dtype=torch.uint8)
    if not task.dense:
        return images, torch.randint(max(1, dataset.classes), (n,), generator=generator(2))
    maps = torch.randint(task.classes(dataset), (n, side, side), generator=generator(2), dtype=torch.uint8)
    maps[:, : side // 3] = IGNORED
    return images, maps


def in_question(targets: Tensor) -> Tensor:
    """The targets that count."""
    return targets[targets != IGNORED] if targets.dim() == 3 else targets


def part(draws: dict[str, Tensor], which: slice) -> dict[str, Tensor]:
    return {name: drawn[which] for name, drawn in draws.items()}


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"'depth'.*cls.*rot"):
        tasks.get("depth")


@cells
@pytest.mark.parametrize("train", [True, False])
def test_draws_follow_from_the_generator(task: Task, dataset: Dataset, train: bool) -> None:
    once, again, other = (task.draw(100, dataset, generator(s), train) for s in (3, 3, 4))
    assert once.keys() == again.keys()
    for name in once:
        assert torch.equal(once[name], again[name])
        assert not torch.equal(once[name], other[name])
        assert len(once[name]) == 100
        assert once[name].device.type == "cpu"
    # The draws of an epoch are made at once: they must stay small beside the images themselves.
    images = 100 * task.side(dataset) ** 2 * 3
    assert sum(d.numel() * d.element_size() for d in once.values()) <= images / 64


@cells
@pytest.mark.parametrize("train", [True, False])
def test_a_batch_has_the_shapes_that_networks_were_built_for(task: Task, dataset: Dataset, train: bool) -> None:
    images, labels = pictures(task, dataset)
    before = images.clone()
    inputs, targets = task.batch(images, labels, task.draw(B, dataset, generator(), train), dataset)
    assert inputs.shape[1:] == task.element(dataset)
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous()
    assert inputs.isfinite().all()
    assert len(inputs) == len(targets)
    assert targets.dtype == torch.int64
    assert in_question(targets).min() >= 0
    assert in_question(targets).max() < task.classes(dataset)
    assert torch.equal(images, before)


@cells
@pytest.mark.parametrize("train", [True, False])
def test_an_image_does_not_depend_on_its_neighbours(task: Task, dataset: Dataset, train: bool) -> None:
    images, labels = pictures(task, dataset)
    draws = task.draw(B, dataset, generator(), train)
    inputs, targets = task.batch(images, labels, draws, dataset)
    each = len(inputs) // B
    for which in (slice(0, 1), slice(1, 4), slice(4, 6)):
        alone, wanted = task.batch(images[which], labels[which], part(draws, which), dataset)
        expanded = slice(which.start * each, which.stop * each)
        assert torch.equal(alone, inputs[expanded])
        assert torch.equal(wanted, targets[expanded])


@cells
@pytest.mark.parametrize("train", [True, False])
def test_a_batch_reads_nothing_back_from_the_device(task: Task, dataset: Dataset, train: bool) -> None:
    # The meta device has no values: whatever asks for one, or mixes devices, fails.
    images, labels = (t.to("meta") for t in pictures(task, dataset))
    draws = {name: d.to("meta") for name, d in task.draw(B, dataset, generator(), train).items()}
    inputs, targets = task.batch(images, labels, draws, dataset)
    assert inputs.device.type == targets.device.type == "meta"


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
def test_cost_is_that_of_the_network(task: Task, dataset: Dataset) -> None:
    element = task.element(dataset)
    with torch.device("meta"):
        trunk = Trunk(task.in_channels)
        net = task.network(trunk, dataset).eval()
        one = torch.empty(element[-3:])[None]
    params = sum(p.numel() for p in trunk.parameters())
    size = trunk(one).shape[-1]
    cost = task.cost(Cost(params, count_macs(trunk, one), trunk.out_channels, size), dataset)
    assert cost[0] == sum(p.numel() for p in net.parameters())
    assert cost[1] == count_macs(net, torch.empty(element, device="meta")[None])


@cells
def test_images_of_another_size_are_refused(task: Task, dataset: Dataset) -> None:
    images, labels = pictures(task, dataset)
    draws = task.draw(B, dataset, generator(), False)
    with pytest.raises(ValueError, match=rf"right is \(B, {task.side(dataset)}"):
        task.batch(images[:, 1:, 1:], labels, draws, dataset)
    with pytest.raises(ValueError, match="uint8"):
        task.batch(images.double(), labels, draws, dataset)
    if dataset.varied is None:
        with pytest.raises(ValueError, match="uint8"):
            task.batch(images.float(), labels, draws, dataset)


@cells
@pytest.mark.parametrize("train", [True, False])
def test_every_cut_lies_within_its_image(task: Task, dataset: Dataset, train: bool) -> None:
    sizes = torch.randint(1, 700, (200, 2), generator=generator(5))
    draws = task.draw(200, dataset, generator(), train)
    if dataset.varied is None:
        with pytest.raises(ValueError, match="seen whole"):
            task.cuts(sizes, draws, dataset)
        return
    cuts = task.cuts(sizes, draws, dataset)
    corner, box, resized, square = cuts[:, :2], cuts[:, 2:4], cuts[:, 4:6], cuts[:, 6:]
    assert cuts.dtype == torch.int64
    assert corner.min() >= 0
    assert box.min() >= 1
    assert (corner + box <= sizes).all()
    assert square.min() >= 0
    if task.dense and not train:
        assert torch.equal(cuts, torch.cat([corner, sizes, sizes, corner], 1))
    else:
        assert (square + task.side(dataset) <= resized).all()
    for which in (slice(0, 1), slice(1, 200)):
        assert torch.equal(task.cuts(sizes[which], part(draws, which), dataset), cuts[which])


def count_macs(net: nn.Module, inputs: Tensor) -> int:
    """Multiply-adds of the convolutions and linear layers that a forward pass goes through."""
    total = 0

    def count(module: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += out.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += out.numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in net.modules()]
    net(inputs)
    for hook in hooks:
        hook.remove()
    return total


@small_cells
def test_the_loop_gets_the_loss_and_count_of_the_outputs(task: Task, dataset: Dataset) -> None:
    """`training_loss` and `judge` may go another way; loss, gradients (float64) and counts are those of `net(x)`."""
    images, labels = pictures(task, dataset, 16)
    inputs, targets = task.batch(images, labels, task.draw(16, dataset, generator(), True), dataset)
    inputs = inputs.double()
    net = task.network(Trunk(task.in_channels), dataset).double()
    plain = task.loss(net(inputs), targets)
    expected = torch.autograd.grad(plain, list(net.parameters()))
    loss = task.training_loss(net, inputs, targets)
    torch.testing.assert_close(loss.double(), plain, rtol=1e-6, atol=1e-6)
    # The trunk's bias-free norms leave gradients near zero: compare on the scale of the largest.
    for got, right in zip(torch.autograd.grad(loss, list(net.parameters())), expected, strict=True):
        torch.testing.assert_close(got, right, rtol=1e-9, atol=1e-9)
    net.eval()
    with torch.no_grad():
        met, total = task.judge(net, inputs, targets)
        assert torch.equal(met, task.correct(net(inputs), targets))
        assert met.shape == task.tally(dataset)
        assert met.dtype == torch.int64
        assert total.isfinite()
        next(net.parameters()).view(-1)[0] = torch.nan
        assert not task.judge(net, inputs, targets)[1].isfinite()
