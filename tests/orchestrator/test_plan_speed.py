"""Overrides of what changes speed and memory only: executed, no part of a trial's identity, old rows stay valid."""

import json
from pathlib import Path
from typing import Any

import workers
from orchestrator import runner
from orchestrator.store.run_folder import RunStore
from orchestrator.study import schema as studies
from orchestrator.study.plan import plan, too_large_batches, trial_of
from workers.run import columns

from .conftest import Write


def lines(file: Path, override: str = "") -> dict[str, dict[str, Any]]:
    """Plan rows by id, of a study with more overrides."""
    text = file.read_text().replace(", test_batch = 32", "")
    file.write_text(text.replace("width = 4", f"width = 4{override}"))
    try:
        found = plan(studies.load(str(file))).table.to_pylist()
    finally:
        file.write_text(text)
    return {row["trial_id"]: row for row in found}


def stored_before(row: dict[str, Any]) -> workers.Trial:
    """The trial of a plan row as earlier versions had it: what is overridden was part of its identity."""
    trial = trial_of(row)
    recipe = trial.recipe
    facts = recipe.facts | {"test_batch": recipe.test_batch, "threads": recipe.threads}
    return trial.model_copy(update={"recipe": workers.Recipe.read(recipe.name, json.dumps(facts))})


def test_the_override_is_executed_and_the_ids_stay(study: Write) -> None:
    file = study()
    plain, fast = lines(file), lines(file, ", test_batch = 7, threads = 2")
    assert plain.keys() == fast.keys()
    for trial_id, row in fast.items():
        trial = trial_of(row)
        assert trial.id == trial_id
        assert (trial.recipe.test_batch, trial.recipe.threads) == (7, 2)
        assert workers.Trial.model_validate_json(trial.model_dump_json()) == trial
        assert {k: v for k, v in row.items() if k != "executed"} == {
            k: v for k, v in plain[trial_id].items() if k != "executed"
        }
        assert json.loads(columns(trial)["executed"]) == {"test_batch": 7, "threads": 2}, "in the row as well"
        assert plain[trial_id]["executed"] is None
        assert columns(trial_of(plain[trial_id]))["executed"] is None
        assert trial_of({k: v for k, v in plain[trial_id].items() if k != "executed"}).id == trial_id, "an older plan"
    assert too_large_batches(fast.values()) == []


def test_a_row_of_an_earlier_version_still_counts_as_done(study: Write, tmp_path: Path) -> None:
    """Its plan line has its id, with the override in the study or without; only what is missing is trained."""
    file = study(archs=2, tasks=("cls",))
    override = ", test_batch = 7, threads = 2"
    first, second = lines(file, override).values()
    old = stored_before(first)
    assert old.id != first["trial_id"]
    known = {"launch": "a", "attempt": 1, "status": "ok", "score_best": 0.5, "test_images": None}
    row = {name: value for name, value in columns(old).items() if value is not None}
    RunStore(str(tmp_path / "run")).publish_attempt(row | {k: v for k, v in known.items() if v is not None})
    for given in ("", override, ", test_batch = 9"):
        found = lines(file, given)
        assert found.keys() == {old.id, second["trial_id"]}
        assert trial_of(found[old.id]).id == old.id
        assert found[old.id]["recipe_id"] == old.recipe.id
    assert trial_of(lines(file, ", test_batch = 9")[old.id]).recipe.test_batch == 9
    assert lines(file, ", lr = 0.05").keys().isdisjoint({old.id})
    runner.run(studies.load(str(file)))
    rows = RunStore(str(tmp_path / "run")).attempts(["trial_id", "status"]).to_pylist()
    assert {r["trial_id"] for r in rows} == {old.id, second["trial_id"]}
