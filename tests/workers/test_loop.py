"""The loop: stops and kills at any step, checkpoints of earlier versions, how often `stop` is called, other methods."""

import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import spaces
import workers
from tests.workers.prepared import prepare, stop_after
from tests.workers.replayed import tape
from workers import checkpoint, datasets, loop, methods
from workers.datasets import Source
from workers.loop import Progress, drive, resume
from workers.methods._method import Epoch
from workers.methods.train import TrainRun
from workers.recipes import AnyRecipe

CPU = torch.device("cpu")
SCIENCE = ("score_best", "score_final", "best_epoch", "epochs", "train_loss", "diverged")
SCIENCE += ("curve_train_loss", "curve_test_score")


PLANNED: dict[str, Any] = {}  # the dataset of these trainings, as a plan names it


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A cache that holds the images already."""
    folder = tmp_path_factory.mktemp("cache")
    own, dataset_id = datasets.describe("pictures", Source(kind="parquet", size=16), pictures, folder)
    datasets.prepare(own, pictures, folder, expect=dataset_id)
    PLANNED.update(own=own, dataset_id=dataset_id)
    return folder


@pytest.fixture(autouse=True)
def _asked_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)


def trial(task: str = "cls", **changes: Any) -> workers.Trial:
    """Two epochs of six steps, two of precise BN and three of evaluation, the last of these smaller."""
    recipe = workers.recipe("demo", space="chain", dataset="pictures", task=task, size=16)
    sizes = {"epochs": 2, "width": 4, "batch": 10, "precise_bn": 20, "test_batch": 12}
    arch = spaces.sample(spaces.get("chain"), 1, 0).archs[0]
    recipe = recipe.replace(**sizes | changes)
    return workers.Trial(space="chain", arch=arch, dataset="pictures", task=task, recipe=recipe, **PLANNED)


def street(root: Path) -> workers.Trial:
    """Two epochs of segmentation."""
    recipe = workers.recipe("demo", space="chain", dataset="camvid", task="seg")
    recipe = recipe.replace(epochs=2, width=4, crop=65, scaled=96, test_batch=4, precise_bn=8)
    arch = spaces.sample(spaces.get("chain"), 1, 0).archs[0]
    dataset_id = datasets.identify("camvid", root)
    return workers.Trial(space="chain", arch=arch, dataset="camvid", task="seg", recipe=recipe, dataset_id=dataset_id)


def science(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in SCIENCE}


_WHOLE: dict[str, dict[str, Any]] = {}


def whole_of(t: workers.Trial, cache: Path, root: Path | None = None) -> dict[str, Any]:
    """The row of the undisturbed training, which is trained once for all tests that compare with it."""
    if t.id not in _WHOLE:
        _WHOLE[t.id] = science(workers.run(t, root, cache_dir=cache))
    return _WHOLE[t.id]


def nth(count: int) -> Callable[[], bool]:
    """Says stop when it is asked for the `count`-th time, and from then on."""
    asked = itertools.count(1)
    return lambda: next(asked) >= count


def position(path: Path) -> tuple[int, str, int]:
    """Epochs done, split and images done, as a checkpoint has it."""
    state = torch.load(path, weights_only=True)["state"]
    within = state.get("within", {"split": "", "done": 0})
    return len(state["progress"]["train_loss"]), within["split"], within["done"]


def test_a_stop_at_any_step_of_an_epoch_changes_nothing(cache: Path, tmp_path: Path) -> None:
    t = trial()
    whole = whole_of(t, cache)
    seen = []
    for count in itertools.count(1):
        path = tmp_path / f"{count}.pt"
        with pytest.raises(workers.Interrupted, match=r"(within|after) epoch 1 of 2; its checkpoint was saved"):
            workers.run(t, cache_dir=cache, checkpoint_url=str(path), stop=nth(count))
        seen.append(position(path))
        row = workers.run(t, cache_dir=cache, checkpoint_url=str(path))
        assert science(row) == whole, seen[-1]
        assert row["resumed"] == seen[-1][0]
        if seen[-1][0]:
            break
    images = [done for _, split, done in seen if split == "train"]
    assert images == [10, 20, 30, 40, 50, 60, 60, 60]  # six steps, two batches of precise BN
    tested = [done for _, split, done in seen if split == "test"]
    assert tested[0] == 0  # before the evaluation
    assert tested[-1] == max(tested) > 12
    assert seen[-1] == (1, "", 0)


@pytest.mark.parametrize("task", ["rot", "col", "jig", "seg"])
def test_a_training_stopped_again_and_again_ends_in_the_same_row(
    task: str, data: Path, cache: Path, tmp_path: Path
) -> None:
    root = data / "camvid_mini" if task == "seg" else None
    t = street(root) if root else trial(task)
    whole = whole_of(t, cache, root)
    path, seen = tmp_path / "c.pt", set()
    for count in itertools.cycle([4, 5, 3, 6]):
        try:
            row = workers.run(t, root, cache_dir=cache, checkpoint_url=str(path), stop=nth(count))
            break
        except workers.Interrupted:
            seen.add(position(path))
    assert science(row) == whole
    assert {epoch for epoch, *_ in seen} == {0, 1}
    assert {split for _, split, _ in seen} >= {"train", "test"}


def test_a_training_killed_inside_an_epoch_goes_on_from_the_checkpoint_before(cache: Path, tmp_path: Path) -> None:
    t, path = trial(), tmp_path / "c.pt"
    whole = whole_of(t, cache)
    asked = itertools.count(1)

    def killed() -> bool:
        if next(asked) == 5:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        workers.run(t, cache_dir=cache, checkpoint_url=str(path), checkpoint_every_s=0.0, stop=killed)
    assert position(path) == (0, "train", 40)
    assert science(workers.run(t, cache_dir=cache, checkpoint_url=str(path))) == whole


def test_a_checkpoint_between_epochs_has_the_form_of_earlier_versions(cache: Path, tmp_path: Path) -> None:
    """They are read on both sides of an update; one inside an epoch is refused by earlier versions."""
    t, path = trial(), tmp_path / "c.pt"
    with pytest.raises(workers.Interrupted, match="after epoch 1 of 2"):
        workers.run(t, cache_dir=cache, checkpoint_url=str(path), **stop_after())
    state = torch.load(path, weights_only=True)["state"]
    assert set(state) == {"net", "optimizer", "progress"}
    assert set(state["progress"]) == {"train_loss", "test_score", "seconds", "diverged"}
    row = workers.run(t, cache_dir=cache, checkpoint_url=str(path))
    assert row["resumed"] == 1
    assert science(row) == whole_of(t, cache)


@pytest.mark.parametrize(
    "change",
    [
        {"done": 9},
        {"done": -10},
        {"done": 10**6},
        {"split": "both"},
        {"loss": "0.1"},
        {"sums": []},
        {"sums": [torch.zeros(2, dtype=torch.float64)]},
        {"sums": [torch.zeros(())]},
        None,
    ],
)
def test_a_position_that_does_not_fit_is_left_aside(
    change: dict[str, Any] | None, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    t, path = trial(), tmp_path / "c.pt"
    with pytest.raises(workers.Interrupted):
        workers.run(t, cache_dir=cache, checkpoint_url=str(path), stop=nth(3))
    saved = torch.load(path, weights_only=True)
    if change is None:
        del saved["state"]["progress"]["begun_s"]
    else:
        saved["state"]["within"].update(change)
    torch.save(saved, path)
    row = workers.run(t, cache_dir=cache, checkpoint_url=str(path))
    assert "does not fit this training" in caplog.text
    assert science(row) == whole_of(t, cache)


def test_seconds_of_an_interrupted_epoch_add_up(cache: Path, tmp_path: Path) -> None:
    t, url = trial(epochs=1), str(tmp_path / "c.pt")

    def slow(count: int) -> Callable[[], bool]:
        says = nth(count)
        return lambda: time.sleep(0.2) or says()

    for _ in range(2):
        with pytest.raises(workers.Interrupted, match="within epoch 1 of 1"):
            workers.run(t, cache_dir=cache, checkpoint_url=url, stop=slow(2))
    row = workers.run(t, cache_dir=cache, checkpoint_url=url)
    assert row["resumed"] == 0
    assert row["curve_seconds"] == [row["train_s"]]
    assert 0.8 <= row["train_s"] < 60


def test_whether_to_stop_is_asked_once_per_second(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after every step and every epoch: the answer may be a file in an object store."""
    monkeypatch.setattr(loop, "STOP_CHECK_S", 0.05)
    times: list[float] = []

    def stop() -> bool:
        times.append(time.monotonic())
        return False

    workers.run(trial(epochs=6), cache_dir=cache, checkpoint_url=str(tmp_path / "c.pt"), stop=stop)
    assert len(times) > 2
    assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(times))


def test_recorded_steps_go_on_inside_an_epoch(cache: Path) -> None:
    """A step is recorded with the first part that comes after a stop, and its sums go on from those that were kept."""
    undisturbed = TrainRun(prepare(trial(), CPU, None, cache)).epoch(0)
    for stops in (2, 8, 10, 11):  # in training, precise BN and evaluation
        first = TrainRun(prepare(trial(), CPU, None, cache, tape))
        says = nth(stops)

        def between(says: Callable[[], bool] = says) -> None:
            if says():
                raise InterruptedError

        with pytest.raises(InterruptedError):
            first.epoch(0, between)
        second = TrainRun(prepare(trial(), CPU, None, cache, tape))
        second.load(first.state())
        found = second.epoch(0)
        assert found.loss == pytest.approx(undisturbed.loss, rel=1e-5)
        assert found.score == pytest.approx(undisturbed.score, abs=0.05)
        assert second.columns()["step_mode"] == "graph"


def test_an_evaluation_goes_on_with_a_whole_part(cache: Path) -> None:
    """Else the smaller last part would be the one that is recorded, and all others would be computed eagerly."""
    t = prepare(trial(), CPU, None, cache)
    run = TrainRun(t)
    state = run.state()
    for done, expected in ((12, 12), (len(t.test) - 1, 0), (len(t.test), len(t.test))):
        within = {"split": "test", "done": done, "sums": [s.clone() for s in t.judging.sums], "loss": 0.5}
        run.load({**state, "within": within})
        assert run._at is not None
        assert (run._at.split, run._at.done, run._at.loss) == ("test", expected, 0.5)


class Counting:
    """A run that trains nothing: its epochs add numbers, and end in a column."""

    epochs = 3

    def __init__(self) -> None:
        self.total, self.step = 0, 0
        self.closed = False

    def epoch(self, number: int, between: Callable[[], None]) -> Epoch:
        while self.step < 4:
            self.total += 10**number
            self.step += 1
            between()
        self.step = 0
        return Epoch(float(number), self.total / 1000, diverged=False)

    def state(self) -> dict[str, Any]:
        return {"total": self.total} | ({"within": self.step} if self.step else {})

    def load(self, state: dict[str, Any]) -> None:
        self.total, self.step = state["total"], state.get("within", 0)

    def columns(self) -> dict[str, Any]:
        return {"found": str(self.total)}

    def weights(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


def test_any_method_runs_in_the_same_loop(tmp_path: Path) -> None:
    t, url = trial(), str(tmp_path / "c.pt")
    stops = 0
    while True:
        run = Counting()
        progress = resume(run, t, url, CPU)
        try:
            drive(run, t, progress, url, stop=lambda: True)
            break
        except workers.Interrupted:
            stops += 1
    assert stops == 3 * 4 + 2  # after each step and between epochs
    assert progress.train_loss == [0.0, 1.0, 2.0]
    assert progress.test_score == [0.004, 0.044, 0.444]
    assert run.columns() == {"found": "444"}


def test_the_method_of_a_recipe_is_run_and_its_columns_are_in_the_row(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Counting()

    class Count:
        name = "count"

        def start(self, setting: Any) -> Counting:
            assert setting.trial.space == "chain"
            return run

    monkeypatch.setattr(methods, "get", lambda name: {"train": Count()}[name])
    row = workers.run(trial(), cache_dir=cache)
    assert (row["found"], row["epochs"], row["score_best"], row["status"]) == ("444", 3, 0.444, "ok")
    assert run.closed


def test_every_method_is_one_that_a_recipe_can_name() -> None:
    (union, _) = get_args(AnyRecipe)
    kinds = [get_args(kind)[0] for kind in get_args(union)]
    assert {kind.model_fields["method"].default for kind in kinds} == set(methods.names())
    assert [methods.get(name).name for name in methods.names()] == methods.names()
    with pytest.raises(LookupError, match="no method 'nothing'; have "):
        methods.get("nothing")


def test_progress_knows_best_and_last() -> None:
    progress = Progress()
    for score in (0.1, 0.3, 0.3, math.nan):
        progress.add(Epoch(1.0, score, diverged=not math.isfinite(score)), 2.0)
    found = progress.columns()
    assert (found["score_best"], found["best_epoch"], found["diverged"], found["train_s"]) == (0.3, 2, True, 8.0)
    assert math.isnan(found["score_final"])


def test_a_trial_of_another_id_does_not_get_the_position(cache: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "c.pt")
    with pytest.raises(workers.Interrupted):
        workers.run(trial(), cache_dir=cache, checkpoint_url=url, stop=nth(2))
    assert checkpoint.load(url, trial(lr=0.05), CPU) is None
