"""Supernets trained one path at a time, RLNAS, and what single architectures inherit from a supernet."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spaces
import workers
from workers import datasets, loop, methods, weights
from workers.data.generated import Scenes
from workers.methods._generations import generation, ranked
from workers.methods.supernet import SupernetRun
from workers.recipes import Rlnas
from workers.run import setting
from workers.training.setup import sgd

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {"epochs": 2, "width": 2, "depth": 1, "batch": 24, "test_batch": 12, "precise_bn": 24}
SEARCH: dict[str, Any] = {"generations": 2, "population": 5, "parents": 3, "mutated": 2, "crossed": 2}
TIMES = ("started_at", "finished_at", "wall_s", "train_s", "curve_seconds", "resumed")
Make = Callable[..., workers.Trial]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def make(cache: Path) -> Make:
    """Makes trials on 48 images, with two steps per epoch."""
    own, dataset_id = datasets.describe("shapes", Scenes(images=(48, 24), size=16, classes=3), None, cache)

    def found(recipe: str, arch: str = spaces.WHOLE, base: str | None = None, **changes: Any) -> workers.Trial:
        space, task = changes.pop("space", "nasbench201"), changes.pop("task", "rand")
        r = workers.recipe(recipe, space=space, dataset="shapes", task=task, size=16)
        if arch == spaces.WHOLE:
            changes = SIZES | (SEARCH if recipe == "rlnas" else {}) | changes
        where: dict[str, Any] = {"dataset": "shapes", "own": own, "dataset_id": dataset_id}
        return workers.Trial(space=space, arch=arch, task=task, recipe=r.replace(**changes), base=base, **where)

    return found


def started(trial: workers.Trial, cache: Path) -> SupernetRun:
    run = methods.get(trial.recipe.method).start(setting(trial, CPU, None, cache))
    assert isinstance(run, SupernetRun)
    return run


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for name in one:
        if name not in TIMES and not name.startswith("peak_"):
            np.testing.assert_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("supernet", {"schedule": "linear", "clip_value": 0.1, "decayed": "kernels"}),
        ("rlnas", {}),
        ("rlnas", {"indicator": "accuracy", "task": "cls", "smoothing": 0.1, "generations": 1}),
    ],
)
def test_stopped_between_any_two_steps_the_row_and_the_weights_are_the_same(
    recipe: str, changes: dict[str, Any], make: Make, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STOP_CHECK_S", 0.0)
    trial = make(recipe, **changes)
    whole = workers.run(trial, cache_dir=cache, weights_url=str(tmp_path / "whole.pt"))
    row = None
    for attempt in range(60):
        asked = itertools.count(1)
        try:
            row = workers.run(
                trial,
                cache_dir=cache,
                weights_url=str(tmp_path / "parts.pt"),
                checkpoint_url=str(tmp_path / "checkpoint.pt"),
                checkpoint_every_s=0.0,
                stop=lambda asked=asked, most=attempt + 1: next(asked) > most,  # type: ignore[misc]
            )
            break
        except loop.Interrupted:
            continue
    assert row is not None
    same(whole, row)
    one, other = (weights.load(str(tmp_path / f"{name}.pt"), trial.id).values for name in ("whole", "parts"))
    for kind in ("net", "initial"):
        for name, value in one[kind].items():
            torch.testing.assert_close(other[kind][name], value, rtol=0, atol=0, equal_nan=True)


def test_a_search_scores_as_the_recipes_of_single_architectures(make: Make, cache: Path, tmp_path: Path) -> None:
    """The best of all listed cells has the angle and the accuracy that `supernet/...` measure with the kept weights."""
    url = str(tmp_path / "w.pt")
    search = make("rlnas", exhaustive=True)
    row = workers.run(search, cache_dir=cache, weights_url=url)
    assert (row["metric"], row["chance"]) == ("angle", None)
    assert row["found"] == row["found_top"][0] == row["curve_found"][-1]
    assert len(set(row["found_top"])) == 10
    angles = []
    for arch in (row["found"], row["found_top"][9], "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"):
        trial = make("supernet/angle", arch, search.id)
        assert not trial.recipe.reads_images
        angles.append(workers.run(trial, base_url=url)["score_final"])
    assert angles[0] == row["score_final"] >= angles[1] > angles[2] == 0
    score = workers.run(make("supernet/accuracy", row["found"], search.id, images=24), cache_dir=cache, base_url=url)
    assert score["metric"] == "top1"
    assert 0 <= score["score_final"] <= 1
    again = workers.run(make("supernet/accuracy", row["found"], search.id, images=24), cache_dir=cache, base_url=url)
    same(score, again)


def test_random_and_true_labels_give_other_angles(make: Make, cache: Path) -> None:
    rows = [workers.run(make("rlnas", task=task), cache_dir=cache) for task in ("rand", "cls")]
    assert rows[0]["score_final"] != rows[1]["score_final"]
    assert all(0 < row["score_final"] < math.pi for row in rows)


def test_weights_that_a_step_does_not_use_decay_once_they_have_been_used(make: Make, cache: Path) -> None:
    """As with gradients that are zeroed and kept: momentum and decay act on all weights that have had a gradient."""
    run = started(make("supernet", lr=0.1, weight_decay=0.1, batch=12), cache)
    parameters = list(run.t.net.parameters())
    start = [w.detach().clone() for w in parameters]
    moved: list[set[int]] = []
    used: list[set[int]] = []

    def between() -> None:
        moved.append({k for k, (w, s) in enumerate(zip(parameters, start, strict=True)) if not torch.equal(w, s)})
        used.append({k for k, w in enumerate(parameters) if w.grad is not None and bool(w.grad.any())})
        for s, w in zip(start, parameters, strict=True):
            s.copy_(w.detach())

    run.train(0, between)
    assert len(moved) == 4
    before: set[int] = set()
    for now, hit in zip(moved, used, strict=True):
        assert now == before | hit
        before |= hit
    assert len(used[0]) < len(before) < len(parameters)


def test_decay_by_kind_of_weight_and_the_linear_schedule(make: Make, cache: Path) -> None:
    trial = make("supernet", space="darts", decayed="kernels_and_classifier", schedule="linear", lr=0.4, lr_end=0.1)
    run = started(trial, cache)
    decays = {id(w): group["weight_decay"] for group in run.t.optimizer.param_groups for w in group["params"]}
    classifier = {id(w) for w in next(m for m in run.t.net.modules() if isinstance(m, torch.nn.Linear)).parameters()}
    for w in run.t.net.parameters():
        assert (decays[id(w)] > 0) == (w.dim() == 4 or id(w) in classifier)
    rates = []
    for epoch in range(2):
        run.train(epoch, lambda: rates.append(run.t.optimizer.param_groups[0]["lr"]))
        run._at = None
    assert rates == pytest.approx([0.4, 0.325, 0.25, 0.175])
    alone = sgd(run.t.net, make("supernet", space="darts", decayed="all").recipe)
    assert len(alone.param_groups) == 1


@pytest.mark.parametrize("init", ["kaiming", "outputs"])
def test_initial_weights_have_the_norms_of_the_releases(init: str, make: Make, cache: Path) -> None:
    """The squared norm is 2 * outputs, or 2 * inputs / groups, whatever the kernel."""
    trial = make("supernet", space="mobilenet", init=init, width=8)
    run, again = started(trial, cache), started(trial, cache)
    for kernel in (1, 3, 5, 7):
        convs = [m for m in run.t.net.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (kernel,) * 2]
        found = sum(float(m.weight.detach().double().square().sum()) for m in convs)
        wanted = sum(2 * (m.out_channels if init == "kaiming" else m.in_channels / m.groups) for m in convs)
        numbers = sum(m.weight.numel() for m in convs)
        assert found == pytest.approx(wanted, rel=10 / numbers**0.5)
    for mine, theirs in zip(run.t.net.parameters(), again.t.net.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def evolution(**changes: Any) -> Rlnas:
    found = workers.recipe("rlnas", space="nasbench201", dataset="cifar10", task="rand").replace(**changes)
    assert isinstance(found, Rlnas)
    return found


def test_the_evolution_finds_the_known_best_and_scores_nothing_twice() -> None:
    """Toy score: operations that equal those of a hidden cell.  Random search of as many cells rarely finds it."""
    space = spaces.searchable("nasbench201")
    hidden = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    target = space.one_hot(hidden)["cell"]
    recipe = evolution(population=40, parents=10, mutated=20, crossed=15)
    scored: dict[str, float] = {}
    for number in range(15):
        new = generation(space, recipe, scored, np.random.default_rng(number), lambda arch: True)
        assert len(set(new)) == len(new) == 40
        assert not scored.keys() & set(new)
        scored |= {arch: float((space.one_hot(arch)["cell"] * target).sum()) for arch in new}
    assert ranked(scored)[0] == hidden
    assert ranked({"a": math.nan, "b": 1.0, "c": 2.0, "d": 2.0}) == ["c", "d", "b", "a"]


def test_limits_of_size_hold_for_every_candidate(make: Make, cache: Path) -> None:
    trial = make("rlnas", most_params=6_000, population=8, epochs=1)
    row = workers.run(trial, cache_dir=cache)
    demo = workers.recipe("demo", space="nasbench201", dataset="photos", task="cls")
    for arch in row["found_top"]:
        alone = make("supernet").model_copy(update={"arch": arch, "recipe": demo.replace(width=2, depth=1)})
        assert workers.network.cost(alone)[0] <= 6_000
    with pytest.raises(LookupError, match="cannot be listed"):
        started(make("rlnas", space="darts", exhaustive=True), cache)


def test_mobilenet_is_searched_by_its_angle_and_skips_no_first_block(make: Make, cache: Path) -> None:
    most = {"most_macs": 700_000, "epochs": 1, "width": 1}
    row = workers.run(make("rlnas", space="mobilenet", **most), cache_dir=cache)
    space = spaces.get("mobilenet")
    assert space.normal(row["found"]) == row["found"] == row["found_top"][0]
    for arch in row["found_top"]:
        trunk = space.cost(arch, in_channels=3, width=1, depth=1, stem="cifar", size=16)
        assert trunk.macs + 3 * trunk.channels <= 700_000
    assert 0 < row["score_final"] < math.pi


def test_what_cannot_be_is_said(make: Make, cache: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "w.pt")
    search = make("darts", arch_lr=0.1, batch=12)
    workers.run(search, cache_dir=cache, weights_url=url)
    arch = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|skip_connect~2|"
    with pytest.raises(ValueError, match="expected a supernet that was trained one path at a time"):
        workers.run(make("supernet/angle", arch, search.id), base_url=url)
    with pytest.raises(LookupError, match=r"no 'supernet/no_such'; have supernet/angle, supernet/accuracy"):
        workers.recipe("supernet/no_such", space="nasbench201", dataset="shapes", task="cls", size=16)
    with pytest.raises(LookupError, match="no supernet"):
        workers.recipe("supernet/angle", space="nasbench101", dataset="cifar10", task="cls")
    with pytest.raises(ValueError, match="mutated = 60 and crossed = 50 are more than population = 100"):
        evolution(mutated=60)
    with pytest.raises(ValueError, match="faithful = True is no setting of accuracy"):
        workers.recipe("supernet/accuracy", space="darts", dataset="cifar10", task="cls").replace(faithful=True)
