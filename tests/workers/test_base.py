"""Trials that use the weights of another one: what is kept, what is refused, and the score of a trained network."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import spaces
import workers
from workers import datasets, files, loop, methods, recipes, tasks, weights
from workers.data.generated import Scenes
from workers.run import setting

CPU = torch.device("cpu")
SIZES = {"epochs": 2, "width": 2, "depth": 1, "batch": 16, "precise_bn": 32, "test_batch": 12}
ARCHS = spaces.sample(spaces.get("chain"), 2, 0).archs
SOURCES = {
    "shapes": Scenes(images=(64, 32), size=16, classes=4),
    "others": Scenes(images=(64, 40), size=16, classes=4, seed=1),
    "large": Scenes(images=(32, 16), size=32, classes=4),
    "more": Scenes(images=(64, 32), size=16, classes=5),
}
Where = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def where(cache: Path) -> Where:
    """A dataset as a plan names it."""
    known = {}

    def found(name: str) -> dict[str, Any]:
        if name not in known:
            own, dataset_id = datasets.describe(name, SOURCES[name], None, cache)
            known[name] = {"dataset": name, "own": own, "dataset_id": dataset_id}
        return known[name]

    return found


@pytest.fixture
def trained(where: Where) -> Callable[..., workers.Trial]:
    """Makes trainings of four steps per epoch, two of batch norm and three of evaluation."""

    def make(task: str = "cls", arch: str = ARCHS[0], dataset: str = "shapes", **changes: Any) -> workers.Trial:
        recipe = recipes.training("demo", space="chain", dataset=dataset, task=task, size=16).replace(**SIZES | changes)
        return workers.Trial(space="chain", arch=arch, task=task, recipe=recipe, **where(dataset))

    return make


@pytest.fixture
def clean(where: Where) -> Callable[..., workers.Trial]:
    """Makes the trial that evaluates a trained network."""

    def make(base: workers.Trial, dataset: str = "shapes", /, **changes: Any) -> workers.Trial:
        recipe = workers.recipe("robustness/clean", space="chain", dataset=dataset, task=base.task)
        values: dict[str, Any] = {"space": "chain", "arch": base.arch, "task": base.task, "base": base.id}
        return workers.Trial(**values | where(dataset) | {"recipe": recipe} | changes)

    return make


def nth(count: int) -> Callable[[], bool]:
    """Says stop when it is asked for the `count`-th time."""
    asked = itertools.count(1)
    return lambda: next(asked) >= count


@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
def test_on_the_dataset_of_the_base_the_score_is_that_of_its_last_epoch(
    task: str, trained: Any, clean: Any, cache: Path, tmp_path: Path
) -> None:
    """Bit for bit, with the statistics of batch norm that its last evaluation used."""
    base, url = trained(task), str(tmp_path / "base.pt")
    row = workers.run(base, cache_dir=cache, weights_url=url)
    found = workers.run(clean(base), cache_dir=cache, base_url=url)
    assert found["score_final"] == found["score_best"] == row["score_final"]
    for same in ("metric", "chance", "test_images", "test_targets", "params", "macs", "precision", "arch_id"):
        assert found[same] == row[same], same
    assert (found["method"], found["base"], row["base"]) == ("attack", base.id, None)
    assert (found["epochs"], found["train_loss"], found["diverged"]) == (1, None, False)
    read = recipes.read(found["recipe"], found["recipe_json"])
    assert read.id == found["recipe_id"]
    bound = weights.bound(clean(base), base)
    assert bound.id == found["trial_id"] == bound.model_copy(update={"recipe": read}).id


def test_of_street_scenes_too(data: Path, cache: Path, tmp_path: Path) -> None:
    root = data / "camvid_mini"
    recipe = workers.recipe("demo", space="chain", dataset="camvid", task="seg")
    recipe = recipe.replace(epochs=1, width=4, crop=65, scaled=96, test_batch=4, precise_bn=8, aspp=16, rates=(2,))
    fixed: dict[str, Any] = {"space": "chain", "arch": ARCHS[0], "dataset": "camvid", "task": "seg"}
    fixed["dataset_id"] = datasets.identify("camvid", root)
    row = workers.run(workers.Trial(**fixed, recipe=recipe), root, cache_dir=cache, weights_url=f"{tmp_path}/base.pt")
    recipe = workers.recipe("robustness/clean", space="chain", dataset="camvid", task="seg")
    trial = workers.Trial(**fixed, recipe=recipe, base=row["trial_id"])
    found = workers.run(trial, root, cache_dir=cache, base_url=f"{tmp_path}/base.pt")
    assert (found["score_final"], found["params"]) == (row["score_final"], row["params"])


def test_of_a_network_with_an_auxiliary_head_whose_width_follows_from_a_budget(
    where: Where, clean: Any, cache: Path, tmp_path: Path
) -> None:
    recipe = workers.recipe("darts_retrain", space="darts", dataset="large", task="cls", size=32)
    recipe = recipe.replace(epochs=1, width=None, macs=3_000_000, depth=3, batch=16, test_batch=16)
    arch = spaces.published("darts")["darts_v2"]
    base = workers.Trial(space="darts", arch=arch, task="cls", recipe=recipe, **where("large"))
    row = workers.run(base, cache_dir=cache, weights_url=f"{tmp_path}/base.pt")
    found = workers.run(clean(base, "large", space="darts"), cache_dir=cache, base_url=f"{tmp_path}/base.pt")
    for same in ("score_final", "params", "macs", "chance"):
        assert found[same] == row[same], same


def test_on_another_dataset_it_is_the_accuracy_on_its_test_split(
    trained: Any, clean: Any, cache: Path, tmp_path: Path
) -> None:
    base, url = trained(), str(tmp_path / "base.pt")
    workers.run(base, cache_dir=cache, weights_url=url)
    moved = clean(base, "others")
    found = workers.run(moved, cache_dir=cache, base_url=url)
    split = datasets.prepare(moved.own, None, cache).test
    task = tasks.get("cls")
    inputs, targets = task.batch(
        torch.from_numpy(split.images),
        torch.from_numpy(split.labels),
        task.draw(40, moved.data, None, False),
        moved.data,
    )
    net = weights.load(url, base.id).network(CPU).eval()
    right = (net(inputs).argmax(1) == targets).sum().item()
    assert found["score_final"] == right / 40
    assert found["test_images"] == 40


def test_a_stop_at_any_step_of_the_evaluation_changes_nothing(
    trained: Any, clean: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)
    base, url, kept = trained("rot"), str(tmp_path / "base.pt"), str(tmp_path / "trial.pt")
    workers.run(base, cache_dir=cache, weights_url=url)
    options: dict[str, Any] = {"cache_dir": cache, "base_url": url, "checkpoint_url": kept}
    whole = workers.run(clean(base), cache_dir=cache, base_url=url)
    for count in (1, 2):
        with pytest.raises(workers.Interrupted, match="its checkpoint was saved"):
            workers.run(clean(base), **options, stop=nth(count))
        assert workers.run(clean(base), **options)["score_final"] == whole["score_final"]


def test_a_training_that_was_stopped_keeps_the_same_weights(
    trained: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = trained()
    workers.run(base, cache_dir=cache, weights_url=f"{tmp_path}/whole.pt")
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)
    options: dict[str, Any] = {"checkpoint_url": f"{tmp_path}/trial.pt", "weights_url": f"{tmp_path}/stopped.pt"}
    for count in (3, 8, 4):
        with pytest.raises(workers.Interrupted):
            workers.run(base, cache_dir=cache, **options, stop=nth(count))
        assert not (tmp_path / "stopped.pt").exists()
    workers.run(base, cache_dir=cache, **options)
    whole, stopped = (weights.load(f"{tmp_path}/{name}.pt", base.id).values["net"] for name in ("whole", "stopped"))
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(whole[key], stopped[key]) for key in whole)


SEARCHES: dict[str, dict[str, Any]] = {
    "p_darts": {"space": "darts", "epochs": 2, "deeper": (1,), "kept": (3,), "dropout": (0.0, 0.0)},
}


@pytest.mark.parametrize("method", ["darts", "pc_darts", "p_darts", "gdas", "darts_minus"])
def test_the_weights_of_a_search_are_those_of_its_supernet(method: str, where: Where, tmp_path: Path) -> None:
    """Also after the last stage of a search in stages, whose network is another one than the recipe's."""
    changes = {"epochs": 1, "width": 4, "depth": 1, "batch": 32, "test_batch": 32, "precise_bn": 0, "frozen_epochs": 0}
    changes |= SEARCHES.get(method, {})
    space = changes.pop("space", "nasbench201")
    recipe = workers.recipe(method, space=space, dataset="shapes", task="cls", size=16).replace(**changes)
    trial = workers.Trial(space=space, arch=spaces.WHOLE, task="cls", recipe=recipe, **where("shapes"))
    assert recipe.keeps_weights
    run: Any = methods.get(method).start(setting(trial, CPU, None, None))
    loop.drive(run, trial, loop.Progress())
    weights.publish(f"{tmp_path}/base.pt", trial, run.weights())
    found = weights.load(f"{tmp_path}/base.pt", trial.id)
    assert found.trial.id == trial.id
    ours, theirs = found.network(CPU), run.t.net
    assert [str(m) for m in ours.modules()] == [str(m) for m in theirs.modules()]
    for (name, one), (_, other) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert torch.equal(one, other), name
    tables = run.architecture.tables
    assert found.values["architecture"].keys() == tables.keys()
    assert all(torch.equal(found.values["architecture"][name], tables[name]) for name in tables)
    run.close()


@pytest.fixture(scope="module")
def kept(cache: Path, where: Where, tmp_path_factory: pytest.TempPathFactory) -> tuple[workers.Trial, Path]:
    """A training and the file of its weights."""
    path = tmp_path_factory.mktemp("kept") / "base.pt"
    recipe = workers.recipe("demo", space="chain", dataset="shapes", task="cls", size=16).replace(**SIZES)
    base = workers.Trial(space="chain", arch=ARCHS[0], task="cls", recipe=recipe, **where("shapes"))
    workers.run(base, cache_dir=cache, weights_url=str(path))
    return base, path


@pytest.mark.parametrize("place", [0, 40, 0.2, 0.5, 0.9, -200, -1])
def test_a_damaged_file_is_refused(place: float, kept: Any, clean: Any, tmp_path: Path) -> None:
    base, path = kept
    data = bytearray(path.read_bytes())
    data[int(place * len(data)) if isinstance(place, float) else place] ^= 0xFF
    (tmp_path / "base.pt").write_bytes(data)
    with pytest.raises(ValueError, match=r"weights at .* cannot be used .*; remove the file, and"):
        workers.run(clean(base), base_url=str(tmp_path / "base.pt"))
    (tmp_path / "base.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="cannot be used"):
        workers.run(clean(base), base_url=str(tmp_path / "base.pt"))


def test_what_does_not_fit_is_refused(kept: Any, trained: Any, clean: Any, cache: Path, tmp_path: Path) -> None:
    base, path = kept
    missing = str(tmp_path / "none.pt")
    with pytest.raises(FileNotFoundError, match=f"no weights of trial {base.id} at {missing}.*retry STUDY --trial"):
        workers.run(clean(base), base_url=missing)
    with pytest.raises(ValueError, match=f"uses the weights of trial {base.id}: expected `base_url`"):
        workers.run(clean(base))
    for wrong, says in [
        (clean(base, base="0" * 16), f"belong to trial {base.id}, not 0000"),
        (clean(base, arch=ARCHS[1]), f"needs weights of arch '{ARCHS[1]}', and the base .* has arch '{ARCHS[0]}'"),
        (clean(base, task="rot"), "needs weights of task 'rot', and the base .* has task 'cls'"),
        (clean(base, "more"), r"shapes do not fit more: head.*\.weight is of shape \(4, .*it would be of shape \(5, "),
        (clean(base, recipe=clean(base).recipe.bound(base.recipe.replace(lr=0.5))), '"lr":0.1.*expects .*"lr":0.5'),
    ]:
        with pytest.raises(ValueError, match=says):
            workers.run(wrong, cache_dir=cache, base_url=str(path))


def test_a_base_is_given_exactly_where_it_is_used(kept: Any, clean: Any) -> None:
    base, path = kept
    fields = dict(clean(base))
    with pytest.raises(ValueError, match="'robustness/clean' of the method 'attack' uses the weights of another trial"):
        workers.Trial(**fields | {"base": None})
    with pytest.raises(ValueError, match="'demo' of the method 'train' uses no weights of another trial"):
        workers.Trial(**dict(base) | {"base": base.id})
    with pytest.raises(ValueError, match="base"):
        workers.Trial(**fields | {"base": "../../etc/passwd"})
    with pytest.raises(ValueError, match="the recipe of its base, which is not known yet"):
        _ = clean(base).id
    with pytest.raises(ValueError, match="'attack' ends without weights"):
        workers.run(clean(base), base_url=str(path), weights_url=str(path))


def test_the_base_and_how_it_was_trained_are_part_of_the_identity(kept: Any, clean: Any) -> None:
    base, _ = kept
    trial = weights.bound(clean(base), base)
    others = [trial.model_copy(update={"base": "f" * 16}), trial.model_copy(update={"seed": 2})]
    longer = base.model_copy(update={"recipe": base.recipe.replace(epochs=3)})
    others.append(weights.bound(clean(longer), longer))
    assert len({one.id for one in (trial, *others)}) == 4
    assert others[-1].recipe.id != trial.recipe.id
    faster = base.model_copy(update={"recipe": base.recipe.replace(test_batch=5, threads=2)})
    quick = weights.bound(clean(faster), faster)
    assert (quick.id, quick.recipe.id) == (trial.id, trial.recipe.id)
    assert quick.recipe.executed == {"test_batch": 5, "threads": 2}
    assert weights.bound(clean(base, recipe=clean(base).recipe.replace(test_batch=7)), base).recipe.executed == {
        "test_batch": 7
    }
    with pytest.raises(ValueError, match="a recipe has no 'width'; it has test_batch, threads"):
        trial.recipe.replace(width=8)


def test_weights_are_there_before_the_row_or_the_attempt_is_none(
    kept: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, _ = kept
    monkeypatch.setattr(files, "WAITS_S", ())
    (tmp_path / "full").write_text("a file where a folder is expected")
    with pytest.raises(weights.NotPublished, match=f"weights of trial {base.id} could not be written"):
        workers.attempt(base, cache_dir=cache, weights_url=f"{tmp_path}/full/base.pt")


def test_weights_lie_at_any_url_and_a_supernet_is_read_once(
    kept: Any, where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, path = kept
    url = f"memory://weights/{base.id}.pt"
    values = weights.load(str(path), base.id).values
    weights.publish(url, base, values)
    found = weights.load(url, base.id)
    assert found.trial.id == base.id
    assert all(torch.equal(found.values["net"][key], one) for key, one in values["net"].items())
    recipe = workers.recipe("darts", space="nasbench201", dataset="shapes", task="cls", size=16)
    whole = workers.Trial(space="nasbench201", arch=spaces.WHOLE, task="cls", recipe=recipe, **where("shapes"))
    weights.publish(url, whole, {"net": {"x": torch.zeros(1)}})
    assert weights.load(url, whole.id) is weights.load(url, whole.id)
    weights.publish(url, whole, {"net": {"x": torch.ones(1)}})
    assert weights.load(url, whole.id).values["net"]["x"] == 1
    with pytest.raises(ValueError, match="belong to trial"):
        weights.load(url, base.id)
    with pytest.raises(ValueError, match="do not fit its network"):
        weights.load(url, whole.id).network(CPU)
    files.remove(url)
    with pytest.raises(FileNotFoundError):
        weights.load(url, whole.id)
