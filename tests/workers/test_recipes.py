"""Recipes: the settings of the papers, and the validation of overrides."""

import itertools

import pytest
import torch

import spaces
import workers
from workers import datasets, recipes, tasks
from workers.recipes import names, unnas_small
from workers.recipes.unnas import cells
from workers.training.epoch import learning_rate

SEARCHES = {"darts", "darts_minus", "gdas", "p_darts", "pc_darts", "snas", "unnas_search"}
SEARCHES |= {"evolution", "random_search", "rlnas", "supernet"}


def test_the_paper_has_sixteen_settings() -> None:
    assert len(cells()) == len(set(cells())) == 16
    assert {c[2] for c in cells()} == {"cls", "rot", "col", "jig"}


@pytest.mark.parametrize(("space", "dataset", "task"), cells())
def test_learning_rate_is_proportional_to_the_batch(space: str, dataset: str, task: str) -> None:
    r = workers.recipe("unnas", space=space, dataset=dataset, task=task)
    images_at_a_tenth = {"cifar10": 128, "imagenet": 256}[dataset]
    assert r.lr / r.batch == pytest.approx(0.1 / images_at_a_tenth)


def test_precise_bn_is_off_in_one_space_of_imagenet_only() -> None:
    off = [c for c in cells() if not workers.recipe("unnas", space=c[0], dataset=c[1], task=c[2]).precise_bn]
    assert {c[:2] for c in off} == {("nasbench101", "imagenet")}


@pytest.mark.parametrize(
    ("space", "dataset", "task"), list(itertools.product(spaces.names(), ("photos", "camvid"), tasks.names()))
)
def test_every_space_and_task_has_a_demo(space: str, dataset: str, task: str) -> None:
    if tasks.get(task).unsupported_reason(datasets.get(dataset)) is None:
        assert workers.recipe("demo", space=space, dataset=dataset, task=task).epochs <= 10


def test_searches_scale_the_rate_with_the_batch_and_seg_has_an_aspp_of_its_own() -> None:
    for space, dataset, task in unnas_small.cells():
        r = workers.recipe("unnas_small", space=space, dataset=dataset, task=task)
        assert r.lr / r.batch == pytest.approx(0.1 / (32 if dataset == "cityscapes" else 64))
        assert (r.width, r.nesterov, r.precise_bn, r.of_seg) == (16, False, 0, {})
    assert workers.recipe("unnas_eval", space="darts", dataset="cityscapes", task="seg").of_seg == {
        "aspp": 256, "rates": (6, 12, 18), "crop": 769, "scaled": 1024
    }  # fmt: skip


def test_settings_of_segmentation_are_read_back_and_belong_to_it_alone() -> None:
    r = workers.recipe("unnas_eval", space="darts", dataset="cityscapes", task="seg")
    assert workers.Recipe.read(r.name, r.json_text) == r
    assert r.replace(rates=[6, 12]).rates == (6, 12)
    assert r.replace(rates=[6, 12]).id != r.id
    where = {"space": "chain", "arch": "c3", "recipe": r}
    assert workers.Trial(**where, dataset="camvid", task="seg").configured_task.side(datasets.get("camvid")) == 769
    assert workers.Trial.model_validate_json(workers.Trial(**where, dataset="camvid", task="seg").model_dump_json())
    with pytest.raises(LookupError, match="aspp, rates, crop, scaled are for task seg alone"):
        workers.Trial(**where, dataset="camvid", task="rot")


def test_unknown_family_and_unknown_setting_say_what_there_is() -> None:
    with pytest.raises(LookupError, match=r"darts, darts_minus, darts_retrain, demo, .*nasbench201, .*unnas_small"):
        workers.recipe("fast", space="darts", dataset="cifar10", task="cls")
    with pytest.raises(LookupError, match=r"darts or mobilenet or nasbench101 on cifar10 or imagenet"):
        workers.recipe("unnas", space="chain", dataset="cifar10", task="cls")
    with pytest.raises(
        LookupError, match=r"nasbench201 on cifar10_valid or cifar10 or cifar100 or imagenet16_120 with cls"
    ):
        workers.recipe("nasbench201", space="nasbench201", dataset="photos", task="cls")
    assert [n for n in names() if n not in SEARCHES] == [
        "darts_retrain", "demo", "lookup", "nasbench201", "rlnas_retrain", "robustness", "unnas", "unnas_eval",
        "unnas_small", "zero_cost",
    ]  # fmt: skip


@pytest.mark.parametrize("dataset", ["cifar10", "cifar10_valid", "cifar100", "imagenet16_120"])
def test_nasbench201_trains_classification_as_the_benchmark_and_scales_by_the_batch(dataset: str) -> None:
    r = workers.recipe("nasbench201", space="nasbench201", dataset=dataset, task="cls")
    assert (r.epochs, r.lr, r.batch, r.weight_decay, r.momentum) == (200, 0.1, 256, 5e-4, 0.9)
    assert (r.nesterov, r.precise_bn, r.width, r.depth) == (True, 0, 16, 5)
    for task in ("rot", "col", "jig"):
        other = workers.recipe("nasbench201", space="nasbench201", dataset=dataset, task=task)
        assert other.lr / other.batch == r.lr / r.batch


def test_the_short_runs_of_nasbench201_have_a_cosine_of_their_own() -> None:
    r = workers.recipe("nasbench201", space="nasbench201", dataset="cifar10", task="cls").replace(epochs=12)
    assert [learning_rate(r, epoch) for epoch in (0, 6)] == pytest.approx([0.1, 0.05])
    assert learning_rate(r, 11) < 0.002


def test_other_datasets_are_trained_as_the_one_of_their_kind() -> None:
    for space, task in itertools.product(("darts", "nasbench101"), ("cls", "rot", "col", "jig")):
        small, large = (workers.recipe("unnas", space=space, dataset=d, task=task) for d in ("cifar10", "imagenet"))
        for name in ("cifar100", "svhn", "stl10", "fashion_mnist", "imagenet16_120"):
            assert workers.recipe("unnas", space=space, dataset=name, task=task) == small
        assert workers.recipe("unnas", space=space, dataset="mine", task=task, size=64) == small
        assert workers.recipe("unnas", space=space, dataset="mine", task=task, size=65) == large


def test_override_is_checked() -> None:
    r = workers.recipe("demo", space="chain", dataset="photos", task="cls")
    assert r.replace(epochs=7).epochs == 7
    with pytest.raises(ValueError, match=r"no 'epoch'.*epochs"):
        r.replace(epoch=7)
    with pytest.raises(ValueError, match=r"epochs = 0"):
        r.replace(epochs=0)
    with pytest.raises(ValueError, match=r"epochs = '3'"):
        r.replace(epochs="3")


def test_id_follows_what_changes_numbers_and_ignores_the_label() -> None:
    r = workers.recipe("unnas", space="darts", dataset="cifar10", task="cls")
    assert r.replace(name="mine").id == r.id
    for change in ({"epochs": 99}, {"lr": 0.2}, {"precision": "bf16"}, {"precise_bn": 0}):
        assert r.replace(**change).id != r.id


def test_what_changes_speed_alone_is_executed_and_leaves_the_id() -> None:
    r = workers.recipe("unnas", space="darts", dataset="cifar10", task="cls")
    fast = r.replace(test_batch=7).replace(threads=2, epochs=9)
    assert (fast.test_batch, fast.threads, fast.executed) == (7, 2, {"test_batch": 7, "threads": 2})
    assert (fast.facts, fast.id) == (r.replace(epochs=9).facts, r.replace(epochs=9).id)
    assert (fast.facts["test_batch"], fast.facts["threads"]) == (200, 1)
    assert fast.replace(test_batch=200, threads=1, epochs=100) == r
    assert (r.executed, r.replace(test_batch=200)) == ({}, r)
    stored = recipes.read("unnas", fast.json_text.replace('"threads":1', '"threads":2'))  # as earlier versions did
    assert (stored.threads, stored.executed) == (2, {})
    assert stored.id != fast.id
    assert fast.counted_as(stored.facts).id == stored.id
    assert fast.counted_as(stored.facts).executed == {"test_batch": 7}
    assert recipes.question(stored.json_text) == recipes.question(fast.json_text)
    assert recipes.question(stored.json_text) != recipes.question(r.json_text)
    for hidden in ("counted", "method"):
        with pytest.raises(ValueError, match=f"a recipe has no '{hidden}'; it has width, depth, epochs, lr"):
            r.replace(**{hidden: None})
    with pytest.raises(ValueError, match="recipe threads = 0"):
        r.replace(threads=0)


def test_a_recipe_without_a_method_trains_and_an_unknown_one_is_refused() -> None:
    r = workers.recipe("demo", space="chain", dataset="photos", task="cls")
    assert "method" not in r.facts
    assert recipes.read("demo", r.json_text) == r == recipes.read("demo", r.json_text[:-1] + ',"method":"train"}')
    where = {"space": "chain", "arch": "c3", "dataset": "photos", "task": "cls"}
    older = {key: value for key, value in r.model_dump().items() if key not in ("method", "counted")}
    assert workers.Trial(**where, recipe=older) == workers.Trial(**where, recipe=r)
    for wrong in ({"method": "no_such"}, {"method": ["train"]}, {"method": None}):
        with pytest.raises(ValueError, match="tag"):
            workers.Trial(**where, recipe=older | wrong)
    with pytest.raises(ValueError, match="expected tags: 'train'"):
        recipes.read("x", '{"method":"attacks"}')
    with pytest.raises(ValueError, match="tag"):
        workers.Trial(**where, recipe=3)


def test_cosine_agrees_with_the_scheduler_of_the_framework() -> None:
    r = workers.recipe("unnas", space="darts", dataset="cifar10", task="cls")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=r.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, r.epochs)
    for epoch in range(r.epochs):
        assert learning_rate(r, epoch) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()
    assert learning_rate(r, r.epochs - 1) > 0
