"""Random labels: how they are drawn, that they stay, what a score is the accuracy of, on every kind of dataset."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

import spaces
import workers
from tests.workers.described import ARRAY, EXACT, SAME, classes
from tests.workers.prepared import prepare
from workers import datasets, methods, recipes, tasks
from workers.datasets import Arrays, Split
from workers.run import setting
from workers.training.images import images_of

CPU = torch.device("cpu")
TRUE = np.arange(20_000) % 10
BLANK = Split(np.zeros((20_000, 1, 1, 3), np.uint8), TRUE)
MANY = Arrays("cifar10-0123456789abcdef", BLANK, Split(BLANK.images[:2000], TRUE[:2000]))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def trial(dataset: str = "cifar10", seed: int = 1, arch: str = "c3", task: str = "rand", **changes: Any) -> Any:
    """A training of a chain; `changes` are settings of the recipe, or `own` and `dataset_id` of the trial."""
    where = {name: changes.pop(name) for name in ("own", "dataset_id") if name in changes}
    r = workers.recipe("demo", space="chain", dataset="photos", task=task)
    sizes = {"epochs": 1, "width": 4, "depth": 2, "batch": 4, "test_batch": 4, "precise_bn": 0}
    where.setdefault("dataset_id", MANY.dataset_id)
    return workers.Trial(
        space="chain", arch=arch, dataset=dataset, task=task, seed=seed, recipe=r.replace(**sizes | changes), **where
    )


def labels(t: workers.Trial, data: Arrays = MANY) -> Any:
    return images_of(t, data).train.labels


def test_labels_are_uniform_and_tell_nothing_of_the_true_ones() -> None:
    drawn = labels(trial())
    assert chisquare(np.bincount(drawn, minlength=10)).pvalue > 1e-3
    table = np.zeros((10, 10))
    np.add.at(table, (TRUE, drawn), 1)
    assert chi2_contingency(table).pvalue > 1e-3
    assert np.bincount(drawn).min() < np.bincount(drawn).max()  # drawn one by one, not dealt out


def test_labels_follow_from_dataset_and_seed_alone() -> None:
    t = trial()
    same = [trial(arch="c5_c5"), trial(epochs=9, batch=16, lr=0.5, precise_bn=8)]
    others = [trial(seed=2), trial(dataset_id="cifar10-fedcba9876543210")]
    assert all(np.array_equal(labels(one), labels(t)) for one in same)
    for one in others:
        assert 0.05 < (labels(one) == labels(t)).mean() < 0.15
    backwards = Arrays(MANY.dataset_id, Split(BLANK.images, TRUE[::-1].copy()), MANY.test)
    assert np.array_equal(labels(t, backwards), labels(t))


def test_another_process_draws_the_same_labels() -> None:
    code = """
import hashlib, sys
import numpy as np, workers
from workers.datasets import Arrays, Split
from workers.training.images import images_of
blank = Split(np.zeros((20_000, 1, 1, 3), np.uint8), np.zeros(20_000, np.int64))
trial = workers.Trial.model_validate_json(sys.argv[1])
print(hashlib.sha256(images_of(trial, Arrays(trial.dataset_id, blank, blank)).train.labels.tobytes()).hexdigest())
"""
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code, trial().model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == hashlib.sha256(labels(trial()).tobytes()).hexdigest()


def test_other_tasks_keep_the_labels_and_the_test_split() -> None:
    for task in ("cls", "rot"):
        assert images_of(trial(task=task), MANY) is MANY


@pytest.mark.parametrize(("changes", "classes"), [({"classes": 3}, 3), ({"labels": "permuted"}, 10)])
def test_kinds_of_labels_are_settings_of_the_recipe(changes: dict[str, Any], classes: int) -> None:
    t, plain = trial(**changes), trial()
    drawn = labels(t)
    assert t.id != plain.id
    assert sorted(set(drawn.tolist())) == list(range(classes))
    assert t.configured_task.classes(t.data) == classes
    with torch.device("meta"):
        assert workers.build_network(t).head.out_features == classes
    assert workers.cost(t)[0] == sum(p.numel() for p in workers.build_network(t).parameters())
    if classes == 10:
        assert np.bincount(drawn).tolist() == np.bincount(TRUE).tolist()
        assert 0.05 < (drawn == TRUE).mean() < 0.15
    else:
        assert chisquare(np.bincount(drawn)).pvalue > 1e-3


def test_settings_of_random_labels_are_checked() -> None:
    r = workers.recipe("unnas", space="darts", dataset="cifar10", task="rand")
    assert r == workers.recipe("unnas", space="darts", dataset="cifar10", task="cls")
    with pytest.raises(ValueError, match="leave out classes"):
        r.replace(labels="permuted", classes=4)
    for change in ({"labels": "shuffled"}, {"classes": 1}):
        with pytest.raises(ValueError, match=f"recipe {next(iter(change))} = "):
            r.replace(**change)
    with pytest.raises(LookupError, match="settings classes are for task rand alone"):
        trial(task="rot", classes=4)
    with pytest.raises(LookupError, match="settings labels are for task rand alone"):
        workers.Trial(space="chain", arch="c3", dataset="camvid", task="seg", recipe=r.replace(labels="permuted"))
    with pytest.raises(LookupError, match="'permuted' needs images with classes, and those of camvid have none"):
        workers.Trial(space="chain", arch="c3", dataset="camvid", task="rand", recipe=r.replace(labels="permuted"))


@pytest.mark.parametrize("family", ["unnas", "nasbench201", "darts", "gdas", "zero_cost/snip", "random_search/snip"])
def test_random_labels_have_the_settings_of_classification(family: str) -> None:
    space = "darts" if family == "unnas" else "nasbench201"
    one, other = (workers.recipe(family, space=space, dataset="cifar10", task=task) for task in ("rand", "cls"))
    assert one == other
    assert one.replace(classes=7).of_rand == {"classes": 7}


def test_a_family_without_classification_says_what_it_covers() -> None:
    with pytest.raises(LookupError, match="task=rand; it covers darts on imagenet with cls and on cityscapes with seg"):
        workers.recipe("unnas_eval", space="darts", dataset="cityscapes", task="rand")


def test_classes_are_those_of_the_images_or_of_their_maps() -> None:
    rand = tasks.get("rand")
    assert [rand.classes(datasets.get(name)) for name in ("imagenet", "camvid", "cityscapes")] == [1000, 11, 19]


def seen(t: Any, epoch: int) -> dict[bytes, int]:
    """The label of every image of an epoch, by the pixels before augmentation."""
    found = {}
    for part in t.parts("train", epoch, t.steps):
        pixels, targets = t.train.look_up(part)
        _, made = t.batch(t.train, part)
        assert torch.equal(made, targets)
        found |= {p.numpy().tobytes(): int(y) for p, y in zip(pixels, targets, strict=True)}
    return found


def test_a_label_stays_with_its_image_in_every_epoch_and_order(pictures: Path, cache: Path) -> None:
    own, dataset_id = datasets.describe("mine", datasets.Source(kind="parquet", size=32), pictures, cache)
    where = {"dataset": "mine", "own": own, "dataset_id": dataset_id}
    trainings = [
        prepare(one, CPU, pictures, cache) for one in (trial(**where), trial(**where, arch="c5", batch=16, lr=0.3))
    ]
    first, *others = (seen(t, epoch) for t in trainings for epoch in (0, 1))
    assert len(first) == 64
    assert all(one == first for one in others)
    # What is evaluated: as many training images as the test split has, with the same labels.
    t = trainings[0]
    tested = {}
    for part in t.test_parts():
        pixels, targets = t.test.look_up(part)
        tested |= {p.numpy().tobytes(): int(y) for p, y in zip(pixels, targets, strict=True)}
    assert len(tested) == len(t.test) == 32
    assert tested.items() <= first.items()


@pytest.mark.parametrize("form", [EXACT, ARRAY], ids=["exact", "array"])
def test_large_images_get_labels_too(form: datasets.Form, tmp_path: Path, cache: Path) -> None:
    root = classes(tmp_path / "mine")
    own, dataset_id = datasets.describe("mine", datasets.Source(kind="folder", size=96, **SAME), root, cache, form)
    where = {"dataset": "mine", "own": own, "dataset_id": dataset_id}
    t = prepare(trial(**where, classes=5), CPU, root, cache)
    drawn = torch.cat([y for _, y in t.batches("train", 0, t.steps)])
    order = torch.cat([part["label"] for part in t.parts("train", 0, t.steps)])
    assert torch.equal(drawn, order)
    expected = tasks.get("rand").configured(t.recipe)
    assert expected.classes(own) == 5
    row = workers.run(trial(**where, classes=5), root, cache_dir=cache)
    assert (row["test_images"], row["metric"], row["status"]) == (8, "top1", "ok")
    evaluated = torch.cat([y for _, y in t.test_batches()])
    assert row["chance"] == torch.bincount(evaluated).max().item() / 8


def test_images_with_label_maps_get_a_label_each(data: Path, cache: Path) -> None:
    root = data / "camvid_mini"
    of = setting(trial("camvid", dataset_id=datasets.identify("camvid", root, cache)), CPU, root, cache).data
    assert 0 < len(of.test) <= len(of.train)
    assert all(0 <= label < 11 for label in of.train.labels)
    assert len(set(of.train.labels.tolist())) > 1


def test_a_network_that_learns_labels_by_heart_scores_above_chance(pictures: Path, cache: Path) -> None:
    own, dataset_id = datasets.describe("mine", datasets.Source(kind="parquet", size=32), pictures, cache)
    sizes = {"epochs": 4, "width": 16, "depth": 2, "batch": 8, "test_batch": 32, "precise_bn": 64, "classes": 2}
    t = trial("mine", arch="c3_c3", own=own, dataset_id=dataset_id, lr=0.05, **sizes)
    row = workers.run(t, pictures, cache_dir=cache)
    assert row["chance"] < 0.6 < 0.7 < row["score_best"]
    assert row["test_targets"] == row["test_images"] == 32


@pytest.mark.parametrize("method", ["gdas", "random_search/snip", "zero_cost/grad_norm"])
def test_searches_and_proxies_read_random_labels(method: str, pictures: Path, cache: Path) -> None:
    own, dataset_id = datasets.describe("mine", datasets.Source(kind="parquet", size=32), pictures, cache)
    where: dict[str, Any] = {"dataset": "mine", "own": own, "dataset_id": dataset_id, "space": "nasbench201"}
    changes: dict[str, Any] = {"width": 2, "depth": 1, "batch": 8, "classes": 9}
    if method == "gdas":
        changes |= {"epochs": 1, "test_batch": 32}
    if method.startswith("random"):
        changes |= {"candidates": 2, "generation": 2}
    r = workers.recipe(method, space="nasbench201", dataset="mine", task="rand", size=32).replace(**changes)
    arch = spaces.WHOLE if r.searches else spaces.sample(spaces.get("nasbench201"), 1, 0).archs[0]
    t = workers.Trial(**where, arch=arch, task="rand", recipe=r)
    assert r.of_rand == {"classes": 9} == recipes.read(r.name, r.json_text).of_rand
    used = setting(t, CPU, pictures, cache).data.train.labels
    assert set(used.tolist()) == set(range(9))  # the images have four classes
    row = workers.run(t, pictures, cache_dir=cache)
    assert row["status"] == "ok"
    assert methods.get(r.method).name == r.method
