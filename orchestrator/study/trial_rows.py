"""The plan rows of one sweep: its trials, and waiting rows for architectures that are not known yet."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import spaces
import workers
from orchestrator.store.waiting import MARK
from orchestrator.study.lookups import Recipes
from orchestrator.study.schema import Sweep
from workers import datasets, tasks
from workers.recipes import AnyRecipe, question

# Ids of finished trials, by the recipe without settings of speed (`question`) and by the recipe's JSON.
Finished = Mapping[str, Mapping[str, set[str]]]


def _as_stored(trial: workers.Trial, stored: Finished) -> workers.Trial:
    """The trial with the id of its finished row, if the run has one under another id.

    `test_batch` and `threads` affect only speed and memory, but in earlier versions overriding them changed the id.
    Such a row counts as done: the plan row gets its id and its recipe.
    """
    if not stored:
        return trial
    recipe = trial.recipe
    others = stored.get(question(recipe.json_text), {})
    if not others or trial.id in others.get(recipe.json_text, ()):
        return trial
    for text, ids in others.items():
        same = trial.model_copy(update={"recipe": recipe.counted_as(json.loads(text))})
        if same.id in ids:
            return same
    return trial


def trials(
    sweep: Sweep,
    seen: datasets.DatasetInfo,
    own: datasets.CustomDataset | None,
    archs: list[str],
    recipes: Recipes,
    stored: Finished,
) -> Iterator[dict[str, Any]]:
    """Yield one plan row per trial; the first architecture is checked with every task and recipe.

    archs: `[spaces.WHOLE]` for searches, which have no graph.
    """
    if not archs:
        return
    space = spaces.get(sweep.space)
    settings = [(task, recipe, _columns(recipe)) for task, several in recipes.items() for recipe in several]
    firsts = [_first(sweep, seen, own, archs[0], task, recipe) for task, recipe, _ in settings]
    sized_alike = [
        (task, recipe.width, recipe.budget, recipe.depth, *recipe.of_seg.items(), str(recipe.supernet))
        for task, recipe, _ in settings
    ]
    shared = _of_dataset(sweep, seen, own)
    for arch in archs:
        whole = arch == spaces.WHOLE
        normal = arch if whole else space.normal(arch)
        about = {
            "arch": normal,
            "arch_id": arch if whole else space.arch_id(arch),
            "graph": None if whole else json.dumps(space.graph(arch), separators=(",", ":")),
            **shared,
        }
        costs: dict[tuple[Any, ...], tuple[int, int]] = {}  # equal for recipes of one size
        for first, (task, recipe, columns), size in zip(firsts, settings, sized_alike, strict=True):
            if size not in costs:
                costs[size] = workers.cost(first.model_copy(update={"arch": normal}))
            params, macs = costs[size]
            for seed in sweep.seeds:
                trial = _as_stored(first.model_copy(update={"arch": normal, "seed": seed}), stored)
                if trial.recipe is not recipe:
                    columns = _columns(trial.recipe)
                yield {
                    "trial_id": trial.id,
                    "task": task,
                    "seed": seed,
                    "params": params,
                    "macs": macs,
                    **columns,
                    **about,
                }


def _first(
    sweep: Sweep,
    seen: datasets.DatasetInfo,
    own: datasets.CustomDataset | None,
    arch: str,
    task: str,
    recipe: AnyRecipe,
) -> workers.Trial:
    """The first trial of a task and a recipe, checked."""
    trial = workers.Trial(
        space=sweep.space,
        arch=arch,
        dataset=sweep.dataset.name,
        task=task,
        seed=sweep.seeds[0],
        recipe=recipe,
        dataset_id=seen.dataset_id,
        own=own,
    )
    foreign = spaces.registry().source(sweep.space) or tasks.registry().source(task)  # ours are known to fit
    if foreign and not recipe.searches:
        from workers import contracts  # imports torch

        contracts.fits(trial)
    return trial


def _columns(recipe: AnyRecipe) -> dict[str, Any]:
    """The columns of a plan row about its recipe."""
    return {
        "recipe": recipe.name,
        "recipe_id": recipe.id,
        "recipe_json": recipe.json_text,
        "executed": json.dumps(recipe.executed) if recipe.executed else None,
    }


def waiting(
    sweep: Sweep,
    seen: datasets.DatasetInfo,
    own: datasets.CustomDataset | None,
    searches: list[str],
    recipes: Recipes,
) -> Iterator[dict[str, Any]]:
    """Yield one waiting row per search (trial_id), task, recipe and seed.  It is a place in the plan and not a trial.

    Its `after` is the search, its `arch` is `@` and the search, and its `trial_id` begins with `@`.  `params` and
    `macs` are those of one random architecture.  Tasks and recipes are checked even if there are no searches.
    """
    example = spaces.sample(spaces.get(sweep.space), 1, seed=0).archs[0]
    shared = _of_dataset(sweep, seen, own)
    for task, several in recipes.items():
        for recipe in several:
            first = _first(sweep, seen, own, example, task, recipe)
            params, macs = workers.cost(first)
            ids = [first.model_copy(update={"seed": seed}).id for seed in sweep.seeds]
            about = {"task": task, "params": params, "macs": macs, "graph": None, **_columns(recipe), **shared}
            for search in searches:
                arch = MARK + search
                for seed, stand_in in zip(sweep.seeds, ids, strict=True):
                    place = hashlib.sha256(f"{search} {stand_in}".encode()).hexdigest()
                    yield {
                        "trial_id": MARK + place[:15],
                        "arch": arch,
                        "arch_id": arch,
                        "seed": seed,
                        "after": search,
                        **about,
                    }


def _of_dataset(sweep: Sweep, seen: datasets.DatasetInfo, own: datasets.CustomDataset | None) -> dict[str, Any]:
    """The columns that all rows of a sweep share."""
    return {
        "space": sweep.space,
        "dataset": sweep.dataset.name,
        "dataset_id": seen.dataset_id,
        "train_images": seen.train_images,
        "test_images": seen.test_images,
        "own": own and own.model_dump_json(),
    }
