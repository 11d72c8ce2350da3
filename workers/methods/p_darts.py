"""Progressive search: the supernet gets deeper while its edges lose operations (P-DARTS, Chen et al. 2019).

Every stage has a new network and new architecture weights, its own cosine of the learning rate, and begins with epochs
for the network alone.  Between two stages every edge drops its weakest operations.  Skip connections have dropout.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from workers.methods._bilevel import SearchRun
from workers.methods._method import Setting
from workers.methods._relaxation import Relaxation
from workers.recipes import PDarts as Recipe

SHARPNESS = 0.2  # how fast the dropout of skip connections falls once the architecture is trained (the release)

Kept = dict[str, list[list[bool]]]
"""Which operations every edge of every kind of cell has."""


class Dropping(Relaxation):
    """The softmax over the operations that are left, and the dropout of skip connections."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def dropout(self, epoch: int) -> float:
        """In the epochs of the network alone linear, so that it would end at 0 with the stage; then exponential, again
        from the first value (the release)."""
        recipe = self.recipe
        stage, within = divmod(epoch, recipe.stage_epochs)
        first = recipe.dropout[stage]
        if within < recipe.frozen_epochs:
            return first * (recipe.stage_epochs - within - 1) / recipe.stage_epochs
        return first * math.exp(-SHARPNESS * (within - recipe.frozen_epochs))


class StagedRun(SearchRun):
    """A search in stages, as a run of epochs."""

    def __init__(self, setting: Setting, recipe: Recipe) -> None:
        self._setting, self._staged = setting, recipe
        self.stage = 0
        super().__init__(setting, Dropping(recipe))
        self.kept: Kept = {name: cell.present for name, cell in self.supernet.choices.items()}
        self.architecture.most_skips = recipe.skips

    def schedule(self, epoch: int) -> tuple[int, int]:
        """The epoch within its stage."""
        return epoch % self._staged.stage_epochs, self._staged.stage_epochs

    def prepare(self, epoch: int) -> None:
        """Begin a stage with its first epoch."""
        if (stage := epoch // self._staged.stage_epochs) != self.stage:
            self.enter(stage, narrowed(self.kept, self.architecture.probabilities(), self._staged.kept[stage - 1]))

    def enter(self, stage: int, kept: Kept) -> None:
        """A new network and new architecture weights with these operations."""
        recipe = self._staged
        self.stage, self.kept = stage, kept
        deeper = recipe.model_copy(update={"depth": recipe.depth + (0, *recipe.deeper)[stage]})
        trial = self._setting.trial.model_copy(update={"recipe": deeper})
        self.build(replace(self._setting, trial=trial), kept if stage else None)
        self.architecture.restart(stage, {name: torch.tensor(flags) for name, flags in kept.items()})

    def weights(self) -> dict[str, Any]:
        """Those of a search, with the depth of the last stage's network and the operations of its edges."""
        return super().weights() | {"depth": self.t.recipe.depth, "operations": self.kept}

    def state(self) -> dict[str, Any]:
        """That of a search, and the stage with its operations."""
        return super().state() | {"stage": self.stage, "kept": self.kept}

    def load(self, state: dict[str, Any]) -> None:
        """Load a state; the network is built for its stage first."""
        if not 0 <= state["stage"] <= len(self._staged.deeper):
            raise ValueError(f"stage {state['stage']}, expected 0 to {len(self._staged.deeper)}")
        if (state["stage"], state["kept"]) != (self.stage, self.kept):
            self.enter(state["stage"], state["kept"])
        super().load(state)


def narrowed(kept: Kept, weights: Mapping[str, torch.Tensor], count: int) -> Kept:
    """The `count` strongest of the operations that every edge has; of equal ones the first."""
    found: Kept = {}
    for name, flags in kept.items():
        found[name] = []
        for row, values in zip(flags, weights[name].tolist(), strict=True):
            there = [k for k, keep in enumerate(row) if keep]
            strongest = sorted(there, key=lambda k: -values[k])[:count]
            found[name].append([k in strongest for k in range(len(row))])
    return found


class PDarts:
    """The method `p_darts`."""

    name = "p_darts"

    def start(self, setting: Setting) -> StagedRun:
        """The search before its first epoch; ValueError if a part of the training split is smaller than a batch."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method 'p_darts'")
        return StagedRun(setting, recipe)


METHOD = PDarts()
