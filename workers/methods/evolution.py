"""Regularised evolution on a zero-cost proxy (Real et al. 2019): the oldest architecture leaves, not the worst."""

from collections.abc import Sequence

import numpy as np

import spaces
from workers.methods._candidates import CandidatesRun, Propose, Scored
from workers.methods._method import Setting
from workers.recipes import Evolution as Recipe


def proposing(space: spaces.Searchable, population: int, tournament: int) -> Propose:
    """Random candidates until there are `population` of them; then one change of the best of `tournament` candidates,
    drawn without replacement from the newest `population`."""

    def propose(scored: Sequence[Scored], rng: np.random.Generator) -> str:
        if len(scored) < population:
            return space.sample(rng)
        alive = scored[-population:]
        drawn = rng.choice(population, tournament, replace=False).tolist()
        parent = max((alive[k] for k in drawn), key=lambda one: one.rank)
        return space.mutate(parent.arch, rng)

    return propose


class Evolution:
    """The method `evolution`."""

    name = "evolution"

    def start(self, setting: Setting) -> CandidatesRun:
        """The search before its first candidate."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method {self.name!r}")
        space = spaces.searchable(setting.trial.space)
        return CandidatesRun(setting, recipe, proposing(space, recipe.population, recipe.tournament))


METHOD = Evolution()
