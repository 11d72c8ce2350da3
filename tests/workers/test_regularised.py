"""Drop path, auxiliary heads, cutout, label smoothing and clipping: what they do to a step, and that runs resume."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import workers
from tests.workers.prepared import prepare
from tests.workers.replayed import tape
from workers import datasets
from workers.cuda_graphs import Recorder
from workers.data.loader import Resident
from workers.training.epoch import learning_rate, train_epoch
from workers.training.regularised import DROPS, KEEP, dropping
from workers.training.setup import sgd
from workers.training.steps import Training

CPU = torch.device("cpu")
SKIPS = "sk.0+sk.1_sk.0+s3.1_sk.1+mp.2_s3.2+d5.3:sk.0+sk.1_sk.0+s3.1_sk.1+mp.2_s3.2+d5.3"
OTHER = "s3.0+s3.1_s3.0+s3.1_ap.1+mp.2_s3.2+d5.3:s3.0+sk.1_sk.0+s3.1_sk.1+mp.2_s3.2+d5.3"
ALL: dict[str, Any] = {"aux": 0.4, "drop_path": 0.3, "cutout": 16, "smoothing": 0.1, "warmup": 1, "clip": 5.0}
ALL |= {"schedule": "linear", "decayed": "kernels", "dropout": 0.2}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def trial(arch: str = SKIPS, task: str = "cls", seed: int = 1, **changes: Any) -> workers.Trial:
    """A tiny network on drawn images, without any regularisation unless asked for."""
    off = {"aux": 0, "drop_path": 0, "cutout": 0, "clip": 0}
    sizes = {"epochs": 4, "width": 2, "depth": 3, "batch": 8, "test_batch": 75}
    r = workers.recipe("darts_retrain", space="darts", dataset="scenes", task=task)
    return workers.Trial(
        space="darts",
        arch=arch,
        dataset="scenes",
        dataset_id=datasets.get("scenes").published_id,
        task=task,
        seed=seed,
        recipe=r.replace(**{**off, **sizes, **changes}),
    )


def training(t: workers.Trial, cache: Path, record: Recorder | None = None, images: int = 24) -> Training:
    whole = prepare(t, CPU, None, cache, record)
    return replace(whole, train=Resident(whole.train.pixels[:images], whole.train.labels[:images]))


class Double(Training):
    """A training in float64."""

    def batch(self, split: Any, part: Any) -> tuple[Tensor, Tensor]:
        inputs, targets = super().batch(split, part)
        return inputs.double(), targets


def in_double(t: workers.Trial, cache: Path) -> Double:
    one = training(t, cache)
    net = one.net.double()
    return Double(one.trial, net, sgd(net, t.recipe), one.train, one.test, CPU)


def test_the_auxiliary_loss_adds_its_gradient(cache: Path) -> None:
    """In float64, against the two losses written out; momentum 0 and rate 1 leave the gradient in the weights."""
    still = {"momentum": 0.0, "weight_decay": 0.0, "lr": 1.0}
    t = in_double(trial(aux=0.4, **still), cache)
    part = next(t.parts("train", 0, 1))
    before = [p.detach().clone() for p in t.net.parameters()]
    seen: list[Tensor] = []
    t.net.train()
    t.net.trunk.cells[2].register_forward_hook(lambda cell, inputs, out: seen.append(out))
    inputs, targets = t.batch(t.train, part)
    main = F.cross_entropy(t.net(inputs), targets)
    pooled = F.avg_pool2d(F.relu(seen[0]), 5, 3)  # the last of three cells is that at 2/3 of the depth
    head = t.net.auxiliary
    hidden = F.relu(head.second(F.relu(head.first(pooled))))
    assert hidden.shape[2:] == (1, 1)
    both = main + 0.4 * F.cross_entropy(head.scores(hidden.flatten(1)), targets)
    wanted = torch.autograd.grad(both, list(t.net.parameters()))
    fresh = in_double(trial(aux=0.4, **still), cache)
    fresh.net.train()
    fresh.learning.over(iter([part]))
    assert fresh.learning.sums[0].item() == pytest.approx(both.item(), rel=1e-12)
    for old, new, gradient in zip(before, fresh.net.parameters(), wanted, strict=True):
        torch.testing.assert_close(old - new, gradient, rtol=1e-9, atol=1e-12)


def test_the_auxiliary_head_takes_no_part_in_evaluations_and_in_kept_weights(cache: Path) -> None:
    with_head, without = (prepare(trial(aux=aux), CPU, None, cache) for aux in (0.4, 0.0))
    for t in (with_head, without):
        t.net.eval()
    inputs = torch.randn(2, 3, 32, 32)
    assert torch.equal(with_head.net(inputs), without.net(inputs))
    assert with_head.net.trunk.tapped is None
    run = workers.methods.train.TrainRun(with_head)
    assert run.weights()["net"].keys() == without.net.state_dict().keys()
    assert workers.cost(with_head.trial) == workers.cost(without.trial)


@pytest.mark.parametrize(("task", "elements"), [("cls", 1), ("rot", 4), ("jig", 4)])
def test_drops_have_the_probability_of_their_epoch_and_streams_of_their_own(
    task: str, elements: int, cache: Path
) -> None:
    def drawn(epoch: int, **changes: Any) -> tuple[Tensor, Tensor]:
        t = prepare(trial(task=task, **changes), CPU, None, cache)
        part = next(t.parts("train", epoch, 1))
        return part[DROPS], part[KEEP]

    kept, keep = drawn(3, drop_path=0.4, batch=600)
    assert kept.shape == (600, elements, 3, 8)
    assert keep.unique().tolist() == pytest.approx([1 - 0.4 * 3 / 4])
    assert kept.double().mean().item() == pytest.approx(0.7, abs=4 * (0.21 / kept.numel()) ** 0.5)
    assert drawn(0, drop_path=0.4)[0].all()
    same = drawn(3, drop_path=0.4, batch=600, arch=OTHER, width=4)[0]
    assert torch.equal(kept, same)
    assert not torch.equal(kept, drawn(3, drop_path=0.4, batch=600, seed=2)[0])
    assert not torch.equal(kept, drawn(2, drop_path=0.4, batch=600)[0])


def pixels(t: Training) -> Iterator[Tensor]:
    """The images of three batches."""
    return (inputs for inputs, _ in t.batches("train", 1, 3))


def test_regularisation_leaves_batches_as_they_are(cache: Path) -> None:
    plain, drops = (training(trial(**changes), cache) for changes in ({}, {"drop_path": 0.3, "aux": 0.4}))
    holes = training(trial(cutout=16), cache)
    for (a, b), (c, d), (e, f) in zip(*(t.batches("train", 1, 3) for t in (plain, drops, holes)), strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
        assert torch.equal(b, f)
        assert not torch.equal(a, e)
    for part, a, e in zip(holes.parts("train", 1, 3), *(pixels(t) for t in (plain, holes)), strict=True):
        for (row, column), whole, cut in zip(part["hole"].tolist(), a, e, strict=True):
            wanted = whole.clone()  # as in the release: a square around the middle, as far as it is in the image
            wanted[:, max(row - 8, 0) : row + 8, max(column - 8, 0) : column + 8] = 0
            assert torch.equal(cut, wanted)


def test_a_dropped_operation_adds_nothing_and_a_kept_one_is_scaled(cache: Path) -> None:
    """Node 2 is the sum of two identities, which are never dropped; node 4 that of an identity and a pooling."""
    t = prepare(trial(drop_path=0.5), CPU, None, cache)
    cell, (before_last, last) = t.net.trunk.cells[0], torch.randn(2, 3, 6, 8, 8)
    t.net.eval()  # in training mode the samples of a batch would depend on each other
    outs = []
    for drops in (None, torch.tensor([1.0, 0.0, 2.0])[:, None].expand(3, 8)):
        cell.drops = drops
        outs.append(cell(before_last, last).unflatten(1, (4, -1)))
    plain, dropped = outs
    identity = cell.last(last)
    assert torch.equal(dropped[0], plain[0])
    assert torch.equal(dropped[:, 0], plain[:, 0])
    assert torch.equal(dropped[1, 2], identity[1])
    torch.testing.assert_close(dropped[2, 2], identity[2] + 2 * (plain[2, 2] - identity[2]))
    assert not dropped[1, 3].any()  # two convolutions
    assert plain[1, 3].any()


def test_drops_are_of_training_passes_only(cache: Path) -> None:
    t = prepare(trial(drop_path=0.5), CPU, None, cache)
    part = next(t.parts("train", 3, 1))
    inputs, _ = t.batch(t.train, part)
    with torch.no_grad():
        t.net.eval()
        plain = t.net(inputs)
        with dropping(t.net, part):
            assert torch.equal(t.net(inputs), plain)
            t.net.train()
            dropped = t.net(inputs)
        assert not torch.equal(t.net(inputs), dropped)


def test_dropout_drops_every_feature_alike_and_keeps_the_mean(cache: Path) -> None:
    """Against the classifier by hand, and by the counts of dropped features."""
    t = prepare(trial(dropout=0.25, batch=300), CPU, None, cache)
    part = next(t.parts("train", 1, 1))
    inputs, _ = t.batch(t.train, part)
    features: list[Tensor] = []
    t.net.train()
    t.net.head.register_forward_pre_hook(lambda head, given: features.append(given[0]))
    with torch.no_grad():
        whole = t.net(inputs)
        with dropping(t.net, part):
            scores = t.net(inputs)
    plain, dropped = features
    kept = dropped != 0
    torch.testing.assert_close(dropped, torch.where(kept, plain / 0.75, 0))
    assert torch.equal(scores, t.net.head(dropped))
    assert not torch.equal(scores, whole)
    n, channels = kept.shape
    assert kept.double().mean().item() == pytest.approx(0.75, abs=4 * (0.1875 / kept.numel()) ** 0.5)
    spread = 5 * (0.1875 / n) ** 0.5
    assert kept.double().mean(0).sub(0.75).abs().max().item() < spread
    neighbours = (kept[:, 1:] & kept[:, :-1]).double().mean().item(), (kept[1:] & kept[:-1]).double().mean().item()
    assert neighbours == pytest.approx((0.5625, 0.5625), abs=5 / (n * channels) ** 0.5)


def test_dropped_features_depend_on_image_and_epoch_and_not_on_the_batch(cache: Path) -> None:
    def dropped(epoch: int, rows: slice = slice(None), **changes: Any) -> Tensor:
        t = prepare(trial(dropout=0.5, batch=30, **changes), CPU, None, cache)
        part = next(t.parts("train", epoch, 1))
        t.net.train()
        t.net.trunk.forward = lambda images: torch.ones(len(images), t.net.head.in_features, 2, 2)
        found: list[Tensor] = []
        t.net.head.register_forward_pre_hook(lambda head, given: found.append(given[0]))
        with dropping(t.net, {name: values[rows] for name, values in part.items()}):
            t.net(torch.zeros(30, 3, 32, 32)[rows])
        return found[0] == 0

    first = dropped(0)
    assert torch.equal(dropped(0, arch=OTHER), first)
    assert torch.equal(dropped(0, rows=slice(7, 9)), first[7:9])
    assert not torch.equal(dropped(1), first)
    assert not torch.equal(dropped(0, seed=2), first)


def test_dropout_is_of_training_passes_only(cache: Path) -> None:
    with_dropout, without = (prepare(trial(dropout=p), CPU, None, cache) for p in (0.5, 0.0))
    part = next(with_dropout.parts("train", 0, 1))
    inputs, _ = with_dropout.batch(with_dropout.train, part)
    for t in (with_dropout, without):
        t.net.eval()
    with torch.no_grad(), dropping(with_dropout.net, part):
        assert torch.equal(with_dropout.net(inputs), without.net(inputs))


def test_rates_fall_after_every_step_or_every_epoch_and_decay_is_by_kind(cache: Path) -> None:
    t = training(trial(schedule="linear", lr=0.4, decayed="kernels_and_classifier", weight_decay=0.1), cache)
    rates: list[float] = []
    for epoch in (0, 3):
        train_epoch(t, epoch, between=lambda: rates.append(t.optimizer.param_groups[0]["lr"]))
    # Three steps an epoch of four; the rate that is seen is that of the next step.
    assert rates == pytest.approx([0.4 * (1 - k / 12) for k in (1, 2, 3, 10, 11, 12)])
    tail = trial(schedule="linear_tail", epochs=25, lr=1.0).recipe
    found = [learning_rate(tail, epoch) for epoch in range(25)]
    assert found[:20] == pytest.approx([1 - k / 20 for k in range(20)])
    assert found[20:] == pytest.approx([0.05, 0.04, 0.03, 0.02, 0.01])
    assert learning_rate(tail.replace(epochs=2), 1) == 0.5
    decays = {id(w): group["weight_decay"] for group in t.optimizer.param_groups for w in group["params"]}
    decayed = {name for name, w in t.net.named_parameters() if decays[id(w)]}
    kernels = {name for name, w in t.net.named_parameters() if w.dim() == 4}
    assert decayed == kernels | {"head.weight", "head.bias"}
    assert len(decays) == len(list(t.net.parameters())) > len(decayed)


def test_label_smoothing_is_that_of_torch_and_in_the_recipe_that_of_the_release() -> None:
    out, target = torch.randn(6, 1000, dtype=torch.float64), torch.randint(1000, (6,))
    task = trial(smoothing=0.1).configured_task
    assert task.loss(out, target) == F.cross_entropy(out, target, label_smoothing=0.1)
    r = workers.recipe("unnas_eval", space="darts", dataset="imagenet", task="cls")
    wanted = torch.full_like(out, 0.1 / 999).scatter_(1, target[:, None], 0.9)
    by_hand = -(wanted * out.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(workers.tasks.get("cls").configured(r).loss(out, target), by_hand)


def test_the_gradient_of_a_step_is_no_longer_than_its_limit(cache: Path) -> None:
    t = training(trial(clip=0.01, momentum=0.0, weight_decay=0.0, lr=1.0, aux=0.4), cache)
    before = [p.detach().clone() for p in t.net.parameters()]
    t.net.train()
    t.learning.over(t.parts("train", 0, 1))
    moved = [(a - b).flatten() for a, b in zip(before, t.net.parameters(), strict=True)]
    assert torch.cat(moved).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_replayed_steps_get_new_drops_and_rates(cache: Path) -> None:
    eager, replayed = (training(trial(**ALL), cache, record) for record in (None, tape))
    for epoch in range(3):
        assert float(train_epoch(replayed, epoch)) == pytest.approx(float(train_epoch(eager, epoch)), rel=1e-5)
    assert replayed.learning.work.mode == "graph"
    for a, b in zip(eager.net.state_dict().values(), replayed.net.state_dict().values(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


def test_a_training_with_all_settings_stopped_anywhere_ends_in_the_same_row(
    pictures: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)
    own, dataset_id = datasets.describe("pictures", datasets.Source(kind="parquet", size=32), pictures, cache)
    t = trial(**ALL | {"epochs": 2, "batch": 32, "test_batch": 8})
    t = t.model_copy(update={"dataset": "pictures", "own": own, "dataset_id": dataset_id})
    whole = workers.run(t, pictures, cache_dir=cache)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked % 5 == 0

    row: dict[str, Any] | None = None
    while row is None:
        try:
            row = workers.run(t, pictures, cache_dir=cache, checkpoint_url=str(tmp_path / "state"), stop=stop)
        except workers.Interrupted:
            assert asked < 100
    assert asked > 5
    science = ("curve_train_loss", "curve_test_score", "score_best", "score_final", "params", "macs", "recipe_id")
    assert {name: row[name] for name in science} == {name: whole[name] for name in science}
