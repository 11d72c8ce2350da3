"""Searches: rows, every task as the objective, stops at any step, what each of the two kinds of steps changes."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spaces
import workers
from spaces._edges import Auxiliary, Dag, Zero
from workers import datasets, methods, recipes
from workers.memory import training_bytes
from workers.methods._architecture import Architecture
from workers.methods._bilevel import SearchRun
from workers.methods._halves import halves
from workers.methods._unrolled import unrolled
from workers.methods.gdas import Sampled
from workers.methods.p_darts import StagedRun, narrowed
from workers.methods.snas import Soft
from workers.row import table
from workers.run import setting
from workers.training.epoch import learning_rate
from workers.training.steps import Training

METHODS: dict[str, dict[str, Any]] = {
    "darts": {"order": 2},
    "pc_darts": {"frozen_epochs": 1},
    "gdas": {"first": "architecture"},
    "darts_minus": {"fading": "cosine"},
    "p_darts": {"space": "darts", "deeper": (1,), "kept": (3,), "dropout": (0.3, 0.5), "frozen_epochs": 0},
}
SCIENCE = ("score_best", "score_final", "epochs", "train_loss", "diverged", "curve_train_loss", "curve_test_score")
SCIENCE += ("found", "found_arch_id", "curve_found", "curve_arch", "arch_shape", "chance", "test_images")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


Make = Callable[..., workers.Trial]
Places = dict[str, Path]


@pytest.fixture
def places(pictures: Path, cache: Path) -> Places:
    """Where images are read and kept."""
    return {"data_root": pictures, "cache_dir": cache}


@pytest.fixture
def search(pictures: Path, cache: Path) -> Make:
    """Makes searches of 64 images: two steps of 16 images for the network, two for the architecture, per epoch."""
    source = datasets.Source(kind="parquet", size=32)
    own, dataset_id = datasets.describe("pictures", source, pictures, cache)

    def make(
        method: str = "darts", space: str = "nasbench201", task: str = "cls", seed: int = 1, **changes: Any
    ) -> workers.Trial:
        sizes = {"epochs": 2, "width": 4, "depth": 1, "batch": 16, "test_batch": 32, "arch_lr": 0.02}
        recipe = workers.recipe(method, space=space, dataset="pictures", task=task, size=32)
        where: dict[str, Any] = {"dataset": "pictures", "dataset_id": dataset_id, "own": own}
        return workers.Trial(
            space=space, arch=spaces.WHOLE, task=task, seed=seed, recipe=recipe.replace(**sizes | changes), **where
        )

    return make


def started(trial: workers.Trial, places: Places) -> SearchRun:
    run = methods.get(trial.recipe.method).start(setting(trial, torch.device("cpu"), **places))
    assert isinstance(run, SearchRun)
    return run


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


def test_the_second_order_goes_through_the_step_that_the_optimiser_would_make(
    search: Make, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Momentum of the first step, weight decay and rate included: the step itself is made by SGD on a copy."""
    step_of: dict[str, Any] = {"lr": 0.02, "lr_end": 0.0, "weight_decay": 0.05, "momentum": 0.8, "nesterov": False}
    trial = search("darts", order=2, width=2, clip=None, **step_of)
    run = started(trial, places)
    # In float64 and with a radius so small that no ReLU changes its side.
    monkeypatch.setattr("workers.methods._unrolled.RADIUS", 1e-8)
    plain = Training.batch
    monkeypatch.setattr(
        Training, "batch", lambda t, split, part: (lambda x, y: (x.double(), y))(*plain(t, split, part))
    )
    run.t.net.double()
    for w, kept in run.t.optimizer.state.items():
        kept["momentum_buffer"] = kept["momentum_buffer"].to(w)
    for values in run.architecture.tables.values():
        values.data = values.data.double()
    seen: list[float] = []

    def compare(weights: Any, tables: Any, train_loss: Any, held_out_loss: Any, **options: Any) -> Any:
        def after_a_step() -> float:
            """The held-out loss after a step at the present architecture weights."""
            kept = [w.detach().clone() for w in weights]
            copy = torch.optim.SGD(weights, lr=0.02, momentum=0.8, weight_decay=0.05)
            for w in weights:
                if "momentum_buffer" in run.t.optimizer.state[w]:
                    copy.state[w]["momentum_buffer"] = run.t.optimizer.state[w]["momentum_buffer"].clone()
                w.grad = None
            train_loss().backward()
            copy.step()
            value: float = held_out_loss().item()
            with torch.no_grad():
                for w, before in zip(weights, kept, strict=True):
                    w.copy_(before)
            return value

        found = unrolled(weights, tables, train_loss, held_out_loss, **options)
        (table,), (gradient,) = tables, found
        direction = gradient / gradient.norm()
        sides = []
        for step in (1e-7, -2e-7):
            with torch.no_grad():
                table += step * direction
            sides.append(after_a_step())
        with torch.no_grad():
            table += 1e-7 * direction
        seen.append((sides[0] - sides[1]) / 2e-7 / gradient.norm().item())
        return found

    monkeypatch.setattr("workers.methods._bilevel.unrolled", compare)
    run.epoch(0)
    assert seen == pytest.approx([1.0, 1.0], rel=1e-3)


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


def test_sampled_operations_follow_the_softmax_and_gradients_are_those_of_h() -> None:
    alphas = {"cell": torch.tensor([[0.0, 1.0, 2.0]]).requires_grad_()}
    relaxation = Sampled((10.0, 0.1), epochs=3)
    assert [relaxation.temperature(epoch) for epoch in range(3)] == pytest.approx([10.0, 5.05, 0.1])
    counts = torch.zeros(3)
    for seed in range(2000):
        drawn = relaxation.drawn(alphas, 0, torch.Generator().manual_seed(seed))["cell"]
        counts += drawn[0].detach().round()
    assert (counts / 2000).tolist() == pytest.approx(alphas["cell"][0].softmax(0).tolist(), abs=0.03)
    one = relaxation.drawn(alphas, 2, torch.Generator().manual_seed(0))["cell"]
    noise = -torch.empty(1, 3).exponential_(generator=torch.Generator().manual_seed(0)).log()
    h = ((alphas["cell"].log_softmax(1) + noise) / 0.1).softmax(1)
    assert sorted(one[0].tolist()) == pytest.approx([0.0, 0.0, 1.0])
    (found,) = torch.autograd.grad(one[0, 1], alphas["cell"])
    (wanted,) = torch.autograd.grad(h[0, 1], alphas["cell"])
    torch.testing.assert_close(found, wanted)
    assert relaxation.settled(alphas)["cell"].tolist() == [[0.0, 0.0, 1.0]]


def test_weights_of_snas_are_soft_and_sharpen_exponentially() -> None:
    alphas = {"cell": torch.tensor([[0.0, 1.0, 2.0]])}
    relaxation = Soft((4.0, 0.25), epochs=3)
    assert [relaxation.temperature(epoch) for epoch in range(3)] == pytest.approx([4.0, 1.0, 0.25])
    drawn = [relaxation.drawn(alphas, epoch, torch.Generator().manual_seed(0))["cell"] for epoch in range(3)]
    assert [h.sum().item() for h in drawn] == pytest.approx([1.0] * 3)
    assert 1 / 3 < drawn[0].max().item() < drawn[1].max().item() < drawn[2].max().item() <= 1.0
    assert torch.equal(relaxation.settled(alphas)["cell"], alphas["cell"].softmax(1))


@pytest.mark.parametrize(("fading", "factors"), [("linear", [1.0, 0.75, 0.5, 0.25, 0.0]), ("cosine", None)])
def test_further_skip_connections_fade_out(
    fading: str, factors: list[float] | None, search: Make, places: Places
) -> None:
    run = started(search("darts_minus", fading=fading, epochs=5), places)
    found = [run.relaxation.auxiliary(epoch) for epoch in range(5)]
    assert found == pytest.approx(factors or [1.0, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5, 0.0])
    run.epoch(2)
    edges = [module for module in run.supernet.modules() if isinstance(module, Auxiliary)]
    assert len(edges) == 3 * 6
    assert {edge.factor for edge in edges} == {found[2]}


def staged(search: Make, **changes: Any) -> workers.Trial:
    return search("p_darts", **METHODS["p_darts"] | {"epochs": 4} | changes)


def test_a_stage_of_p_darts_has_a_deeper_network_of_fewer_operations(search: Make, places: Places) -> None:
    run = started(staged(search), places)
    assert isinstance(run, StagedRun)
    run.epoch(0)
    run.epoch(1)
    first, weights, tables = run.t.net, run.architecture.probabilities(), run.architecture.tables
    run.epoch(2)
    assert run.t.net is not first
    dags = [module for module in run.supernet.modules() if isinstance(module, Dag)]
    assert len(dags) == 2
    for dag in dags:
        for row, flags, edge in zip(weights[dag.name], run.kept[dag.name], dag.edges, strict=True):
            assert sorted(row[flags].tolist()) == sorted(row.tolist())[-3:]
            assert [isinstance(op, Zero) for op in edge.ops[1:]] == [not flag for flag in flags[1:]]
    assert not torch.equal(run.architecture.tables["normal"], tables["normal"])
    again = run.architecture.probabilities()["normal"]
    assert ((again > 0) == torch.tensor(run.kept["normal"])).all()
    assert again.sum(1).tolist() == pytest.approx([1.0] * 14)
    values = np.array(run.columns()["curve_arch"][-1])
    assert np.isneginf(values).sum() == 2 * 14 * 5


def test_stages_have_their_own_cosine_and_dropout(search: Make, places: Places) -> None:
    run = started(staged(search, epochs=20, frozen_epochs=4, dropout=(0.4, 0.8)), places)
    places_of = [run.schedule(epoch) for epoch in (0, 9, 10, 19)]
    assert places_of == [(0, 10), (9, 10), (0, 10), (9, 10)]
    rates = [learning_rate(run.recipe, *run.schedule(epoch)) for epoch in range(20)]
    assert rates[:10] == rates[10:]
    assert rates[0] == run.recipe.lr
    found = [run.relaxation.dropout(epoch) for epoch in (0, 3, 4, 9, 10, 14)]
    assert found == pytest.approx([0.4 * 0.9, 0.4 * 0.6, 0.4, 0.4 * math.exp(-1), 0.8 * 0.9, 0.8])


def test_the_strongest_operations_of_those_that_are_left_stay() -> None:
    kept = {"cell": [[True, True, True, False], [True, False, True, True]]}
    weights = {"cell": torch.tensor([[0.1, 0.5, 0.4, 0.9], [0.3, 0.9, 0.3, 0.3]])}
    assert narrowed(kept, weights, 2) == {"cell": [[False, True, True, False], [True, False, True, False]]}


def test_stages_that_do_not_fit_are_refused() -> None:
    recipe = workers.recipe("p_darts", space="darts", dataset="cifar10", task="cls")
    assert recipe.passes(100, 0) == 75 * (3 * 50 + 50) + 45 * 3 * 50
    with pytest.raises(ValueError, match="epochs = 74 cannot be divided into 3 stages"):
        recipe.replace(epochs=74)
    with pytest.raises(ValueError, match="deeper, kept and dropout have 1, 2 and 3 values"):
        recipe.replace(deeper=(6,))


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
    fields: dict[str, Any] = {"space": "nasbench201", "dataset": "photos", "task": "cls"}
    recipe = workers.recipe("demo", **fields).replace(width=4, depth=1, batch=16)
    cell = "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"
    alone = training_bytes(workers.Trial(**fields, arch=cell, recipe=recipe))
    assert mixed == sampled  # before the first choice all operations are computed
    photos = datasets.get("photos")
    assert mixed > 2 * (alone - (photos.train_images + photos.test_images) * photos.size**2 * 3)


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
