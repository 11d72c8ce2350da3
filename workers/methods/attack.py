"""The score of a trained network on the test split of a dataset: the trial's own base, on clean images.

The network, the arithmetic and the order of the images are those of the base's evaluation, so on the base's dataset the
score is the base's `score_final`.  Another dataset has its own images and its own draws at test time.
"""

import math
from collections.abc import Callable
from typing import Any

from workers import weights
from workers.methods._method import Epoch, Setting
from workers.recipes import Attack as Recipe
from workers.training.epoch import Position, evaluate, position
from workers.training.setup import recipe_of, sgd, source_of
from workers.training.steps import Training


class AttackRun:
    """An evaluation, as a run of one epoch."""

    epochs = 1

    def __init__(self, t: Training) -> None:
        self.t = t
        self._at: Position | None = None  # only within the evaluation

    def epoch(self, number: int, between: Callable[[], None]) -> Epoch:
        """Evaluate, or the rest of it; no score if an output is not finite, as of a training that diverged."""
        self._at = self._at or Position("test")
        score, finite = evaluate(self.t, self._at, between)
        self._at = None
        finite = finite and math.isfinite(score)
        return Epoch(math.nan, score if finite else math.nan, diverged=not finite)

    def state(self) -> dict[str, Any]:
        """The position within the evaluation; the weights are those of the base."""
        return {} if self._at is None else {"within": self._at.kept(self.t.judging.sums)}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a position; raises any exception if it does not fit."""
        self._at = position(self.t, state["within"]) if "within" in state else None

    def columns(self) -> dict[str, Any]:
        """How the steps were made, and what the score is to be compared with."""
        t = self.t
        occurrences = t.judging.sums[3][:-1]
        return {
            "train_loss": None,
            "curve_train_loss": None,
            "step_mode": t.judging.work.mode,
            "test_images": len(t.test),
            "test_targets": int(occurrences.sum().item()) or None,
            "chance": t.trial.configured_task.chance(occurrences),
        }

    def weights(self) -> None:
        """None: nothing is trained."""
        return

    def close(self) -> None:
        """Release the steps."""
        self.t.close()


def evaluation(setting: Setting, recipe: Recipe) -> Training:
    """The network of the base and the test split of the trial's dataset, as of the base's last evaluation.

    It has no training images and its optimiser is not used.
    """
    trial, device = setting.trial, setting.device
    base = weights.on_dataset_of(trial, setting.base.trial)
    speed = {"threads": recipe.threads} | ({"test_batch": recipe.test_batch} if recipe.test_batch else {})
    base = base.model_copy(update={"recipe": base.recipe.replace(**speed)})
    net = setting.base.network(device)
    test = source_of(setting.data.test, base, device, train=False, cpus=setting.cpus)
    return Training(base, net, sgd(net, recipe_of(base)), test, test, device, setting.record)


class Attack:
    """The method `attack`."""

    name = "attack"

    def start(self, setting: Setting) -> AttackRun:
        """The evaluation before its first step; ValueError if the weights do not fit the network."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method 'attack'")
        return AttackRun(evaluation(setting, recipe))


METHOD = Attack()
