"""Plans: ids stay the same when a study grows, and costs are known before anything starts."""

import json
from pathlib import Path

import pytest

import spaces
import workers
from orchestrator.cli.preview import preview
from orchestrator.store.run_folder import RunStore
from orchestrator.study import schema as studies
from orchestrator.study.estimate import estimate, multiply_adds, rate_of, recipe_of
from orchestrator.study.plan import order_of_work, plan, trial_of

from .conftest import Write


def ids(file: Path) -> set[str]:
    return set(plan(studies.load(str(file))).table["trial_id"].to_pylist())


def test_a_grown_study_keeps_its_trials(study: Write) -> None:
    small = ids(study(archs=2))
    more_archs, more_seeds = ids(study(archs=5)), ids(study(archs=2, seeds=(1, 2)))
    assert len(small) == 4
    assert small < more_archs
    assert small < more_seeds
    assert len(more_archs) == 10


def test_execution_is_no_part_of_identity(study: Write) -> None:
    assert ids(study()) == ids(study(engine="tune", execution="cpus_per_trial = 2\ncheckpoint_s = 1"))


def test_an_override_makes_other_trials(study: Write) -> None:
    assert not ids(study(epochs=1)) & ids(study(epochs=2))


def test_a_trial_named_by_two_sweeps_is_one(study: Write) -> None:
    block = study().read_text().split("[[sweeps]]")[1].split("[execution]")[0]
    once = ids(study())
    assert ids(study(extra=f"\n[[sweeps]]{block}")) == once


def test_plan_rows_hold_what_analysis_needs(study: Write) -> None:
    table = plan(studies.load(str(study()))).table
    for row in table.to_pylist():
        trial = trial_of(row)
        assert trial.id == row["trial_id"]
        assert (row["params"], row["macs"]) == workers.cost(trial)
        assert row["arch_id"] == spaces.get("chain").arch_id(row["arch"])
        assert json.loads(row["graph"])["cells"]


def test_work_goes_architecture_by_architecture_in_an_order_that_stays(study: Write) -> None:
    """All tasks and seeds of one before the next, none of the planned order left, the same in a larger study."""

    def order(archs: int) -> list[str]:
        table = plan(studies.load(str(study(archs=archs, seeds=(1, 2))))).table
        rows = order_of_work(table)
        found = [row["arch"] for row in rows]
        assert found == [arch for arch in dict.fromkeys(found) for _ in range(4)]
        assert rows == order_of_work(table.take(list(range(len(rows)))[::-1]))
        assert list(dict.fromkeys(found)) != list(dict.fromkeys(table["arch"].to_pylist()))
        return list(dict.fromkeys(found))

    few = order(8)
    assert len(few) == 8
    assert [arch for arch in order(12) if arch in few] == few


def test_the_papers_cifar_study_needs_no_data() -> None:
    """12,000 trials with the constants of the published set, on a machine that has none of it."""
    cifar = studies.load("unnas-cifar10").model_copy(update={"data_root": None})
    small = cifar.model_copy(update={"sweeps": cifar.sweeps[1:]})  # one space: half the time, the same statement
    table = plan(small).table
    assert table.num_rows == 500 * 4 * 3
    assert set(table["dataset_id"].to_pylist()) == {workers.datasets.get("cifar10").published_id}
    imagenet = studies.load("unnas-imagenet").model_copy(update={"data_root": None})
    sweep = imagenet.sweeps[0]
    few = sweep.model_copy(update={"architectures": sweep.architectures.model_copy(update={"sample": 5})})
    assert plan(imagenet.model_copy(update={"sweeps": (few,)})).table.num_rows == 5 * 4


def test_a_study_of_cityscapes_is_planned_without_data_and_its_large_test_images_are_reckoned_with() -> None:
    text = """
    name = "city"
    [[sweeps]]
    space = "darts"
    architectures = { sample = 1 }
    dataset = "cityscapes"
    tasks = ["seg", "jig"]
    recipe = "unnas_small"
    """
    rows = {row["task"]: row for row in plan(studies.parse(text, "city")).table.to_pylist()}
    macs, recipe = rows["seg"]["macs"], recipe_of(rows["seg"])
    assert multiply_adds(rows["seg"], recipe) == pytest.approx(
        400 * macs * (3 * 2975 + 500 * (1025 * 2049) / 321**2), rel=1e-9
    )
    assert multiply_adds(rows["jig"], recipe) == 400 * rows["jig"]["macs"] * (3 * 2975 + 500)


# Seconds of CPU time of one epoch on the photographs, one thread of a current server: space, width, task.
MEASURED = {
    ("chain", 4, "rot"): 1.46,
    ("chain", 4, "jig"): 0.57,
    ("chain", 8, "rot"): 1.34,
    ("nasbench201", 8, "cls"): 1.14,
    ("nasbench201", 8, "rot"): 3.91,
    ("darts", 4, "cls"): 1.48,
    ("darts", 4, "rot"): 5.38,
    ("darts", 4, "jig"): 1.62,
    ("nasbench101", 8, "rot"): 3.78,
}


@pytest.mark.parametrize("key", MEASURED, ids=lambda key: " ".join(map(str, key)))
def test_a_guess_has_the_order_of_magnitude_of_small_trials_too(key: tuple[str, int, str]) -> None:
    space, width, task = key
    text = f"""
    name = "x"
    [[sweeps]]
    space = "{space}"
    architectures = {{ sample = 1, seed = 0 }}
    dataset = "photos"
    tasks = ["{task}"]
    recipe = "demo"
    override = {{ epochs = 1, width = {width} }}
    """
    guess = estimate(plan(studies.parse(text, "x")).table.to_pylist(), {}, "cpu")
    assert MEASURED[key] / 3 < guess.seconds < 3 * MEASURED[key]
    assert "order of magnitude" in guess.basis


def test_what_finished_trials_took_beside_their_training_counts_for_those_left(study: Write, tmp_path: Path) -> None:
    file = study(archs=4, tasks=("cls",), dataset="photos")
    row = plan(studies.load(str(file))).table.to_pylist()[0]
    known = {k: row[k] for k in ("trial_id", "space", "arch", "dataset", "dataset_id", "task", "macs", "recipe_json")}
    about = {"launch": "l", "attempt": 1, "status": "ok", "diverged": False, "train_s": 0.5, "wall_s": 3.0}
    store = RunStore(str(tmp_path / "run"))
    store.publish_attempt(known | about)
    left = preview(studies.load(str(file))).left
    assert left.basis == "from this study's finished trials"
    assert left.seconds > 3 * 2.5, "3 trials are left, 2.5 s of each are no training"
    assert rate_of(store)["chain", "cls", "train"].besides == 2.5


def test_a_malformed_architecture_is_named(study: Write, tmp_path: Path) -> None:
    (tmp_path / "archs.txt").write_text("c3_c5\nc3_c9\n")
    file = study()
    file.write_text(file.read_text().replace("sample = 2, seed = 0", 'file = "archs.txt"'))
    with pytest.raises(ValueError, match="c9"):
        plan(studies.load(str(file)))
