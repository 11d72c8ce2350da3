"""Search by the softmax of architecture weights, first or second order (DARTS, Liu et al. 2019)."""

from workers.methods._bilevel import SearchRun
from workers.methods._method import Setting
from workers.methods._relaxation import Relaxation
from workers.recipes import Darts as Recipe


class Darts:
    """The method `darts`."""

    name = "darts"

    def start(self, setting: Setting) -> SearchRun:
        """The search before its first epoch; ValueError if a part of the training split is smaller than a batch."""
        relaxation = Relaxation()
        if isinstance(setting.trial.recipe, Recipe):
            relaxation.order = setting.trial.recipe.order
        return SearchRun(setting, relaxation)


METHOD = Darts()
