"""Search with one sampled operation per edge: a Gumbel softmax with straight-through gradients (Dong & Yang 2019)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from workers.methods._bilevel import SearchRun
from workers.methods._gumbel import Perturbed
from workers.methods._method import Setting
from workers.recipes import Gdas as Recipe


class Sampled(Perturbed):
    """One-hot weights, whose gradient is that of h."""

    def temperature(self, epoch: int) -> float:
        """Linear."""
        first, last = self.tau
        return first + (last - first) * self.progress(epoch)

    def drawn(self, alphas: dict[str, Tensor], epoch: int, generator: torch.Generator) -> dict[str, Tensor]:
        """One-hot at the maximum of h."""
        found = {}
        for name, values in alphas.items():
            h = self.soft(values, epoch, generator)
            found[name] = _one_hot(h) - h.detach() + h
        return found

    def settled(self, alphas: dict[str, Tensor]) -> dict[str, Tensor]:
        """One-hot at the largest weights."""
        return {name: _one_hot(values) for name, values in alphas.items()}


def _one_hot(values: Tensor) -> Tensor:
    return F.one_hot(values.detach().argmax(1), values.shape[1]).to(values)


class Gdas:
    """The method `gdas`."""

    name = "gdas"

    def start(self, setting: Setting) -> SearchRun:
        """The search before its first epoch; ValueError if a part of the training split is smaller than a batch."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method 'gdas'")
        return SearchRun(setting, Sampled(recipe.tau, recipe.epochs))


METHOD = Gdas()
