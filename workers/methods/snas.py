"""Search with the softmax of architecture weights and Gumbel noise (SNAS, Xie et al. 2019)."""

import torch
from torch import Tensor

from workers.methods._bilevel import SearchRun
from workers.methods._gumbel import Perturbed
from workers.methods._method import Setting
from workers.recipes import Snas as Recipe


class Soft(Perturbed):
    """Weights h; evaluations use the softmax without noise."""

    def temperature(self, epoch: int) -> float:
        """Exponential."""
        first, last = self.tau
        return float(first * (last / first) ** self.progress(epoch))

    def drawn(self, alphas: dict[str, Tensor], epoch: int, generator: torch.Generator) -> dict[str, Tensor]:
        """h."""
        return {name: self.soft(values, epoch, generator) for name, values in alphas.items()}


class Snas:
    """The method `snas`."""

    name = "snas"

    def start(self, setting: Setting) -> SearchRun:
        """The search before its first epoch; ValueError if a part of the training split is smaller than a batch."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method 'snas'")
        return SearchRun(setting, Soft(recipe.tau, recipe.epochs))


METHOD = Snas()
