"""A hundred stored trials keep their ids: every recipe of every family, over all spaces, datasets and tasks.

`trial_ids.json` was written when the protocol was 1.  Rows of years are found by these ids; a change here makes every
earlier run train again.  A new family adds lines, it never edits one.
"""

import json
from pathlib import Path
from typing import Any

import pytest

import spaces
import workers
from workers import datasets, recipes, tasks

STORED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("trial_ids.json").read_text())


def test_a_hundred_different_ids_are_held() -> None:
    assert len({row["trial_id"] for row in STORED}) == len(STORED) >= 100
    assert (
        {row["space"] for row in STORED}
        >= {"chain", "darts", "mobilenet", "nasbench101", "nasbench201"}
        <= set(spaces.names())
    )
    assert {row["dataset"] for row in STORED} <= set(datasets.names())
    assert {row["task"] for row in STORED} >= {"cls", "rot", "col", "jig", "seg"} <= set(tasks.names())
    assert {row["recipe"].partition("/")[0] for row in STORED} <= set(recipes.names())
    assert {text for name in recipes.names() for text in recipes.variants(name)} <= {row["recipe"] for row in STORED}


@pytest.mark.parametrize("row", STORED, ids=lambda row: row["trial_id"])
def test_a_stored_row_is_still_the_trial_of_its_id(row: dict[str, Any]) -> None:
    recipe = recipes.read(row["recipe"], row["recipe_json"])
    fields = {key: row[key] for key in ("space", "arch", "dataset", "dataset_id", "task", "seed")}
    assert workers.Trial(**fields, recipe=recipe, base=row.get("base")).id == row["trial_id"]
    assert recipe.id == row["recipe_id"]


@pytest.mark.parametrize("row", STORED, ids=lambda row: row["trial_id"])
def test_a_study_that_names_the_recipe_plans_the_stored_trial(row: dict[str, Any]) -> None:
    recipe = workers.recipe(row["recipe"], space=row["space"], dataset=row["dataset"], task=row["task"])
    if base := row.get("base_recipe"):  # of the trial whose weights are used
        recipe = recipe.bound(workers.recipe(base, space=row["space"], dataset=row["dataset"], task=row["task"]))
    if table := row.get("table"):  # the content and the recipe of a table
        recipe = recipe.bound(*table)
    if override := row["override"]:
        recipe = recipe.replace(**override)
    if set(row["override"]) & {"test_batch", "threads"}:  # part of the identity when the row was stored
        assert recipes.question(recipe.json_text) == recipes.question(row["recipe_json"])
        recipe = recipe.counted_as(json.loads(row["recipe_json"]))
    assert recipe.json_text == row["recipe_json"]
