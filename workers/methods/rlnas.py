"""RLNAS (Zhang et al. 2021): train a supernet, then search among its architectures by their angle.

With the accuracy as indicator, SPOS (Guo et al. 2020).  The generations of the search are the epochs after those of the
training; their score is the best one so far.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import spaces
from workers.methods._found import KEPT, found_columns
from workers.methods._generations import generation, listed, ranked
from workers.methods._inherited import accuracy, angles_of
from workers.methods._limits import within
from workers.methods._method import Epoch, Setting
from workers.methods.supernet import SupernetRun
from workers.recipes import Rlnas as Recipe
from workers.streams import seed_of
from workers.training.steps import nothing


class RlnasRun(SupernetRun):
    """The training and the search as a run of epochs."""

    def __init__(self, setting: Setting, recipe: Recipe) -> None:
        super().__init__(setting, recipe)
        self.search = recipe
        self._within = within(setting.trial, recipe)
        self.epochs = recipe.epochs + recipe.rounds
        self._scored: dict[str, float] = {}
        self._generations: list[int] = []  # architectures scored after each
        self._curve: list[str | None] = []

    def epoch(self, number: int, between: Callable[[], None] = nothing) -> Epoch:
        """An epoch of the training, or a generation of the search."""
        if number < self.recipe.epochs:
            return super().epoch(number, between)
        begun = self._generations[-1] if self._generations else 0
        before = dict(list(self._scored.items())[:begun])
        chosen = self._candidates(number - self.recipe.epochs, before)
        left = [arch for arch in chosen if arch not in self._scored]
        if self.search.indicator == "angle":
            self._scored |= zip(left, self._angles(left), strict=True)
            between()
        else:
            for arch in left:
                # Not stopped within an evaluation: its statistics of batch norm are no part of the state.
                self._scored[arch] = accuracy(self.t, arch)
                between()
        self._generations.append(len(self._scored))
        best = self._best()
        self._curve.append(best)
        return Epoch(math.nan, math.nan if best is None else self._scored[best], diverged=False)

    def score(self, between: Callable[[], None]) -> float:
        """The indicator of the watched architecture."""
        if self.search.indicator == "accuracy":
            return super().score(between)
        return self._angles([self.watched])[0]

    def _angles(self, archs: list[str]) -> list[float]:
        return angles_of(self.t.trial.space, self.initial, self.t.net, archs, self.search.faithful) if archs else []

    def _candidates(self, number: int, before: dict[str, float]) -> list[str]:
        trial = self.t.trial
        if self.search.exhaustive:
            return [arch for arch in listed(spaces.enumerable(trial.space), self._allowed) if arch not in before]
        rng = np.random.default_rng(seed_of("generation", trial.space, trial.task, trial.seed, number))
        return generation(self.space, self.search, before, rng, self._allowed)

    def _allowed(self, arch: str) -> bool:
        """Whether the supernet has the architecture, and its network is within the limits."""
        try:
            self.space.uses(arch)
        except ValueError:
            return False
        return self._within(arch)

    def _best(self) -> str | None:
        best = next(iter(ranked(self._scored)), None)
        return best if best is not None and math.isfinite(self._scored[best]) else None

    def state(self) -> dict[str, Any]:
        """That of the training, and what has been scored."""
        state = super().state()
        begun = self._generations[-1] if self._generations else 0
        if len(self._scored) > begun:
            state["within"] = {"scored": len(self._scored) - begun}
        return state | {
            "scored": [list(one) for one in self._scored.items()],
            "generations": list(self._generations),
            "curve": list(self._curve),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Load a state; raises any exception if it does not fit."""
        within = state.get("within", {})
        super().load({key: value for key, value in state.items() if key != "within" or "scored" not in within})
        self._scored = {str(arch): float(score) for arch, score in state["scored"]}
        self._generations, self._curve = list(state["generations"]), list(state["curve"])

    def columns(self) -> dict[str, Any]:
        """What was found, the best after each generation, and the best ones."""
        best = self._best()
        of_task = (
            {} if self.search.indicator == "accuracy" else dict.fromkeys(("test_images", "test_targets", "chance"))
        )
        return {
            **super().columns(),
            **of_task,
            "train_loss": None,
            **found_columns(self.space, best, self._curve),
            "found_top": ranked(self._scored)[:KEPT],
            "error_text": None if best else "no architecture has a finite score",
        }


class Rlnas:
    """The method `rlnas`."""

    name = "rlnas"

    def start(self, setting: Setting) -> RlnasRun:
        """The supernet before its first step; ValueError if it cannot be trained, LookupError if not be searched."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method {self.name!r}")
        if recipe.exhaustive:
            spaces.enumerable(setting.trial.space)
        return RlnasRun(setting, recipe)


METHOD = Rlnas()
