"""Names of recipes in the preview, the status and the progress of a run: unique, and only as long as needed."""

import json
from typing import Any

from orchestrator.store.recipe_names import named
from workers.recipes import read, recipe

CITY = {"space": "darts", "dataset": "cityscapes", "task": "seg"}


def row(recipe_id: str, task: str = "cls", **changes: Any) -> dict[str, str]:
    """A plan row as far as names of recipes need it."""
    facts = {"epochs": 2, "test_batch": 100, "threads": 1} | changes
    cell = {"space": "chain", "dataset": "photos", "task": task, "recipe": "demo"}
    return cell | {"recipe_id": recipe_id, "recipe_json": json.dumps(facts)}


def test_recipes_that_differ_in_speed_only_share_one_name() -> None:
    assert named([row("a"), row("b", test_batch=50, threads=2)]) == {"a": "demo", "b": "demo"}


def test_the_name_of_another_recipe_does_not_hide_that_two_differ_in_speed_only() -> None:
    found = named([row("a"), row("b", test_batch=50), row("c", epochs=3)])
    assert found == {"a": "demo (epochs=2)", "b": "demo (epochs=2)", "c": "demo (epochs=3)"}


def test_recipes_are_compared_in_every_cell_that_they_share() -> None:
    rows = [row("a"), row("b", epochs=3), row("a", task="rot")]
    assert named(rows) == named(rows[::-1]) == {"a": "demo (epochs=2)", "b": "demo (epochs=3)"}


def test_recipes_without_known_parts_are_told_apart_by_their_ids() -> None:
    rows = [row("a") | {"recipe_json": ""}, row("b") | {"recipe_json": ""}]
    assert named(rows) == {"a": "demo (a)", "b": "demo (b)"}


def test_recipes_that_had_another_name_are_called_by_todays() -> None:
    trained, search = row("a"), row("b", method="darts")
    before = [trained | {"recipe": "unnas_search"}, search | {"recipe": "unnas_supernet"}]
    assert named(before) == {"a": "unnas_small", "b": "unnas_search"}
    assert named([trained | {"recipe": "unnas_small"}, *before])["a"] == "unnas_small"
    assert read("unnas_search", recipe("unnas_small", **CITY).json_text).name == "unnas_small"
    assert read("unnas_supernet", recipe("unnas_search", **CITY).json_text).name == "unnas_search"
