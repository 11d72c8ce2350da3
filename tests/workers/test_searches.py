"""Searches: rows, every task as the objective, stops at any step, what each of the two kinds of steps changes."""

import hashlib
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spaces
import workers
from workers import datasets, recipes
from workers.data.generated import Noise
from workers.memory import training_bytes
from workers.methods._architecture import Architecture
from workers.methods._bilevel import SearchRun
from workers.row import table
from workers.training.halves import halves
from workers.training.images import images_of

from .searching import METHODS, Make, Places, started
from .searching import cache as cache  # a fixture
from .searching import places as places  # a fixture
from .searching import search as search  # a fixture

SCIENCE = ("score_best", "score_final", "epochs", "train_loss", "diverged", "curve_train_loss", "curve_test_score")
SCIENCE += ("found", "found_arch_id", "curve_found", "curve_arch", "arch_shape", "chance", "test_images")


@pytest.mark.parametrize(
    ("method", "space", "changes"),
    [
        ("darts", "nasbench201", {}),
        ("gdas", "darts", {}),
        ("pc_darts", "darts", {"frozen_epochs": 0}),
        ("snas", "nasbench201", {}),
        ("darts_minus", "darts", {}),
    ],
)
def test_a_search_ends_in_a_row_with_its_architecture(
    method: str, space: str, changes: dict[str, Any], search: Make, places: Places
) -> None:
    trial = search(method, space, epochs=1, **changes)
    row = workers.run(trial, **places)
    assert (row["status"], row["arch"], row["arch_id"], row["method"], row["metric"]) == (
        "ok",
        "*",
        "*",
        method,
        "top1",
    )
    of = spaces.searchable(space)
    assert of.normal(row["found"]) == row["found"] == row["curve_found"][-1]
    assert row["found_arch_id"] == of.arch_id(row["found"])
    assert json.loads(row["found_graph"]) == of.graph(row["found"])
    assert [json.loads(graph) for graph in row["curve_graph"]] == [of.graph(arch) for arch in row["curve_found"]]
    ops = json.loads(row["arch_ops"])
    assert {name: (len(cell["edges"]), len(cell["ops"])) for name, cell in ops.items()} == {
        name: cell.shape for name, cell in of.choices().items()
    }
    chosen = {op for cell in of.graph(row["found"])["cells"] for *_, op in cell["edges"] if op}
    assert chosen <= {op for cell in ops.values() for op in cell["ops"]}
    shapes = json.loads(row["arch_shape"])
    wanted = {name: list(cell.shape) for name, cell in of.choices().items()}
    if method == "pc_darts":
        wanted = {k: v for name, shape in wanted.items() for k, v in ((name, shape), (f"{name}_edges", shape[:1]))}
    assert shapes == wanted
    (values,) = row["curve_arch"]
    assert len(values) == sum(math.prod(shape) for shape in shapes.values())
    weights, edges, at = {}, {}, 0
    for name, shape in shapes.items():
        found = np.array(values[at : at + math.prod(shape)]).reshape(shape)
        at += found.size
        if name.endswith("_edges"):
            edges[name.removesuffix("_edges")] = found
        else:
            weights[name] = np.exp(found) / np.exp(found).sum(1, keepdims=True)
    if not edges:
        assert of.discretise(weights) == row["found"]
    # Half of the training images, or all of them, and none of the test split.
    assert row["test_images"] == (64 if method == "snas" else 32)
    assert row["params"] == sum(p.numel() for p in workers.build_network(trial).parameters())
    assert row["macs"] > 0
    assert table([row])["found"].to_pylist() == [row["found"]]


@pytest.mark.parametrize("task", ["rot", "col", "jig"])
def test_any_task_is_an_objective(task: str, search: Make, places: Places) -> None:
    row = workers.run(search(task=task, epochs=1, batch=8, width=2), **places)
    assert 0 <= row["score_best"] <= 1
    assert row["task"] == task
    assert row["chance"] > 0
    assert spaces.get("nasbench201").normal(row["found"])


def test_segmentation_is_an_objective(data: Path, cache: Path) -> None:
    sizes: dict[str, Any] = {"epochs": 1, "batch": 2, "test_batch": 2, "width": 4, "depth": 1, "precise_bn": 0}
    recipe = recipes.Darts(name="mine", lr=0.05, weight_decay=0, arch_lr=0.01, **sizes)
    root = data / "camvid_mini"
    trial = workers.Trial(space="nasbench201", arch="*", dataset="camvid", task="seg", recipe=recipe)
    row = workers.run(trial, root, cache_dir=cache)
    assert (row["metric"], row["chance"], row["diverged"]) == ("miou", None, False)
    assert spaces.get("nasbench201").normal(row["found"])


def test_every_method_with_a_supernet_is_among_those_that_are_stopped() -> None:
    kinds = [kind for kind in vars(recipes).values() if isinstance(kind, type) and issubclass(kind, recipes.Search)]
    assert {kind.model_fields["method"].default for kind in kinds if kind is not recipes.Search} == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_search_stopped_again_and_again_finds_the_same_bit_for_bit(
    method: str, search: Make, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step, between the batches of an evaluation and between epochs."""
    trial = search(method, test_batch=16, precise_bn=16, width=4, **METHODS[method])
    whole = workers.run(trial, **places)
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)
    url, stops = str(tmp_path / "c.pt"), []
    while True:
        asked = itertools.count()
        try:
            row = workers.run(trial, **places, checkpoint_url=url, stop=lambda asked=asked: next(asked) > 0)
            break
        except workers.Interrupted as error:
            stops.append(str(error).split(";")[0])
    assert {name: row[name] for name in SCIENCE} == {name: whole[name] for name in SCIENCE}
    assert len(stops) >= 4
    assert any("within epoch 1" in stop for stop in stops)
    assert any("within epoch 2" in stop for stop in stops)
    assert whole["curve_arch"][1] != whole["curve_arch"][0]


def test_with_fresh_noise_every_step_is_new_and_a_stopped_search_ends_the_same(
    search: Make, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Noise(size=16, images=(64, 32), classes=3, fresh=True)
    own, dataset_id = datasets.describe("fresh", source, None, cache)
    plain = search(test_batch=16, precise_bn=16, epochs=2)
    trial = plain.model_copy(update={"own": own, "dataset": "fresh", "dataset_id": dataset_id})
    run = started(trial, {"data_root": tmp_path, "cache_dir": cache})
    seen = []
    for epoch in (0, 0, 1):
        for purpose in ("train", "precise_bn"):
            batches = run.t.batches(purpose, epoch, 2)
            seen.append([hashlib.sha256(inputs.numpy().tobytes()).digest() for inputs, _ in batches])
    assert seen[0:2] == seen[2:4]
    different = [digest for batches in (*seen[:2], *seen[4:]) for digest in batches]
    assert len(set(different)) == len(different) == 8
    tests = [[inputs.sum().item() for inputs, _ in run.t.test_batches()] for _ in range(2)]
    assert tests[0] == tests[1]
    whole = workers.run(trial, cache_dir=cache)
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)
    for _ in range(50):
        asked = itertools.count()
        try:
            url = str(tmp_path / "c.pt")
            row = workers.run(trial, cache_dir=cache, checkpoint_url=url, stop=lambda asked=asked: next(asked) > 0)
            break
        except workers.Interrupted:
            continue
    assert {name: row[name] for name in SCIENCE} == {name: whole[name] for name in SCIENCE}


@pytest.mark.parametrize("part", ["network", "architecture"])
def test_one_part_of_the_images_may_keep_its_true_labels(part: str, search: Make, places: Places) -> None:
    trial = search(task="rand", random_part=part)
    run = started(trial, places)
    data = datasets.prepare(trial.data, **places, expect=trial.dataset_id)
    given = torch.from_numpy(data.train.labels)
    first, second = halves(trial, len(given), trial.recipe)
    drawn, true = (first, second) if part == "network" else (second, first)
    source = run.t.train if part == "network" else run.others.train
    labels = torch.from_numpy(images_of(trial, data).train.labels)
    assert torch.equal(labels[true], given[true])
    assert (labels[drawn] == given[drawn]).float().mean() < 0.6
    assert len(source) == len(drawn)
    assert torch.equal(labels[drawn], torch.from_numpy(images_of(search(task="rand"), data).train.labels)[drawn])


def test_a_part_with_random_labels_needs_parts_and_classes(search: Make) -> None:
    with pytest.raises(ValueError, match="with portion = 1 the images are not divided"):
        search(task="rand", random_part="network", portion=1.0)
    with pytest.raises(ValueError, match="random_part = 'network': such labels have the classes of the dataset"):
        search(task="rand", random_part="network", classes=5)
    with pytest.raises(LookupError, match="random_part are for task rand alone"):
        search(task="cls", random_part="network")


def test_a_checkpoint_of_other_tables_is_refused(search: Make, places: Places) -> None:
    one, other = started(search("darts"), places), started(search("pc_darts"), places)
    with pytest.raises(ValueError, match=r"architecture weights of shapes .* expected .*cell_edges"):
        other.architecture.load(one.architecture.state())


def initial(run: SearchRun) -> dict[str, torch.Tensor]:
    return {name: values.detach().clone() for name, values in run.architecture.tables.items()}


def test_the_architecture_waits_for_its_first_epoch_and_no_step_moves_both(search: Make, places: Places) -> None:
    run = started(search("darts", frozen_epochs=1), places)
    before = initial(run)
    run.epoch(0)
    assert all(torch.equal(values, before[name]) for name, values in run.architecture.tables.items())
    run.epoch(1)
    assert not torch.equal(run.architecture.tables["cell"], before["cell"])
    frozen = started(search("darts", lr=1e-30, lr_end=0.0, weight_decay=0.0), places)
    weights = [w.detach().clone() for w in frozen.t.net.parameters()]
    frozen.epoch(0)
    moved = [(w - kept).abs().max().item() for w, kept in zip(frozen.t.net.parameters(), weights, strict=True)]
    assert max(moved) < 1e-20


def test_gradients_of_the_network_are_clipped_without_those_of_the_architecture(search: Make, places: Places) -> None:
    """After one step without momentum and decay the network has moved by rate times the limit."""
    run = started(
        search("darts", clip=1e-3, lr=1.0, lr_end=0.0, momentum=0.0, nesterov=False, weight_decay=0.0), places
    )
    weights = torch.cat([w.detach().flatten() for w in run.t.net.parameters()])
    steps = itertools.count(1)

    def stop() -> None:
        if next(steps) == 1:
            raise workers.Interrupted("one step")

    with pytest.raises(workers.Interrupted, match="one step"):
        run.epoch(0, stop)
    moved = torch.cat([w.detach().flatten() for w in run.t.net.parameters()]) - weights
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_the_two_parts_of_the_images_are_disjoint_and_the_same_for_all_tasks(search: Make) -> None:
    for portion, sizes in ((0.5, (32, 32)), (0.25, (16, 48))):
        trial = search(portion=portion)
        first, second = halves(trial, 64, trial.recipe)  # type: ignore[arg-type]
        assert (len(first), len(second)) == sizes
        assert sorted([*first.tolist(), *second.tolist()]) == list(range(64))
        other = search("gdas", task="rot", portion=portion)
        assert torch.equal(halves(other, 64, other.recipe)[0], first)  # type: ignore[arg-type]
    again = search(portion=0.5, seed=2)
    assert not torch.equal(halves(again, 64, again.recipe)[0], halves(search(), 64, search().recipe)[0])  # type: ignore[arg-type]
    whole = search(portion=1.0)
    assert [part.tolist() for part in halves(whole, 64, whole.recipe)] == [list(range(64))] * 2  # type: ignore[arg-type]


def test_images_of_the_architecture_are_used_again_when_they_are_fewer(search: Make, places: Places) -> None:
    run = started(search(portion=0.75, batch=16, epochs=1), places)
    assert (run.t.steps, run.others.steps) == (3, 1)
    batches = [part["image"].tolist() for part, _ in zip(run._held_out(0, 0), range(3), strict=False)]
    assert [sorted(batch) for batch in batches] == [sorted(batches[0])] * 3
    assert len({tuple(batch) for batch in batches}) == 3
    resumed = [part["image"].tolist() for part, _ in zip(run._held_out(0, 2), range(1), strict=False)]
    assert resumed == batches[2:]


def test_a_batch_larger_than_a_part_says_so(search: Make, places: Places) -> None:
    with pytest.raises(ValueError, match="a batch of 33 images is more than one of the two parts of the 64 training"):
        started(search(batch=33), places)
    assert search(batch=33).recipe.least_images == 66


def test_a_diverged_search_has_found_nothing(search: Make, places: Places) -> None:
    run = started(search(), places)
    assert not run.epoch(0).diverged
    assert run.columns()["found"] is not None
    next(iter(run.t.net.parameters())).data.fill_(math.nan)
    assert run.epoch(1).diverged
    columns = run.columns()
    assert (columns["found"], columns["found_arch_id"], columns["found_graph"]) == (None, None, None)
    assert len(columns["curve_found"]) == len(columns["curve_arch"]) == 1


def test_initial_architecture_weights_depend_on_space_and_seed_alone(search: Make, places: Places) -> None:
    tables = [
        initial(started(search(method, task=task, seed=seed), places))["cell"]
        for method, task, seed in (("darts", "cls", 1), ("gdas", "rot", 1), ("darts", "cls", 2))
    ]
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])
    assert 3e-4 < tables[0].std().item() < 3e-3
    assert isinstance(started(search(), places).architecture, Architecture)


def test_the_memory_of_a_search_is_that_of_its_supernet(search: Make) -> None:
    mixed, sampled = (training_bytes(search(method)) for method in ("darts", "gdas"))
    recipe = workers.recipe("demo", space="nasbench201", dataset="pictures", task="cls", size=16)
    cell = "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"
    trial = search().model_copy(update={"arch": cell, "recipe": recipe.replace(width=4, depth=1, batch=16)})
    alone, facts = training_bytes(trial), trial.data
    assert mixed == sampled  # before the first choice all operations are computed
    assert mixed > 2 * (alone - (facts.train_images + facts.test_images) * facts.size**2 * 3)


def test_an_architecture_and_a_search_exclude_each_other(search: Make) -> None:
    cell = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    fields: dict[str, Any] = {"space": "nasbench201", "dataset": "photos", "task": "cls"}
    with pytest.raises(ValueError, match=r"recipe 'darts' of the method 'darts' searches .*arch '\*', not '\|none"):
        workers.Trial(**fields, arch=cell, recipe=search().recipe)
    demo = workers.recipe("demo", space="nasbench201", dataset="photos", task="cls")
    with pytest.raises(ValueError, match=r"arch '\*' stands for a search, but recipe 'demo' of the method 'train'"):
        workers.Trial(**fields, arch="*", recipe=demo)
    with pytest.raises(LookupError, match="space 'nasbench101' has no supernet"):
        workers.Trial(**fields | {"space": "nasbench101"}, arch="*", recipe=search().recipe)
