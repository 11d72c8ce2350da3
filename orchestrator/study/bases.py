"""Sweeps that use the weights of another sweep's trials (`weights = "<sweep>"`): which trial is the base of which."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import spaces
import workers
from orchestrator.study.lookups import Recipes
from orchestrator.study.schema import Study, Sweep
from workers import datasets
from workers.recipes import AnyRecipe, WithBase

_SHOWN = 3  # architectures in a message
NOBODY = "0" * 16  # stands for a base that is not known yet

Bases = Mapping[tuple[str, str, int], str]
"""The base (trial_id) of each trial by architecture (`*`: of all), task and seed."""


def check(study: Study) -> None:
    """ValueError where `weights` of a sweep names nothing that its recipes can use; the message has the place."""
    for number, sweep in enumerate(study.sweeps):
        if sweep.weights is None:
            continue
        try:
            _check_source(sweep, source(study, sweep))
            _check_no_circle(study, sweep)
        except ValueError as error:
            raise ValueError(f"sweeps[{number}].weights: {error}") from None


def source(study: Study, sweep: Sweep) -> Sweep:
    """The sweep whose weights a sweep uses; ValueError if there is none of that name."""
    assert sweep.weights is not None
    found = next((other for other in study.sweeps if other.name == sweep.weights), None)
    if found is None:
        known = ", ".join(other.name for other in study.sweeps if other.name) or "none"
        raise ValueError(
            f"no sweep of this study has the name {spaces.quoted(sweep.weights)}; sweeps with a name: {known}"
            + ". The weights of another run cannot be used: name its trials in a sweep of this study"
            * ("/" in sweep.weights)
        )
    return found


def _check_source(sweep: Sweep, other: Sweep) -> None:
    name = spaces.quoted(other.name)
    if other.space != sweep.space:
        raise ValueError(
            f"sweep {name} is of the space {other.space}, and this one of the space {sweep.space}; expected the same"
        )
    for recipe in sweep.recipe:
        wanted = sweep.resolved(sweep.tasks[0], recipe).needs_weights
        if (wanted == "supernet") != other.searches:
            have = "supernets" if other.searches else "single architectures"
            want = "a supernet" if wanted == "supernet" else "a training of the same architecture"
            raise ValueError(
                f"recipe {spaces.quoted(recipe)} needs the weights of {want}, and sweep {name} trains {have}"
            )
    for key in ("tasks", "seeds"):
        if missing := [value for value in getattr(sweep, key) if value not in getattr(other, key)]:
            raise ValueError(
                f"sweep {name} has no trials of {key} {spaces.quoted(missing)}: a trial uses the weights of the one "
                f"with the same task and seed; the {key} there are {spaces.quoted(list(getattr(other, key)))}"
            )
    for task in sweep.tasks:
        keeper(other, task)
    chosen, there = sweep.architectures, other.architectures
    if there.found and chosen.found != there.found:
        raise ValueError(
            f"sweep {name} trains what {_as_text(there.found)} finds, which is not known yet; expected the same "
            f"here, `architectures = {{ found = {_as_text(there.found)} }}`"
        )
    if chosen.found and not (other.searches or there.all or there.found == chosen.found):
        raise ValueError(
            f"this sweep is of architectures that {_as_text(chosen.found)} finds, which need not be in sweep "
            f"{name}; expected there `architectures = {{ found = {_as_text(chosen.found)} }}`, too"
        )


def _as_text(found: Sequence[str]) -> str:
    """Names of sweeps as in a study file."""
    return spaces.quoted(found[0] if len(found) == 1 else list(found))


def keeper(sweep: Sweep, task: str) -> str:
    """The recipe of a sweep whose trials end with weights; ValueError unless there is exactly one."""
    found = [name for name in sweep.recipe if sweep.resolved(task, name).keeps_weights]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"sweep {spaces.quoted(sweep.name)} has several recipes that end with weights, {', '.join(found)}; "
            "expected one: give each a sweep with a name of its own, and say here which"
        )
    raise ValueError(
        f"sweep {spaces.quoted(sweep.name)} has no recipe that ends with weights, but {', '.join(sweep.recipe)}; "
        "expected one that trains"
    )


def _check_no_circle(study: Study, sweep: Sweep) -> None:
    """ValueError where a sweep waits for itself."""
    seen: list[Sweep] = []
    following = [sweep]
    while following:
        one = following.pop()
        others = [source(study, one)] if one.weights is not None else []
        others += [other for other in study.searched(one) if isinstance(other, Sweep)]
        if any(other is sweep for other in others):
            raise ValueError("the trials of this sweep would wait for themselves; expected the name of another sweep")
        following += [other for other in others if not any(other is known for known in seen)]
        seen += others


def recipes(study: Study, sweep: Sweep) -> Recipes:
    """The recipes of each task, with those of their bases; those of lookups without the content of their tables."""
    return {task: [_bound(study, sweep, task, name) for name in sweep.recipe] for task in sweep.tasks}


def _bound(study: Study, sweep: Sweep, task: str, name: str) -> AnyRecipe:
    recipe = sweep.resolved(task, name)
    if not isinstance(recipe, WithBase):
        return recipe
    other = source(study, sweep)
    found: AnyRecipe = recipe.bound(_bound(study, other, task, keeper(other, task)))
    return found


def of_rows(rows: Iterable[Mapping[str, Any]], other: Sweep) -> Bases:
    """The trials of a sweep that end with weights, from its plan rows."""
    names = {task: other.resolved(task, keeper(other, task)).name for task in other.tasks}
    return {
        (row["arch"], row["task"], row["seed"]): row["trial_id"] for row in rows if row["recipe"] == names[row["task"]]
    }


def check_complete(sweep: Sweep, archs: list[str], bases: Bases) -> None:
    """LookupError where an architecture of a sweep has no base."""
    first = sweep.tasks[0], sweep.seeds[0]
    missing = [] if (spaces.WHOLE, *first) in bases else [arch for arch in archs if (arch, *first) not in bases]
    if missing:
        raise LookupError(
            f"sweep {spaces.quoted(sweep.weights)}, whose weights are used, does not train {len(missing):,} of "
            f"{len(archs):,} architectures, such as {', '.join(missing[:_SHOWN])}; expected the same `architectures` "
            "in both sweeps"
        )


def check_fit(trial: workers.Trial, recipe: AnyRecipe, seen: datasets.DatasetInfo, name: str, own: Any) -> None:
    """ValueError where the weights of a sweep's network do not fit the dataset of a trial; a LookupError where its task
    does not support that dataset.

    recipe, seen, name, own: of the base.
    """
    if seen.dataset_id == trial.dataset_id:
        return
    arch = spaces.WHOLE if trial.recipe.needs_weights == "supernet" else trial.arch
    values = dict(trial) | {"arch": arch, "recipe": recipe, "base": NOBODY if isinstance(recipe, WithBase) else None}
    base = workers.Trial.model_validate(values | {"dataset": name, "dataset_id": seen.dataset_id, "own": own})
    from workers import weights  # imports torch

    weights.check(trial, base)
