"""Compute a zero-cost proxy of a network with its initial weights: no training, no evaluation.

The row's `metric` is the name of the proxy, its scores are the value, and `train_s` is the time of computing it, with
network and batch at hand.  A value that is not finite is a missing value: the scores are NaN and `error_text` says why.

The batch is drawn from the training split with the augmentation of a training, by a stream that is named by
(dataset_id, task, seed): all architectures get the same one.  Initial weights are those of a training of the same
architecture and seed.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from workers import scores
from workers.data.loader import PLACES
from workers.methods._method import Epoch, Setting
from workers.methods._setup import initial, source_of
from workers.methods.train import arithmetic
from workers.recipes import Score as Recipe
from workers.scores import Proxy, Subject, Unmeasurable
from workers.streams import stream


class ScoreRun:
    """The computation of one score, as a run of one epoch."""

    epochs = 1

    def __init__(self, setting: Setting, recipe: Recipe, proxy: Proxy) -> None:
        self._setting, self._proxy = setting, proxy
        self._reason: str | None = None
        self._batches = batches(setting, recipe) if proxy.batches else [(torch.empty(0), torch.empty(0))]
        self._net = self._network()

    def epoch(self, number: int, between: Callable[[], None]) -> Epoch:
        """The mean of the proxy over the batches, each with the initial network."""
        values = []
        for inputs, targets in self._batches:
            net, self._net = self._net or self._network(), None
            subject = Subject(self._setting.trial, self._setting.device, net, inputs, targets)
            try:
                with arithmetic(self._setting.trial.recipe, self._setting.device):
                    values.append(self._proxy(subject))
            except Unmeasurable as error:
                self._reason = f"{self._proxy.name}: {error}"
                return Epoch(math.nan, math.nan, diverged=False)
            del net, subject
        found = math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan
        if math.isnan(found):
            self._reason = f"{self._proxy.name} is not finite: {', '.join(map(str, values[:3]))}"
        return Epoch(math.nan, found, diverged=False)

    def state(self) -> dict[str, Any]:
        """Nothing: a score is computed in one go."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Nothing to load."""

    def columns(self) -> dict[str, Any]:
        """Why there is no value, if there is none."""
        return {"train_loss": None, "curve_train_loss": None, "error_text": self._reason}

    def weights(self) -> None:
        """None: the weights are the initial ones."""
        return

    def close(self) -> None:
        """Release the network and the images."""
        self._net, self._batches = None, []

    def _network(self) -> nn.Module | None:
        reads = self._proxy.reads
        return None if reads == "cost" else initial(self._setting.trial, self._setting.device)


def batches(setting: Setting, recipe: Recipe) -> list[tuple[Tensor, Tensor]]:
    """The batches of a trial on its device, as `Subject` has them; the same for all architectures."""
    return list(_drawn(setting, recipe))


def _drawn(setting: Setting, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    trial, split, size = setting.trial, setting.data.train, recipe.batch or 0
    task, dataset, least = trial.configured_task, trial.data, recipe.least_images
    if least > len(split):
        raise ValueError(
            f"{recipe.batches} x {size} images are more than the {len(split)} training images of {trial.dataset_id}; "
            "override batch or batches with a smaller number"
        )
    generator = stream(trial.dataset_id, trial.task, trial.seed, "score")
    order = torch.randperm(len(split), generator=generator)[:least]
    drawn = {"image": order, **task.draw(least, dataset, generator, train=True)}
    source = source_of(split, trial, torch.device("cpu"), train=True, cpus=setting.cpus)
    for part in source.parts(drawn, size):
        draws = {name: values for name, values in part.items() if name not in PLACES}
        inputs, targets = task.batch(*source.look_up(part), draws, dataset)
        yield inputs.to(setting.device), targets.to(setting.device)


class Score:
    """The method `score`."""

    name = "score"

    def start(self, setting: Setting) -> ScoreRun:
        """Network and batch before the score is computed; ValueError if the split is smaller than the batch."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method 'score'")
        return ScoreRun(setting, recipe, scores.get(recipe.score))


METHOD = Score()
