"""Lookups in a study: their tables are read when the study is planned, and architectures that these lack are named."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import spaces
from orchestrator.study.schema import Sweep
from workers import score_table
from workers.recipes import AnyRecipe, Lookup, OfTable

_SHOWN = 3  # architectures in a message
Recipes = dict[str, list[AnyRecipe]]  # by task
T = TypeVar("T", bound=OfTable)


def bound(recipes: Recipes, sweep: Sweep, dataset_id: str, archs: list[str]) -> tuple[Recipes, list[str], list[str]]:
    """The recipes with the contents of their tables, the architectures that all tables have, and notes about others.

    Raises LookupError where a table lacks the cell or a seed of a lookup, and, unless `missing = "leave out"`, an
    architecture.
    """
    found: Recipes = {task: [] for task in recipes}
    notes = []
    for task, several in recipes.items():
        for recipe in several:
            if isinstance(recipe, OfTable) and recipe.needs_table:
                recipe, cell = _read(recipe, sweep, dataset_id, task)
            if isinstance(recipe, Lookup):
                have = _have(archs, recipe, cell, sweep)
                if len(have) < len(archs):
                    notes.append(
                        f"{cell.place} has no {recipe.measured} of {len(archs) - len(have):,} of {len(archs):,} "
                        f"architectures on {sweep.dataset.name} {task}, which are left out"
                    )
                    archs = have
            found[task].append(recipe)
    return found, archs, notes


def _read(recipe: T, sweep: Sweep, dataset_id: str, task: str) -> tuple[T, score_table.Cell]:
    """The recipe with the content of its table, and the cell of the table."""
    if recipe.table is None:
        raise ValueError(
            f'recipe {recipe.name!r} needs a table: override = {{ table = "runs/..." }}, the folder of a run that '
            "`archsweep import` made, or a Parquet file of rows"
        )
    if isinstance(recipe, Lookup) and recipe.mean and len(sweep.seeds) > 1:
        raise ValueError(
            f"mean = true gives the same number for every seed of a trial; expected one seed, given {list(sweep.seeds)}"
        )
    place = absolute(recipe.table)
    cell = score_table.cell(place, sweep.space, sweep.dataset.name, dataset_id, task, recipe.measured)
    return recipe.replace(table=place).bound(cell.content, cell.measured), cell


def _have(archs: list[str], recipe: Lookup, cell: score_table.Cell, sweep: Sweep) -> list[str]:
    """The architectures that the table has for every seed."""
    seeds: Sequence[int] | None = None if recipe.mean else sweep.seeds
    if strange := sorted(set(seeds or ()) - set(cell.seeds)):
        raise LookupError(
            f"{cell.place} has no {cell.measured} of seed {', '.join(map(str, strange))}; its seeds are "
            f"{', '.join(map(str, cell.seeds[:20]))}. A lookup takes the row of the trial's seed, with mean = true the "
            "mean over all"
        )
    space = spaces.get(sweep.space)
    missing = set(cell.lacking(((arch, space.arch_id(arch)) for arch in archs), seeds))
    if not missing:
        return archs
    have = [arch for arch in archs if arch not in missing]
    some_may_be_left_out = bool(have or sweep.architectures.found)  # other searches may find what the table has
    if recipe.missing == "refuse" or not some_may_be_left_out:
        some = ", ".join([arch for arch in archs if arch in missing][:_SHOWN])
        way_out = '; override = { missing = "leave out" } plans the others alone' if some_may_be_left_out else ""
        raise LookupError(
            f"{cell.place} has no {cell.measured} of {len(missing):,} of {len(archs):,} architectures on "
            f"{sweep.dataset.name}, such as {some}{way_out}"
        )
    return have


def absolute(place: str) -> str:
    """The place of a table for workers, which may have another working directory."""
    return place if "://" in place else str(Path(place).expanduser().absolute())
