"""Recipes of searches: the settings of the papers, what they cost, what does not fit together."""

from typing import Any

import pytest

import workers
from workers import recipes


def test_stages_that_do_not_fit_are_refused() -> None:
    recipe = workers.recipe("p_darts", space="darts", dataset="cifar10", task="cls")
    assert recipe.passes(100, 0) == 75 * (3 * 50 + 50) + 45 * 3 * 50
    with pytest.raises(ValueError, match="epochs = 74 cannot be divided into 3 stages"):
        recipe.replace(epochs=74)
    with pytest.raises(ValueError, match="deeper, kept and dropout have 1, 2 and 3 values"):
        recipe.replace(deeper=(6,))


@pytest.mark.parametrize("name", ["darts", "pc_darts", "p_darts", "gdas", "snas", "darts_minus"])
def test_recipes_of_searches_are_read_back_and_scale_with_the_samples_of_an_image(name: str) -> None:
    for space in {cell[0] for cell in recipes.cells(name)}:
        whole = workers.recipe(name, space=space, dataset="cifar10", task="cls")
        assert isinstance(whole, recipes.Search)
        assert recipes.read(name, whole.json_text) == whole
        assert whole.facts["method"] == name
        quarter = workers.recipe(name, space=space, dataset="cifar10", task="rot")
        assert isinstance(quarter, recipes.Search)
        for field in ("lr", "arch_lr", "batch", "lr_end"):
            assert getattr(quarter, field) * 4 == pytest.approx(getattr(whole, field))
    with pytest.raises(LookupError, match=f"recipe '{name}' has no setting for space=chain.* on cifar10 with cls"):
        workers.recipe(name, space="chain", dataset="cifar10", task="cls")


SHARED = {"portion": 0.5, "clip": 5.0, "arch_betas": (0.5, 0.999), "arch_weight_decay": 1e-3, "momentum": 0.9}


@pytest.mark.parametrize(
    ("name", "space", "settings"),
    [
        ("darts", "darts", {"epochs": 50, "batch": 64, "lr": 0.025, "lr_end": 0.001, "weight_decay": 3e-4, "order": 1}),
        ("darts", "darts", {"arch_lr": 3e-4, "width": 16, "depth": 8, "first": "architecture", "nesterov": False}),
        ("darts", "nasbench201", {"weight_decay": 5e-4, "depth": 5, "first": "network", "nesterov": True}),
        ("pc_darts", "darts", {"epochs": 50, "batch": 256, "lr": 0.1, "lr_end": 0.0, "frozen_epochs": 15}),
        ("pc_darts", "darts", {"arch_lr": 6e-4, "partial": 4, "weight_decay": 3e-4}),
        ("p_darts", "darts", {"epochs": 75, "batch": 96, "lr": 0.025, "lr_end": 0.0, "arch_lr": 6e-4, "depth": 5}),
        ("p_darts", "darts", {"deeper": (6, 12), "kept": (5, 3), "dropout": (0.1, 0.4, 0.7), "frozen_epochs": 10}),
        ("gdas", "nasbench201", {"epochs": 250, "batch": 64, "lr": 0.025, "lr_end": 0.001, "tau": (10.0, 0.1)}),
    ],
)
def test_settings_of_the_papers(name: str, space: str, settings: dict[str, Any]) -> None:
    recipe = workers.recipe(name, space=space, dataset="cifar10", task="cls")
    assert recipe.model_dump().items() >= (settings | SHARED).items()


def test_the_twelve_searches_of_unnas_scale_both_rates_with_the_batch() -> None:
    cells = recipes.cells("unnas_search")
    assert len(set(cells)) == 12
    for space, dataset, task in cells:
        found = workers.recipe("unnas_search", space=space, dataset=dataset, task=task)
        assert isinstance(found, recipes.Darts)
        images_at_a_tenth = 32 if dataset == "cityscapes" else 64
        assert found.lr / found.batch == pytest.approx(0.1 / images_at_a_tenth)
        assert found.arch_lr / found.batch == pytest.approx(3e-4 / images_at_a_tenth)
        assert found.epochs - found.frozen_epochs == (400 if dataset == "cityscapes" else 1)
        assert (found.portion, found.clip, found.order, found.width) == (0.5, 5.0, 1, 16)
        single = workers.recipe("unnas_small", space=space, dataset=dataset, task=task)
        shared = {"epochs", "lr", "batch", "weight_decay", "momentum", "nesterov", "width", "depth", "test_batch"}
        assert found.model_dump(include=shared) == single.model_dump(include=shared)
    with pytest.raises(LookupError, match=r"no setting for space=darts, dataset=cifar10.* cityscapes with seg"):
        workers.recipe("unnas_search", space="darts", dataset="cifar10", task="cls")


def test_what_a_recipe_costs_counts_both_steps_and_the_held_out_images() -> None:
    recipe = workers.recipe("darts", space="darts", dataset="cifar10", task="cls").replace(epochs=4, frozen_epochs=1)
    assert recipe.passes(1000, 500) == 4 * (3 * 500 + 500) + 3 * 3 * 500
    assert recipe.replace(order=2).passes(1000, 500) == 4 * (3 * 500 + 500) + 3 * 12 * 500
    assert recipe.steps(1000) == 7 * (4 + 3)
    with pytest.raises(ValueError, match=r"width = 6, partial = 4: expected a width that partial divides"):
        workers.recipe("pc_darts", space="darts", dataset="cifar10", task="cls").replace(width=6)
    with pytest.raises(ValueError, match=r"lr_end = 1\.0 is above lr = 0\.025"):
        recipe.replace(lr_end=1.0)
