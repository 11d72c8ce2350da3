"""A training: its batches, the batch-norm statistics of an evaluation, the columns of its row."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import spaces
import workers
from tests.workers.prepared import prepare, stop_after
from workers import checkpoint, datasets
from workers.datasets import Source
from workers.training.epoch import precise_bn
from workers.training.steps import Training

# What two runs of one trial must agree on, bit for bit: all but times, places and memory.
SCIENCE = [
    "trial_id",
    "status",
    "arch",
    "score_best",
    "score_final",
    "best_epoch",
    "epochs",
    "train_loss",
    "diverged",
    "curve_train_loss",
    "curve_test_score",
    "params",
    "macs",
]


PLANNED: dict[str, Any] = {}  # the dataset of these trainings, as a plan names it


def small(task: str = "cls", space: str = "chain", **more: Any) -> workers.Trial:
    """A training of two steps per epoch."""
    r = workers.recipe("demo", space=space, dataset="pictures", task=task, size=16).replace(
        **{"epochs": 2, "width": 4, "batch": 32, "precise_bn": 64, "test_batch": 32, **more}
    )
    arch = spaces.sample(spaces.get(space), 1, 0).archs[0]
    return workers.Trial(space=space, arch=arch, dataset="pictures", task=task, recipe=r, **PLANNED)


def science(row: dict[str, Any]) -> dict[str, Any]:
    return {k: row[k] for k in SCIENCE}


@pytest.fixture(autouse=True)
def _asked_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A cache that holds the images already."""
    folder = tmp_path_factory.mktemp("cache")
    own, dataset_id = datasets.describe("pictures", Source(kind="parquet", size=16), pictures, folder)
    datasets.prepare(own, pictures, folder, expect=dataset_id)
    PLANNED.update(own=own, dataset_id=dataset_id)
    return folder


def training(t: workers.Trial, cache: Path) -> Training:
    return prepare(t, torch.device("cpu"), None, cache)


@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
def test_every_architecture_sees_the_same_batches(task: str, cache: Path) -> None:
    one, other = (training(small(task, space), cache) for space in ("chain", "nasbench101"))
    pairs = zip(one.batches("train", 3, 2), other.batches("train", 3, 2), strict=True)
    assert all(torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in pairs)
    pairs = zip(one.test_batches(), other.test_batches(), strict=True)
    assert all(torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in pairs)


@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
def test_batches_change_with_epoch_and_seed(task: str, cache: Path) -> None:
    t = training(small(task), cache)
    seeded = training(small(task).model_copy(update={"seed": 2}), cache)
    first = [
        next(iter(b))[0] for b in (t.batches("train", 0, 1), t.batches("train", 1, 1), seeded.batches("train", 0, 1))
    ]
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


def test_an_epoch_shows_every_image_at_most_once(cache: Path) -> None:
    t = training(small("rot"), cache)
    order = torch.cat([x for x, _ in t.batches("train", 0, t.steps)])
    assert len(order) == 4 * t.steps * t.trial.recipe.batch


def test_weights_depend_on_seed_and_not_on_what_ran_before(cache: Path) -> None:
    one = training(small(), cache).net.state_dict()
    torch.manual_seed(99)
    torch.rand(7)
    again = training(small(), cache).net.state_dict()
    other = training(small().model_copy(update={"seed": 2}), cache).net.state_dict()
    assert all(torch.equal(one[k], again[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_precise_bn_holds_the_moments_of_its_batches(cache: Path) -> None:
    """Against the moments of the activations themselves, caught on their way into the first norm."""
    t = training(small(), cache)
    norm = next(m for m in t.net.modules() if isinstance(m, torch.nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].double()))
    momentum = norm.momentum
    precise_bn(t, 0)
    assert len(seen) == t.trial.recipe.precise_bn // t.trial.recipe.batch > 0
    means = torch.stack([x.mean((0, 2, 3)) for x in seen])
    variances = torch.stack([x.var((0, 2, 3), unbiased=True) for x in seen])
    mean = means.mean(0)
    torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
    expected = (variances + means**2).mean(0) - mean**2
    torch.testing.assert_close(norm.running_var.double(), expected, rtol=1e-4, atol=1e-6)
    assert norm.momentum == momentum


def test_a_training_learns_and_repeats_bit_for_bit(cache: Path) -> None:
    t = small(epochs=6, lr=0.2)
    row = workers.run(t, cache_dir=cache)
    assert row["score_best"] > 2 / 4  # four classes: chance is 1/4
    assert row["score_best"] == max(row["curve_test_score"])
    assert row["curve_test_score"][row["best_epoch"] - 1] == row["score_best"]
    assert row["epochs"] == len(row["curve_train_loss"]) == len(row["curve_seconds"]) == 6
    assert science(workers.run(t, cache_dir=cache)) == science(row)


@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
@pytest.mark.parametrize("space", spaces.names())
def test_a_training_stopped_after_any_epoch_ends_in_the_same_row(
    space: str, task: str, cache: Path, tmp_path: Path
) -> None:
    t = small(task, space, epochs=3 if space == "chain" else 2)
    undisturbed = workers.run(t, cache_dir=cache)
    url = str(tmp_path / "checkpoint.pt")
    stops = 0
    while True:
        try:
            row = workers.run(t, cache_dir=cache, checkpoint_url=url, **stop_after())
            break
        except workers.Interrupted:
            stops += 1
    assert stops == t.recipe.epochs - 1
    assert row["resumed"] == t.recipe.epochs - 1
    assert science(row) == science(undisturbed)


def test_a_checkpoint_of_no_use_is_left_aside(cache: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "checkpoint.pt")
    t = small(epochs=2)
    with pytest.raises(workers.Interrupted):
        workers.run(t, cache_dir=cache, checkpoint_url=url, **stop_after())
    whole = Path(url).read_bytes()
    Path(url).write_bytes(whole[: len(whole) // 2])
    assert workers.run(t, cache_dir=cache, checkpoint_url=url)["resumed"] == 0
    Path(url).write_bytes(whole)
    other = small(epochs=2, lr=0.05)
    assert workers.run(other, cache_dir=cache, checkpoint_url=url)["resumed"] == 0
    assert checkpoint.load(url, t.model_copy(update={"dataset_id": "x"}), torch.device("cpu")) is None


@pytest.fixture
def stopped(cache: Path, tmp_path: Path) -> tuple[workers.Trial, Path]:
    """A training stopped after the first of two epochs, and its checkpoint."""
    t = small(epochs=2)
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(workers.Interrupted, match="its checkpoint was saved"):
        workers.run(t, cache_dir=cache, checkpoint_url=str(path), **stop_after())
    return t, path


def test_a_flipped_bit_of_a_checkpoint_is_noticed(stopped: tuple[workers.Trial, Path]) -> None:
    """With the checksum of today, and in a file of an earlier version, which had none."""
    t, path = stopped
    cpu = torch.device("cpu")
    right = checkpoint.load(str(path), t, cpu)
    assert right is not None
    older = io.BytesIO()
    torch.save({"trial_id": t.id, "state": right}, older)
    for whole in (path.read_bytes(), older.getvalue()):
        path.write_bytes(whole)
        assert checkpoint.load(str(path), t, cpu) is not None
        for bit in range(5, len(whole) * 8, len(whole) * 8 // 150):
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            found = checkpoint.load(str(path), t, cpu)
            assert found is None or science_of(found) == science_of(right)


def science_of(state: dict[str, Any]) -> bytes:
    """Equal for equal states."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _renamed(state: dict[str, Any]) -> None:
    first = next(iter(state["net"]))
    state["net"][f"renamed.{first}"] = state["net"].pop(first)


def _reshaped(state: dict[str, Any]) -> None:
    last = list(state["net"])[-1]
    state["net"][last] = state["net"][last][:1]


def _other_momentum(state: dict[str, Any]) -> None:
    kept = state["optimizer"]["state"]
    kept[0]["momentum_buffer"] = torch.zeros(3)


def _other_groups(state: dict[str, Any]) -> None:
    state["optimizer"]["param_groups"] *= 2


def _more_curves(state: dict[str, Any]) -> None:
    state["progress"]["accuracy"] = [0.5]


def _longer_curve(state: dict[str, Any]) -> None:
    state["progress"]["seconds"] *= 2


def _nothing(state: dict[str, Any]) -> None:
    state.clear()


@pytest.mark.parametrize(
    "change", [_renamed, _reshaped, _other_momentum, _other_groups, _more_curves, _longer_curve, _nothing]
)
def test_a_checkpoint_that_does_not_fit_is_left_aside(
    change: Callable[[dict[str, Any]], None],
    stopped: tuple[workers.Trial, Path],
    cache: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As another version of the code may leave one: the training starts anew, with nothing of it, and says so."""
    t, path = stopped
    saved = torch.load(path, weights_only=True)
    change(saved["state"])
    torch.save(saved, path)
    row = workers.run(t, cache_dir=cache, checkpoint_url=str(path))
    assert row["resumed"] == 0
    assert f"{path} does not fit" in caplog.text
    assert science(row) == science(workers.run(t, cache_dir=cache))


def test_an_interruption_promises_no_checkpoint_that_is_not_there(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.files.WAITS_S", ())
    (tmp_path / "file").write_text("where a folder is needed")
    for url in (None, str(tmp_path / "file" / "checkpoint.pt")):
        with pytest.raises(workers.Interrupted, match="no checkpoint of it was saved"):
            workers.run(small(epochs=2), cache_dir=cache, checkpoint_url=url, **stop_after())


def test_a_checkpoint_that_counts_the_batches_of_norms_is_gone_on_from(cache: Path, tmp_path: Path) -> None:
    """As they did up to 2026-11: a training that is under way survives an update."""
    url = str(tmp_path / "checkpoint.pt")
    t = small(epochs=2)
    with pytest.raises(workers.Interrupted):
        workers.run(t, cache_dir=cache, checkpoint_url=url, **stop_after())
    saved = torch.load(url, weights_only=True)
    net = saved["state"]["net"]
    norms = [key.removesuffix("running_mean") for key in net if key.endswith("running_mean")]
    net.update({f"{norm}num_batches_tracked": torch.tensor(7) for norm in norms})
    torch.save(saved, url)
    row = workers.run(t, cache_dir=cache, checkpoint_url=url)
    assert norms
    assert row["resumed"] == 1
    assert science(row) == science(workers.run(t, cache_dir=cache))


def test_divergence_is_a_result(cache: Path) -> None:
    row = workers.run(small(epochs=4, lr=900.0, momentum=0.99), cache_dir=cache)
    assert row["status"] == "ok"
    assert row["diverged"]
    assert row["epochs"] < 4
    assert not math.isfinite(row["curve_test_score"][-1])
    finite = [score for score in row["curve_test_score"] if math.isfinite(score)]
    assert math.isnan(row["score_best"]) if not finite else row["score_best"] == max(finite)


@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
def test_a_row_says_what_guessing_would_score(task: str, cache: Path) -> None:
    """A network whose outputs are constant guesses one class; its best choice for col is the most frequent colour."""
    t = training(small(task), cache)
    row = workers.run(small(task, epochs=1), cache_dir=cache)
    targets = torch.cat([targets.flatten() for _, targets in t.test_batches()])
    shares = torch.bincount(targets, minlength=t.trial.configured_task.classes(t.trial.data)).double() / len(targets)
    assert row["chance"] == (shares.max().item() if task == "col" else 1 / len(shares))
    assert row["test_images"] == len(t.test)
    assert row["test_targets"] == len(targets)


def test_other_data_than_planned_is_refused(cache: Path, pictures: Path) -> None:
    with pytest.raises(ValueError, match="pictures-0000"):
        workers.run(small().model_copy(update={"dataset_id": "pictures-0000"}), pictures, cache_dir=cache)


def test_a_batch_larger_than_the_split_is_refused(cache: Path) -> None:
    with pytest.raises(ValueError, match=r"batch of 5000 images is more than the 64"):
        workers.run(small(batch=5000), cache_dir=cache)


def test_an_attempt_turns_an_exception_into_a_row(cache: Path) -> None:
    t = small(batch=5000)
    row = workers.attempt(t, cache_dir=cache)
    assert row["status"] == "failed"
    assert row["error_class"] == "error"
    assert "batch of 5000" in row["error_text"]
    assert "Traceback" in row["traceback"]


def test_bf16_is_another_experiment_and_tf32_needs_cuda(cache: Path) -> None:
    full, half = (workers.run(small(precision=p), cache_dir=cache) for p in ("fp32", "bf16"))
    assert half["precision"] == "bf16"
    assert half["trial_id"] != full["trial_id"]
    assert half["curve_train_loss"] != full["curve_train_loss"]
    with pytest.raises(ValueError, match=r"tf32.*CUDA"):
        workers.run(small(precision="tf32"), cache_dir=cache)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
def test_a_gpu_sees_the_batches_of_the_cpu(task: str, cache: Path) -> None:
    t = small(task)
    sides = [prepare(t, torch.device(d), None, cache).batches("train", 0, 2) for d in ("cpu", "cuda")]
    for (x, y), (u, v) in zip(*sides, strict=True):
        torch.testing.assert_close(u.cpu(), x, rtol=1e-5, atol=1e-5)
        assert torch.equal(v.cpu(), y)
    row = workers.run(t, cache_dir=cache, device="cuda")
    assert row["status"] == "ok"
    assert row["peak_mem_bytes"] > 0
