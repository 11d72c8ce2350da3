"""Lookups: a trial's result is that of a table, identified by the table's content and not by its place."""

import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spaces
import workers
from workers import loop, recipes, score_table
from workers.recipes import Lookup
from workers.row import parquet_bytes

CELL = {"space": "chain", "dataset": "cifar10", "task": "cls"}
LONG = {
    "recipe": "long",
    "metric": "top1_percent",
    "curve_test_score": [40.0, 62.0, 61.0],
    "curve_train_loss": [2.0, 1.5, 1.25],
    "curve_seconds": [100.0, 90.0, 95.0],
    "train_s": 285.0,
    "best_epoch": 2,
    "epochs": 3,
    "score_best": 62.0,
    "score_final": 61.0,
}


def row(arch: str = "c3", seed: int = 1, **more: Any) -> dict[str, Any]:
    found = CELL | {"dataset_id": "cifar10", "arch": arch, "seed": seed, "status": "ok", "recipe": "short"}
    found |= {"score_best": 0.5, "metric": "top1"} | more
    return {"trial_id": f"{arch}{seed}{found['recipe']}", "recipe_id": found["recipe"]} | found


ROWS = [row(), row("c5", score_best=0.25), row("mp_id_c3", arch_id="abc"), row(**LONG)]
ROWS += [row("c5_c5", 777, score_best=0.4, train_s=10.0), row("c5_c5", 888, score_best=0.6, train_s=30.0)]


def table(folder: Path, rows: list[dict[str, Any]] = ROWS) -> str:
    """A run's folder with these rows."""
    (folder / "rows").mkdir(parents=True)
    (folder / "rows" / "part.parquet").write_bytes(parquet_bytes(rows))
    return str(folder)


def trial(place: str, name: str = "lookup/short", arch: str = "c3", seed: int = 1, **more: Any) -> workers.Trial:
    recipe = workers.recipe(name, **CELL).replace(table=place, **more)
    return workers.Trial(**CELL, arch=arch, seed=seed, recipe=recipe)


def test_a_result_of_the_table_is_the_result_of_the_trial(tmp_path: Path) -> None:
    """On a machine without the dataset; what the table lacks is null."""
    found = workers.run(trial(table(tmp_path)))
    assert (found["score_best"], found["score_final"], found["metric"], found["method"]) == (0.5, 0.5, "top1", "lookup")
    missing = ("train_s", "train_loss", "curve_test_score", "curve_seconds", "epochs", "best_epoch", "test_images")
    assert [found.get(name) for name in missing] == [None] * len(missing)
    assert found["status"] == "ok"
    assert found["wall_s"] > 0
    assert found["params"] > 0
    assert parquet_bytes([found])


def test_a_curve_is_reported_epoch_by_epoch_with_the_time_that_training_took(tmp_path: Path) -> None:
    epochs: list[dict[str, float]] = []
    found = workers.run(trial(table(tmp_path), "lookup/long"), on_epoch=epochs.append)
    assert {name: found[name] for name in LONG if name != "recipe"} == {k: v for k, v in LONG.items() if k != "recipe"}
    assert [e["test_score"] for e in epochs] == LONG["curve_test_score"]
    assert [e["seconds"] for e in epochs] == LONG["curve_seconds"]
    assert [e["training_iteration"] for e in epochs] == [1, 2, 3]


def test_the_package_may_be_sent_to_another_process() -> None:
    """A trainable of Ray Tune that calls `workers.run` is."""
    assert pickle.loads(pickle.dumps(workers)) is workers


def test_a_rehearsed_training_is_stopped_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STOP_CHECK_S", 0.0)
    with pytest.raises(workers.Interrupted, match="after epoch 1 of 3"):
        workers.run(trial(table(tmp_path), "lookup/long"), stop=lambda: True)


def identified(place: str, **more: Any) -> workers.Trial:
    """The trial as a plan has it."""
    found = trial(place, **more)
    assert isinstance(found.recipe, Lookup)
    cell = score_table.cell(place, found.space, found.dataset, None, found.task, found.recipe.measured)
    return found.model_copy(update={"recipe": found.recipe.bound(cell.content, cell.measured), "dataset_id": "cifar10"})


def test_the_identity_is_the_content_of_the_table_wherever_and_however_it_is_stored(tmp_path: Path) -> None:
    first = identified(table(tmp_path / "a"))
    shuffled = tmp_path / "b"
    table(shuffled, ROWS[3:])
    (shuffled / "attempts").mkdir()
    (shuffled / "attempts" / "one.parquet").write_bytes(parquet_bytes(ROWS[:4]))  # one row is in both
    file = tmp_path / "c.parquet"
    names = [name for name in pq.read_schema(tmp_path / "a" / "rows" / "part.parquet").names if name != "trial_id"]
    pq.write_table(pq.read_table(tmp_path / "a" / "rows" / "part.parquet").select(names), file)
    assert {identified(str(place)).id for place in (shuffled, file)} == {first.id}
    assert "table" not in first.recipe.facts
    assert (first.recipe.facts["content"], first.id) == ("69d838b56ce26c0c", "13e722726d907e54"), "as stored rows have"
    for change in ({"score_best": 0.5 + 1e-15}, {"train_s": 1.0}, {"curve_test_score": [0.5]}, {"metric": "top5"}):
        other = table(tmp_path / str(change), [row(**change), *ROWS[1:]])
        assert identified(other).id != first.id, change
    assert identified(table(tmp_path / "more", [*ROWS, row("c3_c3", recipe="other")])).id == first.id


def test_a_table_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    planned = identified(table(tmp_path / "a"))
    shutil.rmtree(tmp_path / "a")
    table(tmp_path / "a", [row(score_best=0.75), *ROWS[1:]])
    failed = workers.attempt(planned)
    assert failed["status"] == "failed"
    assert f"expected {planned.recipe.facts['content']}" in failed["error_text"]


def test_a_trial_takes_the_row_of_its_seed_or_the_mean_over_seeds(tmp_path: Path) -> None:
    place = table(tmp_path)
    assert workers.run(trial(place, arch="c5_c5", seed=888))["score_best"] == 0.6
    found = workers.run(trial(place, arch="c5_c5", mean=True))
    assert (found["score_best"], found["train_s"], found["repeats"]) == (0.5, 20.0, 2)
    with pytest.raises(LookupError, match=r"no result of c5_c5 with seed 1 \(its seeds are 1, 777, 888\)"):
        workers.run(trial(place, arch="c5_c5"))


def test_another_spelling_of_an_architecture_is_found_by_its_id(tmp_path: Path) -> None:
    other = workers.run(trial(table(tmp_path / "a")))["arch_id"]
    place = table(tmp_path / "b", [row("id_c3", score_best=0.7, arch_id=other), row("c3_id", score_best=0.8)])
    assert workers.run(trial(place))["score_best"] == 0.7
    assert workers.run(trial(place, arch="c3_id"))["score_best"] == 0.8


def test_a_diverged_training_is_one_in_the_rehearsal_too(tmp_path: Path) -> None:
    gone = {"score_best": 0.2, "score_final": math.nan, "diverged": True, "curve_test_score": [0.2, math.nan]}
    found = workers.run(trial(table(tmp_path, [row(**gone)])))
    assert found["diverged"]
    assert (found["score_best"], len(found["curve_test_score"])) == (0.2, 2)


@pytest.mark.parametrize(
    ("cell", "measured", "says"),
    [
        (("darts", "cifar10", "cls"), None, "has no rows of space 'darts'; it has 'chain'"),
        (("chain", "cifar100", "cls"), None, "has no rows of dataset 'cifar100'"),
        (("chain", "cifar10", "rot"), None, "has no rows of task 'rot'"),
        (("chain", "cifar10", "cls"), None, "several recipes .*'long', 'short'; name one, as in lookup/long"),
        (("chain", "cifar10", "cls"), "e200", "has no rows of recipe 'e200'; it has 'long', 'short'"),
    ],
)
def test_what_a_table_lacks_is_named_with_what_it_has(
    tmp_path: Path, cell: tuple[str, str, str], measured: str | None, says: str
) -> None:
    space, dataset, task = cell
    with pytest.raises(LookupError, match=says):
        score_table.cell(table(tmp_path), space, dataset, None, task, measured)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no table at .*nowhere: expected a Parquet file of rows, or the folder"
    ):
        score_table.cell(str(tmp_path / "nowhere"), "chain", "cifar10", None, "cls", None)
    pq.write_table(pa.table({"arch_str": ["c3"]}), tmp_path / "wide.parquet")
    with pytest.raises(ValueError, match=r"has no column space, arch, .*; `archsweep import table` makes rows"):
        score_table.cell(str(tmp_path / "wide.parquet"), "chain", "cifar10", None, "cls", None)
    (tmp_path / "torn.parquet").write_bytes(parquet_bytes(ROWS)[:-100])
    with pytest.raises(ValueError, match="not a valid table"):
        score_table.cell(str(tmp_path / "torn.parquet"), "chain", "cifar10", None, "cls", None)


def test_a_lookup_without_a_table_says_how_to_name_one() -> None:
    recipe = workers.recipe("lookup", **CELL)
    with pytest.raises(ValueError, match=r'needs a table: override = \{ table = "runs/..." \}'):
        workers.run(workers.Trial(**CELL, arch="c3", recipe=recipe))
    with pytest.raises(ValueError, match="the content of its table, which was not read yet"):
        _ = recipe.id
    assert recipes.recipe("lookup/zero_cost/synflow", **CELL).name == "lookup/zero_cost/synflow"


def test_a_rehearsed_random_search_finds_what_the_benchmark_publishes(data: Path, tmp_path: Path) -> None:
    """The best of ten random cells by validation accuracy: 93.06 % on the test split (published)."""
    wide = pq.read_table(data / "nasbench201" / "nasbench201.parquet")
    file = tmp_path / "table.parquet"
    parts = []
    for dataset, column in (("cifar10_valid", "cifar10_valid_e200"), ("cifar10", "cifar10_test_e200")):
        same = {"space": "nasbench201", "dataset": dataset, "task": "cls", "recipe": "e200"}
        columns = {name: pa.array([value] * len(wide)) for name, value in same.items()}
        parts.append(pa.table({"arch": wide["arch_str"], "score_best": wide[column], **columns}))
    pq.write_table(pa.concat_tables(parts), file)
    space = spaces.get("nasbench201")

    def look(arch: str, dataset: str) -> float:
        cell = {"space": "nasbench201", "dataset": dataset, "task": "cls"}
        recipe = workers.recipe("lookup", **cell).replace(table=str(file))
        found: float = workers.run(workers.Trial(**cell, arch=arch, recipe=recipe))["score_final"]
        return found

    ends = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = [space.sample(rng) for _ in range(10)]
        ends.append(look(max(drawn, key=lambda arch: look(arch, "cifar10_valid")), "cifar10"))
    assert np.mean(ends) == pytest.approx(93.06, abs=0.3)
