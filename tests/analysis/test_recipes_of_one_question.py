"""Recipes that differ in speed and memory only: one cell, whatever ids earlier versions gave them."""

import json

import pandas as pd

from analysis.comparison import recipes
from analysis.comparison.trials import gather, means
from analysis.page import sections
from analysis.statistics import counts

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
    assert recipes.unique_names(df) == {}
    table = means(df)
    assert list(table["mean"]) == [0.5, 0.6, 0.7, 0.8]
    assert set(table["recipe_id"]) == {"a"}
    assert list(df["recipe_id"]) == ["b", "b", "a", "a"], "rows stay as they are"


def test_hours_and_the_missing_pair_are_those_of_the_one_cell() -> None:
    df = rows(test_batch=7).assign(train_s=3600.0)
    (cell,) = counts.cells(df).to_dict("records")
    assert (cell["recipe_id"], cell["archs"], cell["hours"]) == ("a", 4, 4.0)
    assert len(counts.cost(df)) == 1
    assert sections.no_pairs(df, None).startswith("one cell only in each space")
    longer = rows(epochs=3)
    assert sections.no_pairs(longer, None).startswith("no two cells of one space have results yet")


def test_every_id_of_a_recipe_gets_its_name_beside_another_recipe() -> None:
    df = rows(test_batch=7)
    longer = df.tail(1).assign(recipe_id="c", recipe_json=json.dumps(TEXT | {"epochs": 3}))
    found = recipes.column(pd.concat([df, longer]))
    assert list(found) == ["unnas (epochs=2)"] * 4 + ["unnas (epochs=3)"]


def test_any_other_difference_is_another_cell() -> None:
    df = rows(test_batch=7, epochs=3)
    assert set(gather(df)["recipe_id"]) == {"a", "b"}
    assert set(gather(df)["recipe"]) == {"unnas (epochs=2)", "unnas (epochs=3)"}


def test_what_is_no_recipe_of_ours_keeps_its_id() -> None:
    df = rows().assign(recipe_json=["", None, "{", json.dumps({"epochs": 2})])
    assert list(recipes.one_id(df)) == ["b", "b", "a", "a"]
    assert list(recipes.one_id(df.drop(columns="recipe_json"))) == ["b", "b", "a", "a"]
