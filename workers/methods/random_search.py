"""Search among random architectures for the one with the best zero-cost proxy."""

from collections.abc import Sequence

import numpy as np

import spaces
from workers.methods._candidates import CandidatesRun, Scored
from workers.methods._method import Setting
from workers.recipes import RandomSearch as Recipe


class RandomSearch:
    """The method `random_search`."""

    name = "random_search"

    def start(self, setting: Setting) -> CandidatesRun:
        """The search before its first candidate."""
        recipe, space = setting.trial.recipe, spaces.get(setting.trial.space)
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method {self.name!r}")

        def propose(scored: Sequence[Scored], rng: np.random.Generator) -> str:
            return space.sample(rng)

        return CandidatesRun(setting, recipe, propose)


METHOD = RandomSearch()
