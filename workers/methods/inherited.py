"""Measure an architecture with the weights of a supernet: its angle (RLNAS) or its score (SPOS).

The angle reads no images.  For the score, the statistics of batch norm are computed from the same training batches for
all architectures, and the images are those that the task evaluates.
"""

import math
from collections.abc import Callable
from typing import Any

import torch

import spaces
from spaces._angle import Sums, angles, sums
from workers import weights
from workers.methods._inherited import accuracy
from workers.methods._method import Epoch, Setting
from workers.recipes import OfSupernet as Recipe
from workers.training.setup import recipe_of, sgd, source_of
from workers.training.steps import Training

_last: list[tuple[weights.Weights, bool, Sums]] = []  # of the supernet that was read last


class InheritedRun:
    """One measurement, as a run of one epoch."""

    epochs = 1

    def __init__(self, setting: Setting, recipe: Recipe) -> None:
        self.setting, self.recipe = setting, recipe
        self.t = None if recipe.score == "angle" else evaluation(setting, recipe)
        self._reason: str | None = None

    def epoch(self, number: int, between: Callable[[], None]) -> Epoch:
        """The angle in radians, or the score; NaN if the supernet does not have the architecture."""
        trial = self.setting.trial
        try:
            uses = spaces.single_path(trial.space).uses(trial.arch)
        except ValueError as error:
            self._reason = str(error)
            return Epoch(math.nan, math.nan, diverged=False)
        if self.t is None:
            return Epoch(math.nan, float(angles(_sums(self.setting, self.recipe), [uses])[0]), diverged=False)
        score = accuracy(self.t, trial.arch, between)
        return Epoch(math.nan, score, diverged=not math.isfinite(score))

    def state(self) -> dict[str, Any]:
        """Nothing: a measurement is repeated from the start."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Nothing to load."""

    def columns(self) -> dict[str, Any]:
        """Why there is no value, if there is none; and what a score is to be compared with."""
        found: dict[str, Any] = {"train_loss": None, "curve_train_loss": None, "error_text": self._reason}
        if self.t is None:
            return found
        occurrences = self.t.judging.sums[3][:-1]
        return found | {
            "test_images": len(self.t.test),
            "test_targets": int(occurrences.sum().item()) or None,
            "chance": self.t.trial.configured_task.chance(occurrences),
        }

    def weights(self) -> None:
        """None: nothing is trained."""
        return

    def close(self) -> None:
        """Release the steps."""
        if self.t is not None:
            self.t.close()


def _sums(setting: Setting, recipe: Recipe) -> Sums:
    """The sums of the base's weights, kept for the next trial of the same base."""
    base, faithful = setting.base, bool(recipe.faithful)
    if not (_last and _last[0][0] is base and _last[0][1] == faithful):
        device = torch.device("cpu")
        after, before = base.network(device), base.network(device)
        before.load_state_dict(base.values["initial"])
        space = spaces.single_path(setting.trial.space)
        _last[:] = [(base, faithful, sums(space, before, after, faithful))]
    return _last[0][2]


def evaluation(setting: Setting, recipe: Recipe) -> Training:
    """The supernet with its weights, and the images of the trial's dataset; the optimiser is not used."""
    trial, device = setting.trial, setting.device
    base = weights.on_dataset_of(trial, setting.base.trial)
    changes = {"threads": recipe.threads, "precise_bn": recipe.recalibration}
    changes |= {"test_batch": recipe.test_batch} if recipe.test_batch else {}
    base = base.model_copy(update={"recipe": base.recipe.replace(**changes)})
    net = setting.base.network(device)
    train, test = (
        source_of(split, base, device, train=split is setting.data.train, cpus=setting.cpus)
        for split in (setting.data.train, setting.data.test)
    )
    return Training(base, net, sgd(net, recipe_of(base)), train, test, device)


class Inherited:
    """The method `inherited`."""

    name = "inherited"

    def start(self, setting: Setting) -> InheritedRun:
        """The measurement before it is made; ValueError if the weights do not fit, or are not those of a supernet that
        was trained one path at a time."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method {self.name!r}")
        if "initial" not in setting.base.values:
            raise ValueError(
                f"the base {setting.base.trial.id} is a search of the method {setting.base.trial.recipe.method!r}; "
                "expected a supernet that was trained one path at a time: recipe supernet or rlnas"
            )
        return InheritedRun(setting, recipe)


METHOD = Inherited()
