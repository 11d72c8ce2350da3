"""The plan rows of one sweep: its trials, and waiting rows for architectures that are not known yet."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import spaces
import workers
from orchestrator.store.waiting import MARK
from orchestrator.study.bases import NOBODY, Bases, check_complete
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
    having: Bases | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield one plan row per trial; the first architecture is checked with every task and recipe.

    archs: `[spaces.WHOLE]` for searches, which have no graph.  having: the bases of trials that use weights;
    LookupError if an architecture has none.
    """
    if not archs:
        return
    if having is not None:
        check_complete(sweep, archs, having)
    space = spaces.get(sweep.space)
    settings = [(task, recipe, _columns(recipe)) for task, several in recipes.items() for recipe in several]
    nobody = None if having is None else NOBODY
    firsts = [first(sweep, seen, own, archs[0], task, recipe, nobody) for task, recipe, _ in settings]
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
        for model, (task, recipe, columns), size in zip(firsts, settings, sized_alike, strict=True):
            if size not in costs:
                costs[size] = workers.cost(model.model_copy(update={"arch": normal}))
            params, macs = costs[size]
            for seed in sweep.seeds:
                base = _base(having, normal, task, seed)
                trial = _as_stored(model.model_copy(update={"arch": normal, "seed": seed, "base": base}), stored)
                if trial.recipe is not recipe:
                    columns = _columns(trial.recipe)
                yield {
                    "trial_id": trial.id,
                    "task": task,
                    "seed": seed,
                    "params": params,
                    "macs": macs,
                    "after": base,
                    "base": base,
                    **columns,
                    **about,
                }


def _base(having: Bases | None, arch: str, task: str, seed: int) -> str | None:
    """The base of a trial: that of its architecture, else a supernet; None if it has none, or a waiting row's is not
    known yet."""
    return None if having is None else having.get((arch, task, seed)) or having.get((spaces.WHOLE, task, seed))


def example(space: str) -> str:
    """A random architecture that stands for those that are not known."""
    return spaces.sample(spaces.get(space), 1, seed=0).archs[0]


def first(
    sweep: Sweep,
    seen: datasets.DatasetInfo,
    own: datasets.CustomDataset | None,
    arch: str,
    task: str,
    recipe: AnyRecipe,
    base: str | None = None,
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
        base=base,
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
    having: Bases | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield one waiting row per search (trial_id), task, recipe and seed.  It is a place in the plan and not a trial.

    Its `after` is the search, its `arch` is `@` and the search, and its `trial_id` begins with `@`.  `params` and
    `macs` are those of one random architecture.  Its `base` may be a waiting row, too.  Tasks and recipes are checked
    even if there are no searches.
    """
    stand_in = example(sweep.space)
    nobody = None if having is None else NOBODY
    shared = _of_dataset(sweep, seen, own)
    for task, several in recipes.items():
        for recipe in several:
            model = first(sweep, seen, own, stand_in, task, recipe, nobody)
            params, macs = workers.cost(model)
            ids = [model.model_copy(update={"seed": seed}).id for seed in sweep.seeds]
            about = {"task": task, "params": params, "macs": macs, "graph": None, **_columns(recipe), **shared}
            for search in searches:
                arch = MARK + search
                for seed, known in zip(sweep.seeds, ids, strict=True):
                    place = hashlib.sha256(f"{search} {known}".encode()).hexdigest()
                    yield {
                        "trial_id": MARK + place[:15],
                        "arch": arch,
                        "arch_id": arch,
                        "seed": seed,
                        "after": search,
                        "base": _base(having, arch, task, seed),
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
