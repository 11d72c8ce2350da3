"""Train a supernet, one random path per step (SPOS, Guo et al. 2020; RLNAS, Zhang et al. 2021).

The score after an epoch is that of one architecture, the same in all epochs and drawn with the seed: it shows how the
training proceeds.  Its statistics of batch norm are computed for the evaluation.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import spaces
from spaces._edges import part_of
from workers.methods._inherited import accuracy
from workers.methods._method import Epoch, Setting
from workers.methods.train import training
from workers.recipes import Supernet as Recipe
from workers.streams import seed_of
from workers.training.epoch import Position, position, rate_at, set_rate
from workers.training.setup import load_optimizer
from workers.training.steps import arithmetic, nothing


class SupernetRun:
    """The training of a supernet as a run of epochs."""

    def __init__(self, setting: Setting, recipe: Recipe) -> None:
        self.recipe, self.epochs = recipe, recipe.epochs
        self.t = training(replace(setting, record=None))  # a captured step would repeat one path
        self.space = spaces.single_path(setting.trial.space)
        self.supernet = part_of(self.t.net)
        self.initial = copy.deepcopy(self.t.net)
        for w in self.t.net.parameters() if recipe.momentum else ():
            # The fused optimiser needs all buffers once it has one, and a step may leave weights without a gradient.
            self.t.optimizer.state[w].setdefault("momentum_buffer", torch.zeros_like(w))
        self._total = torch.zeros((), dtype=torch.float64, device=setting.device)
        self._at: Position | None = None  # only within an epoch
        self.watched = self._watched()

    def _watched(self) -> str:
        """The architecture whose score is the epoch's: the first one drawn that the supernet has."""
        trial = self.t.trial
        rng = np.random.default_rng(seed_of("watched", trial.space, trial.seed))
        while True:
            arch = self.space.sample(rng)
            try:
                if all(table.any() for table in self.space.uses(arch).values()):
                    return arch
            except ValueError:  # a cell with two edges between the same nodes
                continue

    def epoch(self, number: int, between: Callable[[], None] = nothing) -> Epoch:
        """Train, then evaluate one architecture."""
        loss = self.train(number, between)
        score = self.score(between) if math.isfinite(loss) else math.nan
        self._at = None  # only now: a run that is stopped in the evaluation repeats it
        return Epoch(loss, score, diverged=not math.isfinite(score))

    def score(self, between: Callable[[], None]) -> float:
        """The score of the watched architecture."""
        return accuracy(self.t, self.watched, between)

    def train(self, epoch: int, between: Callable[[], None]) -> float:
        """The steps of an epoch that are left; the mean loss."""
        t, recipe = self.t, self.recipe
        at = self._at = self._at or Position()
        t.net.train()
        self._total.zero_()
        for value in at.sums:
            self._total.copy_(value)
        parts = t.parts("train", epoch, t.steps, at.done)
        try:
            for part in parts:
                self._step(part, epoch, at.done // recipe.batch)
                at.done += recipe.batch
                between()
        finally:
            if (close := getattr(parts, "close", None)) is not None:
                close()  # ends the threads that make parts now, not at the next garbage collection
        return (self._total / max(t.steps, 1)).item()

    def _step(self, part: dict[str, Tensor], epoch: int, step: int) -> None:
        t, recipe, trial = self.t, self.recipe, self.t.trial
        set_rate(t, rate_at(t, epoch, step * recipe.batch))
        rng = np.random.default_rng(seed_of(trial.dataset_id, trial.task, trial.seed, "path", epoch, step))
        self.supernet.walk(self.space.draw_path(rng, self.supernet.cells))
        # Zeros, not None: momentum and decay also move weights that this path does not use.
        t.optimizer.zero_grad(set_to_none=False)
        inputs, targets = t.batch(t.train, part)
        with arithmetic(recipe, t.device):
            loss = trial.configured_task.training_loss(t.net, inputs, targets)
        loss.backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(t.net.parameters(), recipe.clip)
        if recipe.clip_value is not None:
            nn.utils.clip_grad_value_(t.net.parameters(), recipe.clip_value)
        t.optimizer.step()
        self._total += loss.detach()

    def state(self) -> dict[str, Any]:
        """Network, optimiser, which weights have been used, and the position within an epoch."""
        t = self.t
        state: dict[str, Any] = {
            "net": t.net.state_dict(),
            "optimizer": t.optimizer.state_dict(),
            "used": torch.tensor([w.grad is not None for w in t.net.parameters()]),
        }
        return state if self._at is None else state | {"within": self._at.kept((self._total.clone(),))}

    def load(self, state: dict[str, Any]) -> None:
        """Load a state; raises any exception if it does not fit."""
        at = position(self.t, state["within"]) if "within" in state else None
        self.t.net.load_state_dict(state["net"])
        load_optimizer(self.t.optimizer, state["optimizer"])
        for w, used in zip(self.t.net.parameters(), state["used"].tolist(), strict=True):
            w.grad = torch.zeros_like(w) if used else None
        self._at = at

    def columns(self) -> dict[str, Any]:
        """The architecture that was evaluated, and what its score is to be compared with."""
        t = self.t
        occurrences = t.judging.sums[3][:-1]
        return {
            "step_mode": "eager: every step has another path",
            "test_images": len(t.test),
            "test_targets": int(occurrences.sum().item()) or None,
            "chance": t.trial.configured_task.chance(occurrences),
        }

    def weights(self) -> dict[str, Any]:
        """The state of the network after the training, and before it."""
        return {"net": self.t.net.state_dict(), "initial": self.initial.state_dict()}

    def close(self) -> None:
        """Release the steps."""
        self.t.close()


class Supernet:
    """The method `supernet`."""

    name = "supernet"

    def start(self, setting: Setting) -> SupernetRun:
        """The supernet before its first step; ValueError if a batch is larger than the training split."""
        recipe = setting.trial.recipe
        if not isinstance(recipe, Recipe) or recipe.method != self.name:
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method {self.name!r}")
        return SupernetRun(setting, recipe)


METHOD = Supernet()
