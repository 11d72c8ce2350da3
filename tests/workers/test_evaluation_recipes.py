"""The evaluation phases of DARTS and UnNAS: sizes of the networks, and which settings apply where."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import spaces
import workers
from workers import settings
from workers.network import build_auxiliary, width_of
from workers.recipes import names
from workers.training.epoch import learning_rate

# Table 4.2 of the facts about UnNAS: on ImageNet width, million parameters without and with the auxiliary head, million
# multiply-adds; on Cityscapes width, million parameters, billion multiply-adds for an image of 1025x2049.
PUBLISHED = {
    "darts_v2": (48, 4.72, 5.98, 529.9, 82, 9.57, 98.9),
    "imagenet_cls": (44, 5.26, 6.51, 581.1, 78, 10.20, 105.9),
    "imagenet_rot": (42, 5.14, 6.39, 551.5, 78, 10.39, 107.2),
    "imagenet_col": (46, 4.94, 6.19, 539.6, 80, 9.69, 99.6),
    "imagenet_jig": (42, 5.18, 6.43, 559.7, 78, 10.44, 107.9),
    "imagenet22k_cls": (46, 5.20, 6.45, 574.6, 80, 10.05, 104.1),
    "imagenet22k_rot": (42, 5.00, 6.25, 541.1, 78, 10.30, 106.4),
    "imagenet22k_col": (42, 4.99, 6.24, 539.7, 78, 10.29, 106.4),
    "imagenet22k_jig": (42, 5.14, 6.39, 552.2, 78, 10.39, 107.2),
    "cityscapes_seg": (44, 5.13, 6.38, 558.5, 80, 10.29, 106.3),
    "cityscapes_rot": (42, 5.07, 6.32, 546.9, 78, 10.34, 106.8),
    "cityscapes_col": (54, 5.10, 6.38, 584.9, 86, 9.52, 98.3),
    "cityscapes_jig": (44, 4.96, 6.21, 549.7, 80, 10.20, 105.8),
}
ROUNDED_TWICE = 0.0055  # of the table's millions of parameters


def trial(name: str, dataset: str, task: str, recipe: str = "unnas_eval", **changes: Any) -> workers.Trial:
    """A published cell under a recipe of an evaluation phase."""
    r = workers.recipe(recipe, space="darts", dataset=dataset, task=task).replace(**changes)
    return workers.Trial(
        space="darts", arch=spaces.published("darts")[name], dataset=dataset, task=task, recipe=r, dataset_id="x-0"
    )


def auxiliary_params(t: workers.Trial) -> int:
    """Parameters of the auxiliary head as it is built."""
    with torch.device("meta"):
        head = build_auxiliary(t, workers.build_network(t))
    assert head is not None
    return sum(p.numel() for p in head.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_networks_of_imagenet_have_the_published_size(name: str) -> None:
    width, params, with_head, macs, *_ = PUBLISHED[name]
    t = trial(name, "imagenet", "cls", width=width)
    found = workers.cost(t)
    assert found[0] / 1e6 == pytest.approx(params, abs=ROUNDED_TWICE)
    assert (found[0] + auxiliary_params(t)) / 1e6 == pytest.approx(with_head, abs=ROUNDED_TWICE)
    assert round(found[1] / 1e6, 1) == macs


def multiply_adds(t: workers.Trial) -> int:
    """Of a test image of 1025x2049 pixels, from those of squares.

    A map of n rows has 2n - 1 columns, and n(2n - 1) = n^2 + ((2n - 1)^2 - 1) / 4.
    """

    def of_square(size: int) -> int:
        assert t.recipe.width is not None
        trunk = spaces.get("darts").cost(
            t.arch, in_channels=3, width=t.recipe.width, depth=12, stem="imagenet", size=size, dense=True
        )
        return t.configured_task.cost(trunk, t.data)[1]

    return of_square(1025) + (of_square(2049) - of_square(1)) // 4


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_networks_of_cityscapes_have_the_published_size(name: str) -> None:
    *_, width, params, macs = PUBLISHED[name]
    t = trial(name, "cityscapes", "seg", width=width)
    assert workers.cost(t)[0] / 1e6 == pytest.approx(params, abs=ROUNDED_TWICE)
    assert round(multiply_adds(t) / 1e9, 1) == macs


def test_the_multiply_adds_of_cityscapes_are_those_of_the_network_as_built() -> None:
    t = trial("darts_v2", "cityscapes", "seg", width=82)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        workers.build_network(t).eval()(torch.empty(1, 3, 1025, 2049))
    assert counter.get_total_flops() == 2 * multiply_adds(t)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_budget_of_imagenet_gives_the_published_widths(name: str) -> None:
    """All but that of DARTS's own cell, whose width is of another paper and would be 50."""
    t = trial(name, "imagenet", "cls")
    assert width_of(t) == (50 if name == "darts_v2" else PUBLISHED[name][0])
    assert t.recipe.budget is not None
    assert (
        workers.cost(t)[1] <= t.recipe.budget < workers.cost(trial(name, "imagenet", "cls", width=width_of(t) + 2))[1]
    )


def test_auxiliary_heads_have_the_weights_of_the_releases() -> None:
    """Two convolutions, their batch norms (one on ImageNet, two on CIFAR-10) and a linear layer, counted by hand."""
    cifar = trial("darts_v2", "cifar10", "cls", "darts_retrain")
    assert auxiliary_params(cifar) == 576 * 128 + 2 * 128 + 128 * 768 * 4 + 2 * 768 + 768 * 10 + 10
    assert workers.cost(cifar)[0] == 3_349_342
    imagenet = trial("darts_v2", "imagenet", "cls", width=48)
    assert auxiliary_params(imagenet) == 768 * 128 + 2 * 128 + 128 * 768 * 4 + 768 * 1000 + 1000
    assert workers.cost(imagenet)[0] == 4_718_752


@pytest.mark.parametrize(
    ("dataset", "task", "changes", "says"),
    [
        ("cifar10", "rot", {"aux": 0.4}, r"aux = 0.4 does not apply to task rot: .*override = \{ aux = 0 \}"),
        ("cifar10", "rot", {"smoothing": 0.1}, r"smoothing = 0.1 does not apply to task rot"),
        ("cifar10", "rot", {"aux": 0, "dropout": 0.2}, r"dropout = 0.2 does not apply to task rot"),
        ("cifar10", "jig", {"cutout": 16}, r"cutout = 16 does not apply to task jig"),
        ("cifar10", "cls", {"cutout": 33}, r"cutout = 33 does not apply to cifar10: .* have 32"),
        ("imagenet16_120", "cls", {}, r"feature maps of 4x4 for images of 16x16; it needs at least 8x8"),
    ],
)
def test_settings_that_do_not_apply_are_refused(dataset: str, task: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(LookupError, match=says):
        trial("darts_v2", dataset, task, "darts_retrain", **changes)


def test_large_images_have_no_cutout_and_other_spaces_no_head() -> None:
    with pytest.raises(LookupError, match="cutout = 16 does not apply to imagenet: it is for small images"):
        trial("darts_v2", "imagenet", "cls", cutout=16)
    r = workers.recipe("darts_retrain", space="darts", dataset="cifar10", task="cls")
    bare = r.replace(aux=0, width=8, depth=1)
    for recipe, setting in ((r, "drop_path = 0.2"), (bare.replace(aux=0.4, drop_path=0), "aux = 0.4")):
        with pytest.raises(LookupError, match=rf"{setting}: space 'chain' has no auxiliary head and no drop path"):
            workers.Trial(space="chain", arch="c3", dataset="cifar10", task="cls", recipe=recipe)
    assert workers.Trial(space="chain", arch="c3", dataset="cifar10", task="cls", recipe=bare.replace(drop_path=0))


def test_zero_unsets_a_setting_and_unset_ones_are_not_in_the_identity() -> None:
    plain = workers.recipe("unnas", space="darts", dataset="cifar10", task="cls")
    new = ("macs", "smoothing", "aux", "drop_path", "cutout", "warmup", "clip", "lr_end", "dropout")
    assert not {*new, "schedule", "decayed"} & plain.facts.keys()
    assert plain.replace(schedule="cosine", decayed="all") == plain
    off = plain.replace(**{name: 0 for name in new if name != "macs"})
    assert (off, off.id) == (plain, plain.id)
    for name, value in {"smoothing": 0.1, "aux": 0.4, "drop_path": 0.1, "cutout": 8, "warmup": 2, "clip": 5}.items():
        assert plain.replace(**{name: value}).id != plain.id


def test_a_network_has_a_width_or_a_budget() -> None:
    r = workers.recipe("unnas_eval", space="darts", dataset="imagenet", task="cls")
    assert (r.width, r.replace(width=48).budget, r.replace(width=48).replace(macs=r.budget)) == (None, None, r)
    assert "width" not in r.facts
    with pytest.raises(ValueError, match="expected exactly one, given width = 48 and macs = 1000"):
        r.replace(width=48, macs=1000)
    with pytest.raises(ValueError, match="expected exactly one, given none"):
        workers.recipe("unnas", space="darts", dataset="cifar10", task="cls").replace(width=None)
    with pytest.raises(ValueError, match=r"macs = 1,000 is too small: .* of width 2 has \d"):
        width_of(trial("darts_v2", "imagenet", "cls", macs=1000))
    with pytest.raises(ValueError, match=r"more than a network of width 16384 has"):
        width_of(trial("darts_v2", "imagenet", "cls", macs=2**53))


def test_the_warm_up_is_that_of_the_release_and_the_cosine_has_an_end() -> None:
    r = workers.recipe("unnas_eval", space="darts", dataset="imagenet", task="cls")
    cosine = [0.25 * (1 + math.cos(math.pi * e / 250)) for e in range(250)]
    factors = [0.1, 0.28, 0.46, 0.64, 0.82, 1.0, 1.0]
    assert [learning_rate(r, e) / cosine[e] for e in range(7)] == pytest.approx(factors)
    ends = r.replace(warmup=0, lr_end=0.1)
    assert [learning_rate(ends, 0), learning_rate(ends, 125)] == pytest.approx([0.5, 0.3])
    with pytest.raises(ValueError, match=r"warmup = 5 is more than all epochs = 2"):
        r.replace(epochs=2)
    with pytest.raises(ValueError, match=r"lr_end = 1\.0 is above lr = 0\.5"):
        r.replace(lr_end=1.0)


# Table 3 of RLNAS: width, million parameters, million multiply-adds, which its release counts with some further layers.
@pytest.mark.parametrize(
    ("name", "width", "params", "macs"),
    [("rlnas_cifar", 48, 5.7, 629), ("rlnas_cifar", 46, 5.3, 581), ("rlnas_imagenet_600m", 48, 5.5, 597)],
)
def test_the_cells_of_rlnas_have_the_published_size(name: str, width: int, params: float, macs: int) -> None:
    found = workers.cost(trial(name, "imagenet", "cls", "rlnas_retrain", width=width))
    assert round(found[0] / 1e6, 1) == params
    assert found[1] / 1e6 == pytest.approx(macs, rel=0.0025)


def test_the_mobilenet_of_rlnas_has_the_published_size() -> None:
    r = workers.recipe("rlnas_retrain", space="mobilenet", dataset="imagenet", task="cls")
    arch = spaces.published("mobilenet")["rlnas"]
    found = workers.cost(workers.Trial(space="mobilenet", arch=arch, dataset="imagenet", task="cls", recipe=r))
    assert [round(found[0] / 1e6, 1), found[1] / 1e6] == [5.3, pytest.approx(473, rel=0.005)]


def test_the_retraining_of_rlnas_has_its_settings() -> None:
    """Section 10 of the facts about RLNAS."""
    same = {"lr": 0.5, "batch": 1024, "momentum": 0.9, "nesterov": False, "smoothing": 0.1, "clip": 5.0}
    own = {
        "darts": {"epochs": 250, "weight_decay": 3e-5, "warmup": 5, "aux": 0.4, "schedule": "linear_tail", "width": 48},
        "mobilenet": {"epochs": 240, "weight_decay": 4e-5, "dropout": 0.2, "schedule": "linear", "width": 32},
    }
    for space, settled in own.items():
        r = workers.recipe("rlnas_retrain", space=space, dataset="imagenet", task="cls")
        assert r.facts.items() >= (same | settled).items()
        assert workers.Recipe.read(r.name, r.json_text) == r
    with pytest.raises(
        LookupError, match=r"covers darts and mobilenet on imagenet with cls; .* there is darts_retrain"
    ):
        workers.recipe("rlnas_retrain", space="darts", dataset="cifar10", task="cls")


def test_retraining_has_the_settings_of_darts_on_all_small_images() -> None:
    r = workers.recipe("darts_retrain", space="darts", dataset="cifar10", task="cls")
    published = {"epochs": 600, "batch": 96, "lr": 0.025, "momentum": 0.9, "weight_decay": 3e-4, "clip": 5.0}
    published |= {"width": 36, "depth": 20, "cutout": 16, "drop_path": 0.2, "aux": 0.4, "nesterov": False}
    assert r.facts.items() >= published.items()
    for dataset in ("cifar10_valid", "cifar100", "scenes"):
        assert workers.recipe("darts_retrain", space="darts", dataset=dataset, task="cls") == r
        assert trial("darts_v2", dataset, "cls", "darts_retrain")
    with pytest.raises(LookupError, match="on imagenet and cityscapes by unnas_eval"):
        workers.recipe("darts_retrain", space="darts", dataset="imagenet", task="cls")
    with pytest.raises(LookupError, match="cells of nasbench201 are trained by the recipe nasbench201"):
        workers.recipe("darts_retrain", space="nasbench201", dataset="cifar10", task="cls")


@pytest.mark.parametrize("name", names())
def test_the_settings_of_every_recipe_apply_to_its_own_cells(name: str) -> None:
    for space, dataset, task in workers.recipes.cells(name):
        r = workers.recipe(name, space=space, dataset=dataset, task=task)
        found, where = workers.tasks.get(task).configured(r), workers.datasets.get(dataset)
        assert settings.objection(r, space, where, found) is None


@pytest.mark.parametrize(
    ("task", "override", "says"),
    [("cls", "macs = 100", "macs = 100 is too small"), ("jig", "aux = 0.3", "aux = 0.3 does not apply to task jig")],
)
def test_a_study_with_settings_that_do_not_apply_is_refused(
    task: str, override: str, says: str, tmp_path: Path, archsweep: Callable[..., tuple[int, str, str]]
) -> None:
    study = tmp_path / "study.toml"
    study.write_text(
        f"""
        name = "refused"
        path = "{tmp_path / "run"}"
        [[sweeps]]
        space = "darts"
        architectures = {{ named = ["darts_v2"] }}
        dataset = "scenes"
        tasks = ["{task}"]
        recipe = "darts_retrain"
        override = {{ {override} }}
        """
    )
    code, _, err = archsweep("plan", study)
    assert (code, says in err) == (2, True)
    assert not (tmp_path / "run").exists()
