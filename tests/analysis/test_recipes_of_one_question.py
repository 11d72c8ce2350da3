"""Recipes that differ in speed and memory only: one cell, whatever ids earlier versions gave them."""

import json

import pandas as pd

from analysis.comparison import recipes
from analysis.comparison.trials import gather, means

from .made_up import row

TEXT = {"batch": 32, "epochs": 2, "test_batch": 100, "threads": 1}


def rows(**other: int) -> pd.DataFrame:
    """Four architectures, two of them with other values in the recipe."""
    texts = [json.dumps(TEXT | (other if k > 1 else {}), sort_keys=True) for k in range(4)]
    ids = ["b", "b", "a", "a"]
    return pd.DataFrame(
        [row(arch=f"a{k}", recipe_id=ids[k], recipe_json=texts[k], score_best=0.5 + k / 10) for k in range(4)]
    )


def test_recipes_that_differ_in_speed_alone_are_one_cell() -> None:
    df = rows(test_batch=7, threads=4)
    assert set(gather(df)["recipe_id"]) == {"a"}
    assert set(gather(df)["recipe"]) == {"unnas"}
    assert recipes.told_apart(df) == {}
    table = means(df)
    assert list(table["mean"]) == [0.5, 0.6, 0.7, 0.8]
    assert set(table["recipe_id"]) == {"a"}
    assert list(df["recipe_id"]) == ["b", "b", "a", "a"], "rows stay as they are"


def test_any_other_difference_is_another_cell() -> None:
    df = rows(test_batch=7, epochs=3)
    assert set(gather(df)["recipe_id"]) == {"a", "b"}
    assert set(gather(df)["recipe"]) == {"unnas (epochs=2)", "unnas (epochs=3)"}


def test_what_is_no_recipe_of_ours_keeps_its_id() -> None:
    df = rows().assign(recipe_json=["", None, "{", json.dumps({"epochs": 2})])
    assert list(recipes.one_id(df)) == ["b", "b", "a", "a"]
    assert list(recipes.one_id(df.drop(columns="recipe_json"))) == ["b", "b", "a", "a"]
