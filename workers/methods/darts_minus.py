"""Search with a further skip connection on every edge, which fades out (DARTS-, Chu et al. 2021).

It takes over what makes skip connections win in DARTS, that they ease the training of the supernet.
"""

import math

from workers.methods._bilevel import SearchRun
from workers.methods._method import Setting
from workers.methods._relaxation import Relaxation
from workers.recipes import DartsMinus as Recipe


class Fading(Relaxation):
    """The softmax of the architecture weights; the further skip connections have a factor from 1 to 0."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def auxiliary(self, epoch: int) -> float:
        """1 in the first epoch, 0 in the last; linear, or half a cosine."""
        progress = epoch / max(self.recipe.epochs - 1, 1)
        return 1 - progress if self.recipe.fading == "linear" else 0.5 * (1 + math.cos(math.pi * progress))


class DartsMinus:
    """The method `darts_minus`."""

    name = "darts_minus"

    def start(self, setting: Setting) -> SearchRun:
        """The search before its first epoch; ValueError if a part of the training split is smaller than a batch."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method 'darts_minus'")
        return SearchRun(setting, Fading(recipe))


METHOD = DartsMinus()
