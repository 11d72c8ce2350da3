"""Unique names for recipes that share a name: `demo (epochs=2)`, by the fields in which they differ."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

_CELL = ["space", "dataset_id", "task"]
_MOST = 3  # parts in a name; further ones are left to `differences`


# Fields of a recipe that affect only speed and memory.  Stored ids depend on them, but recipes that differ only in
# these fields are treated as one.
SPEED = ("test_batch", "threads")


def one_id(df: pd.DataFrame) -> "pd.Series[Any]":
    """The recipe_id of each row; for recipes that differ only in speed and memory, the smallest of their ids."""
    ids: pd.Series[Any] = df["recipe_id"].astype(object)
    if "recipe_json" not in df:
        return ids
    known = pd.DataFrame({"id": ids, "text": df["recipe_json"].astype(object)}).dropna().drop_duplicates()
    several: dict[str, set[str]] = {}  # ids by what else the recipe consists of
    for recipe_id, text in zip(known["id"], known["text"], strict=True):
        parts = _parts(text)
        if parts.keys() & set(SPEED):
            rest = {name: value for name, value in parts.items() if name not in SPEED}
            several.setdefault(json.dumps(rest, sort_keys=True, default=str), set()).add(recipe_id)
    smallest = {recipe_id: min(found) for found in several.values() if len(found) > 1 for recipe_id in found}
    return ids.map(lambda recipe_id: smallest.get(recipe_id, recipe_id)) if smallest else ids


def merged(df: pd.DataFrame) -> pd.DataFrame:
    """The rows with one recipe_id for recipes that differ in speed and memory only (`one_id`)."""
    return df.assign(recipe_id=one_id(df)) if "recipe_id" in df else df


def unique_names(df: pd.DataFrame) -> dict[str, str]:
    """Unique names, by recipe_id, for recipes that share their name with another one of the same space, dataset and
    task: with the fields of `recipe_json` that differ, or else with the end of the id. Other recipes are omitted."""
    parts = differences(df)
    if not parts:
        return {}
    found = {i: _called(name, own) for i, (name, own) in parts.items()}
    alike: set[str] = set()
    for _, several in _of_one_name(df):
        called = pd.Series([found[i] for i in several], index=list(several))
        alike |= set(called.index[called.duplicated(keep=False)])
    return {i: f"{parts[i][0]} ({i[-6:]})" if i in alike else name for i, name in found.items()}


def column(df: pd.DataFrame) -> "pd.Series[Any]":
    """The unique name of each row's recipe."""
    found: pd.Series[Any] = named(df, unique_names(df))["recipe"].astype(object)
    return found


def differences(df: pd.DataFrame) -> dict[str, tuple[str, dict[str, Any]]]:
    """The name and the differing fields, by recipe_id, of recipes that share a name within a cell."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, each in _of_one_name(df):
        keys = [key for key in dict.fromkeys(key for one in each.values() for key in one) if key not in SPEED]
        differ = [k for k in keys if len({json.dumps(one.get(k), default=str) for one in each.values()}) > 1]
        for recipe_id, one in each.items():
            before = found.get(recipe_id, ("", {}))[1]
            found[recipe_id] = (name, before | {k: one[k] for k in differ if k in one})
    return found


def _of_one_name(df: pd.DataFrame) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Recipes of one name in one space, dataset and task: the name, and by recipe_id what each consists of."""
    if not {"recipe", "recipe_id", "task", "space"} <= set(df.columns):
        return
    cell = [c if c in df else "dataset" for c in _CELL]
    known = df[[*cell, "recipe", "recipe_id"]].astype(object)
    known["recipe_id"] = one_id(df)
    known["text"] = df["recipe_json"].astype(object) if "recipe_json" in df else None
    known = known.dropna(subset=["recipe", "recipe_id"]).drop_duplicates([*cell, "recipe_id"])
    known = known[known.duplicated([*cell, "recipe"], keep=False)]
    for (*_, name), several in known.groupby([*cell, "recipe"]):
        both = zip(several["recipe_id"], several["text"], strict=True)
        yield str(name), {str(recipe_id): _parts(text) for recipe_id, text in both}


def _called(name: str, parts: Mapping[str, Any]) -> str:
    words = [f"{key}={_spelled(value)}" for key, value in parts.items()]
    more = ["…"] if len(words) > _MOST else []
    return f"{name} ({', '.join(words[:_MOST] + more)})" if words else name


def named(df: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The rows with these names, by recipe_id, for their recipes (`unique_names`)."""
    if not names:
        return df
    return df.assign(recipe=one_id(df).map(names).where(lambda found: found.notna(), df["recipe"]))


def _parts(text: Any) -> dict[str, Any]:
    """The fields of a recipe by name, nested ones as `outer.inner`; empty if the text is not a JSON object."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return dict(_flat(found)) if isinstance(found, dict) else {}


def _flat(part: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in part.items():
        flat += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(f"{before}{key}", value)]
    return flat


def _spelled(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)
