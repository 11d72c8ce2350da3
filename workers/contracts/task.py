"""The contract of tasks, checked on all datasets that a task supports.

Shapes: n images of a draw, B images of a batch, K classes.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from spaces import Cost
from workers import datasets
from workers.contracts._check import Check, expect
from workers.datasets import IGNORED, Dataset
from workers.tasks import Task

_B = 6
Promise = Callable[[Task, Dataset], None]


def task_checks(task: Task) -> list[Check]:
    """The checks of a task on one dataset of each kind (size, one or many image sizes, labels of images or pixels)."""
    kinds = {
        (d.size, d.large is None, bool(d.large and d.large.maps), d.classes > 0): d
        for d in map(datasets.get, reversed(datasets.registry().own()))
    }
    return [
        Check(f"{promise} ({dataset.name})", lambda verify=verify, d=dataset: verify(task, d))  # type: ignore[misc]
        for dataset in sorted(kinds.values(), key=lambda d: d.name)
        if task.unsupported_reason(dataset) is None
        for promise, verify in _promises(task, dataset)
    ]


def _promises(task: Task, dataset: Dataset) -> list[tuple[str, Promise]]:
    every: list[tuple[str, Promise]] = [
        ("equal generators give equal draws", _draws),
        ("every training image has one label, by the generator alone", _labels),
        ("batches have the shapes that networks are built for", _shapes),
        ("the result for an image does not depend on other images of the batch", _neighbours),
        ("making a batch does not synchronise with the device", _no_synchronisation),
        ("the cost is that of the network", _cost),
        ("images of another size are rejected", _size),
    ]
    if dataset.large is not None:
        every.append(("crops lie within their images", _crops))
    if dataset.size <= (200 if task.dense else 64):
        every.append(("`training_loss` and `judge` agree with the outputs", _loss))
    return every


class Trunk(nn.Module):
    """A stand-in for a space's trunk: one strided convolution with norm and ReLU."""

    out_channels = 5

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, self.out_channels, 3, stride=4, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(self.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 5, H / 4, W / 4)."""
        features: Tensor = self.norm(self.conv(x)).relu()
        return features


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(task: Task, dataset: Dataset, n: int = _B) -> tuple[Tensor, Tensor]:
    """Random images, with labels or label maps."""
    side = task.side(dataset)
    images = torch.randint(256, (n, side, side, 3), generator=_generator(1), dtype=torch.uint8)
    if not task.dense:
        return images, torch.randint(max(1, dataset.classes), (n,), generator=_generator(2))
    maps = torch.randint(task.classes(dataset), (n, side, side), generator=_generator(2), dtype=torch.uint8)
    maps[:, : side // 3] = IGNORED
    return images, maps


def _batch(task: Task, dataset: Dataset, n: int = _B, train: bool = True) -> tuple[Tensor, Tensor]:
    images, labels = _images(task, dataset, n)
    return task.batch(images, labels, task.draw(n, dataset, _generator(), train), dataset)


def _part(draws: dict[str, Tensor], which: slice) -> dict[str, Tensor]:
    return {name: drawn[which] for name, drawn in draws.items()}


def _draws(task: Task, dataset: Dataset) -> None:
    for train in (True, False):
        once, again, other = (task.draw(100, dataset, _generator(s), train) for s in (3, 3, 4))
        for name, drawn in once.items():
            expect(torch.equal(drawn, again[name]), f"draws {name!r} differ for equal generators")
            expect(not torch.equal(drawn, other[name]), f"draws {name!r} are the same for different generators")
            expect(len(drawn) == 100, f"draws {name!r} for 100 images have shape {tuple(drawn.shape)}")
            expect(drawn.device.type == "cpu", f"draws {name!r} are on {drawn.device}; expected the CPU")
        size = sum(d.numel() * d.element_size() for d in once.values())
        most = 100 * task.side(dataset) ** 2 * 3 // 64
        expect(
            size <= most,
            f"draws of 100 images take {size} bytes; expected at most {most}, as an epoch is drawn at once",
        )


def _labels(task: Task, dataset: Dataset) -> None:
    expect(task.scored_on in ("test", "train"), f"scored_on is {task.scored_on!r}; expected 'test' or 'train'")
    if task.dense:
        return
    given = torch.arange(60) % max(1, dataset.classes)
    before = given.clone()
    once, again = (task.labels(given, dataset, _generator(3)) for _ in range(2))
    expect(torch.equal(given, before), "`labels` changed the labels that it was given")
    expect(torch.equal(once, again), "`labels` differ for equal generators")
    expect(
        once.dtype == torch.int64 and once.shape == given.shape and once.device.type == "cpu",
        f"`labels` of 60 images are {once.dtype} {tuple(once.shape)} on {once.device}; expected torch.int64 (60,) on "
        "the CPU",
    )


def _shapes(task: Task, dataset: Dataset) -> None:
    images, labels = _images(task, dataset)
    for train in (True, False):
        before = images.clone()
        inputs, targets = task.batch(images, labels, task.draw(_B, dataset, _generator(), train), dataset)
        expect(torch.equal(images, before), "`batch` changed the images that it was given")
        element, classes = tuple(task.element(dataset)), task.classes(dataset)
        expect(
            tuple(inputs.shape[1:]) == element and inputs.dtype == torch.float32 and inputs.is_contiguous(),
            f"inputs are {inputs.dtype} {tuple(inputs.shape)}; expected contiguous torch.float32 (.., {element})",
        )
        expect(bool(inputs.isfinite().all()), "inputs are not finite")
        expect(
            len(inputs) == len(targets) == _B * task.views,
            f"{_B} images became {len(inputs)} inputs and {len(targets)} targets; expected {_B * task.views} of each",
        )
        counted = targets[targets != IGNORED] if task.dense else targets
        expect(
            targets.dtype == torch.int64 and int(counted.min()) >= 0 and int(counted.max()) < classes,
            f"targets are {targets.dtype} from {int(counted.min())} to {int(counted.max())}; expected torch.int64 from "
            f"0 to {classes - 1}",
        )


def _neighbours(task: Task, dataset: Dataset) -> None:
    images, labels = _images(task, dataset)
    for train in (True, False):
        draws = task.draw(_B, dataset, _generator(), train)
        inputs, targets = task.batch(images, labels, draws, dataset)
        each = len(inputs) // _B
        for which in (slice(0, 1), slice(1, 4), slice(4, 6)):
            alone, wanted = task.batch(images[which], labels[which], _part(draws, which), dataset)
            rows = slice(which.start * each, which.stop * each)
            same = torch.equal(alone, inputs[rows]) and torch.equal(wanted, targets[rows])
            expect(same, f"images {which.start} to {which.stop - 1} give different results beside other images")


def _no_synchronisation(task: Task, dataset: Dataset) -> None:
    """Tensors on the meta device have no values: reading one, or mixing devices, raises an error."""
    for train in (True, False):
        images, labels = (t.to("meta") for t in _images(task, dataset))
        draws = {name: d.to("meta") for name, d in task.draw(_B, dataset, _generator(), train).items()}
        inputs, targets = task.batch(images, labels, draws, dataset)
        expect(
            inputs.device.type == targets.device.type == "meta",
            f"inputs are on {inputs.device}, targets on {targets.device}; expected the device of the images",
        )


def _cost(task: Task, dataset: Dataset) -> None:
    element = task.element(dataset)
    with torch.device("meta"):
        trunk = Trunk(task.in_channels)
        net = task.network(trunk, dataset).eval()
        one = torch.empty(element[-3:])[None]
    params, macs = sum(p.numel() for p in trunk.parameters()), multiply_adds(trunk, one)
    stated = task.cost(Cost(params, macs, trunk.out_channels, trunk(one).shape[-1]), dataset)
    built = sum(p.numel() for p in net.parameters()), multiply_adds(net, torch.empty(element, device="meta")[None])
    expect(stated == built, f"cost is {stated} parameters and multiply-adds; the network has {built}")


def _size(task: Task, dataset: Dataset) -> None:
    images, labels = _images(task, dataset)
    draws = task.draw(_B, dataset, _generator(), False)
    for wrong in (images[:, 1:, 1:], images.double()):
        try:
            task.batch(wrong, labels, draws, dataset)
        except ValueError:
            continue
        expect(False, f"images {tuple(wrong.shape)} of {wrong.dtype} were accepted; expected a ValueError")


def _crops(task: Task, dataset: Dataset) -> None:
    sizes = torch.randint(1, 700, (200, 2), generator=_generator(5))
    for train in (True, False):
        draws = task.draw(200, dataset, _generator(), train)
        crops = task.crops(sizes, draws, dataset)
        corner, box, resized, square = crops[:, :2], crops[:, 2:4], crops[:, 4:6], crops[:, 6:]
        expect(crops.dtype == torch.int64, f"crops are {crops.dtype}; expected torch.int64")
        inside = bool(
            (corner >= 0).all() and (box >= 1).all() and (corner + box <= sizes).all() and (square >= 0).all()
        )
        expect(inside, "crop boxes lie outside their images")
        if task.dense and not train:
            whole = torch.equal(crops, torch.cat([corner, sizes, sizes, corner], 1))
            expect(whole, "a test image of a dense task is cropped; expected the whole image")
        else:
            expect(bool((square + task.side(dataset) <= resized).all()), "the square lies outside the resized box")
        for which in (slice(0, 1), slice(1, 200)):
            same = torch.equal(task.crops(sizes[which], _part(draws, which), dataset), crops[which])
            expect(same, "the crop of an image depends on its neighbours")


def _loss(task: Task, dataset: Dataset) -> None:
    """Loss, gradients (float64) and counts of `training_loss` and `judge` equal those computed from `net(x)`."""
    inputs, targets = _batch(task, dataset, 16)
    torch.manual_seed(0)
    net = task.network(Trunk(task.in_channels), dataset).double()
    inputs = inputs.double()
    plain, weights = task.loss(net(inputs), targets), list(net.parameters())
    expect(plain.shape == () and bool(plain.isfinite()), f"the loss is {plain}; expected one finite number")
    expected = torch.autograd.grad(plain, weights)
    loss = task.training_loss(net, inputs, targets)
    torch.testing.assert_close(loss.double(), plain, rtol=1e-6, atol=1e-6)
    for got, wanted in zip(torch.autograd.grad(loss, weights), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
    net.eval()
    with torch.no_grad():
        counted, total = task.judge(net, inputs, targets)
        expect(
            torch.equal(counted, task.correct(net(inputs), targets)),
            "the counts of `judge` differ from `correct` of the outputs",
        )
        expect(
            counted.dtype == torch.int64 and tuple(counted.shape) == tuple(task.tally(dataset)),
            f"`judge` counts {counted.dtype} {tuple(counted.shape)}; expected torch.int64 {task.tally(dataset)}",
        )
        expect(bool(total.isfinite()), "the sum of all outputs is not finite")
        score = task.score(counted, targets.numel())
        expect(0 <= score <= 1, f"the score is {score}; expected 0 to 1")
        chance = task.chance(torch.ones(task.classes(dataset), dtype=torch.int64))
        expect(chance is None or 0 <= chance <= 1, f"the score of guessing is {chance}; expected 0 to 1, or None")
        next(net.parameters()).view(-1)[0] = torch.nan
        unseen = bool(task.judge(net, inputs, targets)[1].isfinite())
        expect(not unseen, "`judge` does not notice outputs that are not finite")


def multiply_adds(net: nn.Module, inputs: Tensor) -> int:
    """Multiply-adds of the convolutions and linear layers in a forward pass."""
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
