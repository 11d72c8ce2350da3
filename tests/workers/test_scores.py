"""Proxies against naive float64 formulas on a tiny network, their invariances, and the batch that they are computed on.

The naive side has no autograd of the quantity itself: differences of losses, loops over inputs, units and channels.
"""

import gc
import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spaces
import workers
from tests.workers.test_memory import alive
from workers import scores
from workers.methods.score import batches
from workers.run import setting
from workers.scores import Subject
from workers.scores._patterns import kernel
from workers.streams import stream
from workers.training.setup import initial

CPU = torch.device("cpu")
B, CLASSES = 6, 3


class Trunk(nn.Module):
    """Two convolutions, a batch norm, two ReLUs: 40 weights in all with the head."""

    out_channels = 3

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(2)
        self.second = nn.Conv2d(2, 3, 1, bias=False)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.relu(self.second(torch.relu(self.norm(self.first(x)))))
        return features


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = Trunk(), nn.Linear(3, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.trunk(x).mean(dim=(2, 3)))
        return scores


@lru_cache
def photos() -> str:
    return workers.datasets.get("photos").published_id


def trial(proxy: str = "snip", task: str = "cls", arch: str = "c3", space: str = "chain", **more: Any) -> workers.Trial:
    """A trial on `photos` with a network of width 4; `more`: a seed, or settings of the recipe."""
    recipe = workers.recipe(f"zero_cost/{proxy}", space=space, dataset="photos", task=task)
    seed = more.pop("seed", 1)
    recipe = recipe.replace(**{"width": 4, "depth": 1, "batch": 8, **more})
    where = {"space": space, "arch": arch, "dataset": "photos", "task": task, "seed": seed}
    return workers.Trial(**where, recipe=recipe, dataset_id=photos())


def tiny(proxy: str, task: str = "cls") -> Subject:
    """The tiny network in float64, with six inputs of 5 x 5 pixels in three classes."""
    torch.manual_seed(5)
    net = Net().double()
    generator = torch.Generator().manual_seed(6)
    inputs = torch.randn(B, 1, 5, 5, generator=generator, dtype=torch.float64)
    return Subject(trial(proxy, task), CPU, net, inputs, torch.tensor([0, 1, 2, 0, 1, 0]))


def loss_of(s: Subject) -> float:
    """Cross-entropy by its definition."""
    out = s.net(s.inputs).detach().numpy()
    chances = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
    return float(-np.mean(np.log(chances[np.arange(B), s.targets.numpy()])))


def weights(net: nn.Module) -> list[Tensor]:
    return [m.weight.data for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def slopes(s: Subject, step: float = 1e-6) -> list[np.ndarray]:
    """The gradient of the loss for every weight by central differences."""
    found = []
    for weight in weights(s.net):
        flat, slope = weight.view(-1), np.zeros(weight.numel())
        for k in range(len(flat)):
            start = flat[k].item()
            both = []
            for sign in (1, -1):
                flat[k] = start + sign * step
                both.append(loss_of(s))
            flat[k] = start
            slope[k] = (both[0] - both[1]) / (2 * step)
        found.append(slope)
    return found


def naive_grad_norm(s: Subject) -> float:
    return sum(math.sqrt(float((g**2).sum())) for g in slopes(s))


def naive_snip(s: Subject) -> float:
    return sum(float(np.abs(g * w.numpy().ravel()).sum()) for g, w in zip(slopes(s), weights(s.net), strict=True))


def naive_plain(s: Subject) -> float:
    """The change of the loss when all weights are multiplied by 1 + e."""
    both = []
    for factor in (1 + 1e-6, 1 - 1e-6):
        for weight in weights(s.net):
            weight.mul_(factor)
        both.append(loss_of(s))
        for weight in weights(s.net):
            weight.div_(factor)
    return (both[0] - both[1]) / 2e-6


def naive_grasp(s: Subject) -> float:
    """The negative of w . (Hg), where Hg is the change of the gradient along the gradient."""
    starts, along = [w.clone() for w in weights(s.net)], slopes(s)
    sides, step = [], 1e-3
    for sign in (1, -1):
        for weight, start, g in zip(weights(s.net), starts, along, strict=True):
            weight.copy_(start + sign * step * torch.from_numpy(g).view_as(start))
        sides.append(slopes(s, 1e-4))
    for weight, start in zip(weights(s.net), starts, strict=True):
        weight.copy_(start)
    hg = [(a - b) / (2 * step) for a, b in zip(*sides, strict=True)]
    return -sum(float((w.numpy().ravel() * h).sum()) for w, h in zip(starts, hg, strict=True))


def naive_fisher(s: Subject) -> float:
    """Every output unit is moved by hand, and the loss is measured."""
    total = 0.0
    for layer in (s.net.trunk.first, s.net.trunk.second, s.net.head):
        shape = _output(s, layer).shape
        change = np.zeros(tuple(shape))
        values = _output(s, layer).numpy()
        for place in np.ndindex(*shape):
            both = [_loss_moved(s, layer, place, sign * 1e-6) for sign in (1, -1)]
            change[place] = (both[0] - both[1]) / 2e-6
        for channel in range(shape[1]):
            per_input = [float((values[b, channel] * change[b, channel]).sum()) for b in range(B)]
            information = sum(x**2 for x in per_input) / B / 2
            total += information * layer.weight[0].numel()  # once for every weight of the channel
    return total


def _output(s: Subject, layer: nn.Module) -> Tensor:
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, out: kept.append(out.detach()))
    s.net(s.inputs)
    handle.remove()
    return kept[0]


def _loss_moved(s: Subject, layer: nn.Module, place: tuple[int, ...], by: float) -> float:
    def move(module: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        moved = out.clone()
        moved[place] += by
        return moved

    handle = layer.register_forward_hook(move)
    found = loss_of(s)
    handle.remove()
    return found


def jacobians(s: Subject) -> np.ndarray:
    """(B, pixels): the change of the sum of all outputs with every pixel."""
    rows = np.zeros((B, 25))
    for place in np.ndindex(B, 25):
        both = []
        for sign in (1, -1):
            moved = s.inputs.clone()
            moved.view(B, 25)[place] += sign * 1e-6
            both.append(float(s.net(moved).detach().sum()))
        rows[place] = (both[0] - both[1]) / 2e-6
    return rows


def naive_jacov(s: Subject) -> float:
    values = np.linalg.eigvals(np.corrcoef(jacobians(s))).real
    return -float(sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in values))


def naive_epe_nas(s: Subject) -> float:
    rows, total = jacobians(s), 0.0
    for label in range(CLASSES):
        own = [row for row, target in zip(rows, s.targets.tolist(), strict=True) if target == label]
        parts = [math.log(abs(np.corrcoef(a, b)[0, 1]) + 1e-5) for a in own for b in own]
        total += abs(sum(parts))
    return total


def naive_nwot(s: Subject) -> float:
    first = _output(s, s.net.trunk.norm).numpy().reshape(B, -1) > 0
    second = _output(s, s.net.trunk.second).numpy().reshape(B, -1) > 0
    k = [[sum(bool(p == q) for m in (first, second) for p, q in zip(m[a], m[b], strict=True)) for b in range(B)]
         for a in range(B)]  # fmt: skip
    return math.log(abs(np.linalg.det(np.array(k, dtype=float))))


def naive_l2_norm(s: Subject) -> float:
    return sum(math.sqrt(sum(x**2 for x in w.view(-1).tolist())) for w in weights(s.net))


NAIVE: dict[str, Callable[[Subject], float]] = {
    "grad_norm": naive_grad_norm,
    "snip": naive_snip,
    "plain": naive_plain,
    "grasp": naive_grasp,
    "fisher": naive_fisher,
    "jacov": naive_jacov,
    "epe_nas": naive_epe_nas,
    "nwot": naive_nwot,
    "l2_norm": naive_l2_norm,
}


@pytest.mark.parametrize("name", sorted(NAIVE))
def test_a_proxy_is_its_formula(name: str) -> None:
    assert scores.get(name)(tiny(name)) == pytest.approx(NAIVE[name](tiny(name)), rel=1e-5)


def test_synflow_counts_every_path_once_for_each_of_its_weights() -> None:
    """R is linear in the weights of each layer, so the sum over a layer of w * dR/dw is R: three layers give 3 R."""
    s = tiny("synflow", task="col")  # elements of one channel
    first, second, head = (w.abs().numpy() for w in weights(s.net))
    ones = np.pad(np.ones((1, 32, 32)), ((0, 0), (1, 1), (1, 1)))
    total = 0.0
    for row, column in np.ndindex(16, 16):
        window = ones[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        hidden = (first * window).sum(axis=(1, 2, 3))
        total += float((head @ (second[:, :, 0, 0] @ hidden)).sum()) / 256
    assert scores.get("synflow")(s) == pytest.approx(math.log(1 + 3 * total), rel=1e-12)


def test_relu6_counts_as_a_relu_in_paths_and_patterns() -> None:
    """Sums of all paths are far beyond 6: with a limit there they would be constants."""
    plain, six = (tiny("synflow", task="col") for _ in range(2))
    six.net.trunk.relu = nn.ReLU6()  # type: ignore[union-attr]
    for s in (plain, six):
        for w in weights(s.net):
            w.mul_(100)
    assert torch.equal(kernel(six.net, six.inputs), kernel(plain.net, plain.inputs))
    assert scores.get("synflow")(six) == scores.get("synflow")(plain)


def test_zen_is_its_formula() -> None:
    """Of the weights that it has drawn: the norm is written out, and its scale is added back."""
    s = replace(tiny("zen", task="col"), network=Net())
    found = scores.get("zen")(s)
    first, second, _ = (w.double() for w in weights(s.net))
    generator = stream(s.trial.dataset_id, "col", 1, "zen")
    x, d = (torch.randn(64, 1, 32, 32, generator=generator).double() for _ in range(2))

    def features(inputs: Tensor) -> tuple[Tensor, Tensor]:
        before = torch.conv2d(inputs, first, stride=2, padding=1)
        mean, variance = before.mean(dim=(0, 2, 3), keepdim=True), before.var(dim=(0, 2, 3), correction=0, keepdim=True)
        normed = (before - mean) / (variance + 1e-5).sqrt()
        return torch.conv2d(normed.clamp_min(0), second).clamp_min(0), before.var(dim=(0, 2, 3))

    (one, variance), (other, _) = features(x), features(x + 0.01 * d)
    change = (one - other).abs().sum(dim=(1, 2, 3)).mean()
    assert found == pytest.approx(float(change.log() + variance.mean().sqrt().log()), rel=1e-3)


@pytest.mark.parametrize("name", ["nwot", "jacov", "snip", "grad_norm", "fisher", "epe_nas"])
def test_the_order_of_the_batch_does_not_matter(name: str) -> None:
    s, order = tiny(name), torch.tensor([3, 0, 5, 1, 4, 2])
    turned = replace(tiny(name), inputs=s.inputs[order], targets=s.targets[order])
    assert scores.get(name)(turned) == pytest.approx(scores.get(name)(s), rel=1e-9)


def test_units_of_a_shared_relu_count_once_for_each_convolution_that_reads_it() -> None:
    """As in the benchmark's network, which has a ReLU before every convolution; K[b, b] is the number of units."""
    cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|none~1|nor_conv_1x1~2|"
    net = initial(trial("nwot", arch=cell, space="nasbench201"), CPU)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = [4 * 32 * 32, 8 * 16 * 16, 16 * 8 * 8]
    reductions = maps[0] + maps[1] + maps[1] + maps[2]
    assert kernel(net, images)[0, 0] == 4 * sum(maps) + reductions + maps[2]
    # Three of the four convolutions read the input of the cell.
    assert kernel(net, images, shared=False)[0, 0] == 2 * sum(maps) + reductions + maps[2]


def test_a_relu_module_counts_once_whatever_reads_it() -> None:
    """In nasbench101 the ReLU belongs to the convolution before it, and its map may be read by several."""
    module = spaces.get("nasbench101").encode(
        matrix=[[0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]],
        ops=["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "conv1x1-bn-relu", "output"],
    )
    net = initial(trial("nwot", arch=module, space="nasbench101"), CPU)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    units: list[int] = []
    handles = [
        m.register_forward_hook(lambda m, i, out: units.append(out[0].numel()))
        for m in net.modules()
        if isinstance(m, nn.ReLU)
    ]
    net(images)
    for handle in handles:
        handle.remove()
    assert kernel(net, images)[0, 0] == sum(units) > 0


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
def test_all_architectures_get_the_same_batch_and_each_its_own_weights(task: str, cache: Path) -> None:
    def drawn(**more: Any) -> tuple[Tensor, Tensor]:
        t = trial("snip", task, **more)
        ((inputs, targets),) = batches(setting(t, CPU, None, cache), t.recipe)
        return inputs, targets

    inputs, targets = drawn()
    other = drawn(arch="c5_mp", width=6)
    assert torch.equal(inputs, other[0])
    assert torch.equal(targets, other[1])
    assert not torch.equal(inputs, drawn(seed=2)[0])
    assert len(inputs) == (32 if task == "rot" else 8)


def test_a_score_is_the_same_again_and_follows_the_seed(cache: Path) -> None:
    once, again, other = (
        workers.run(trial("snip", "rot", seed=seed), cache_dir=cache)["score_best"] for seed in (1, 1, 2)
    )
    assert once == again != other


def test_with_several_batches_a_score_is_their_mean(cache: Path) -> None:
    t = trial("grad_norm", batches=3)
    found = [
        scores.get("grad_norm")(Subject(t, CPU, initial(t, CPU), inputs, targets))
        for inputs, targets in batches(setting(t, CPU, None, cache), t.recipe)
    ]
    assert len(set(found)) == 3
    assert workers.run(t, cache_dir=cache)["score_best"] == pytest.approx(sum(found) / 3, rel=1e-6)


def test_a_value_that_is_not_finite_is_missing_with_a_reason(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scores.get("snip")
    for value, said in ((math.inf, "snip is not finite: inf"), (math.nan, "snip is not finite: nan")):
        monkeypatch.setattr(scores, "get", lambda name, value=value: replace(whole, value=lambda s: value))
        row = workers.run(trial(), cache_dir=cache)
        assert math.isnan(row["score_best"])
        assert math.isnan(row["score_final"])
        assert (row["status"], row["diverged"], row["error_text"]) == ("ok", False, said)
        assert (row["best_epoch"], row.get("error_class")) == (None, None)


@pytest.mark.parametrize(("name", "said"), [("jacov", "same at all pixels"), ("zen", "do not depend on the input")])
def test_a_network_without_a_path_has_no_value_and_the_row_says_why(name: str, said: str, cache: Path) -> None:
    none = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    row = workers.run(trial(name, arch=none, space="nasbench201"), cache_dir=cache)
    assert (row["status"], math.isnan(row["score_best"])) == ("ok", True)
    assert said in row["error_text"]
    assert workers.run(trial("synflow", arch=none, space="nasbench201"), cache_dir=cache)["score_best"] == 0


def test_a_batch_larger_than_the_split_is_refused_with_both_numbers(cache: Path) -> None:
    row = workers.attempt(trial("snip", batch=4_000), cache_dir=cache)
    assert row["status"] == "failed"
    assert "4000 images are more than the" in row["error_text"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", scores.names())
def test_a_gpu_gives_the_same_score(name: str, cache: Path) -> None:
    t = trial(name, arch="c3_c5")
    here, there = (workers.run(t, cache_dir=cache, device=device)["score_best"] for device in ("cpu", "cuda"))
    assert there == pytest.approx(here, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", ["params", "synflow", "snip"])
def test_nothing_of_a_score_stays(name: str, cache: Path) -> None:
    """Without the garbage collector: networks are dropped one at a time, however many a process scores."""
    t = trial(name)
    workers.run(t, cache_dir=cache)
    gc.collect()
    gc.disable()
    try:
        before = alive()
        for seed in range(2, 5):
            workers.run(trial(name, seed=seed), cache_dir=cache)
        assert alive() == before
    finally:
        gc.enable()
