"""Search with one sampled operation per edge: a Gumbel softmax with straight-through gradients (Dong & Yang 2019)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from workers.methods._bilevel import Relaxation, SearchRun
from workers.methods._method import Setting
from workers.recipes import Gdas as Recipe


class Sampled(Relaxation):
    """One-hot weights; their gradient is that of a softmax of perturbed weights, which gets sharper with the epochs."""

    def __init__(self, tau: tuple[float, float], epochs: int) -> None:
        self.tau, self.epochs = tau, epochs

    def temperature(self, epoch: int) -> float:
        """Linear from the first to the last epoch."""
        first, last = self.tau
        return first + (last - first) * epoch / max(self.epochs - 1, 1)

    def drawn(self, alphas: dict[str, Tensor], epoch: int, generator: torch.Generator) -> dict[str, Tensor]:
        """With h = softmax((log softmax(alpha) + noise) / tau): one-hot at the maximum of h, with the gradient of h."""
        found = {}
        for name, values in alphas.items():
            noise = gumbel(values.shape, generator).to(values)
            h = ((values.log_softmax(1) + noise) / self.temperature(epoch)).softmax(1)
            found[name] = _one_hot(h) - h.detach() + h
        return found

    def settled(self, alphas: dict[str, Tensor]) -> dict[str, Tensor]:
        """One-hot at the largest weights."""
        return {name: _one_hot(values) for name, values in alphas.items()}


def gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Gumbel noise, drawn on the CPU; drawn again in the rare case that a value is not finite."""
    while True:
        noise = -torch.empty(shape).exponential_(generator=generator).log()
        if noise.isfinite().all():
            return noise


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
