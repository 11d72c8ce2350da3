"""Searches by architecture weights: a supernet and its architecture weights are trained by turns (Liu et al. 2019).

The training split is cut in two parts.  A step is one of SGD on the network with a batch of the first, and one of Adam
on the architecture weights with a batch of the second, on which the supernet is also evaluated after every epoch.  The
task, its augmentation, its loss and its score are those of a training; the test split is not read.

Methods differ in their `Relaxation` (`_relaxation.py`): how the architecture weights become weights of the supernet.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, repeat
from typing import Any

import torch
from torch import Tensor, nn

from spaces._edges import part_of
from workers.cuda_graphs import Part
from workers.methods._architecture import Architecture
from workers.methods._halves import trainings
from workers.methods._method import Epoch, Setting
from workers.methods._relaxation import Relaxation
from workers.methods._unrolled import unrolled
from workers.recipes import Search
from workers.streams import seed_of, stream
from workers.training.epoch import Position, evaluate, learning_rate, position, precise_bn, set_rate
from workers.training.setup import load_optimizer
from workers.training.steps import Training, arithmetic, nothing


class SearchRun:
    """A search as a run of epochs."""

    def __init__(self, setting: Setting, relaxation: Relaxation) -> None:
        recipe = setting.trial.recipe
        if not isinstance(recipe, Search):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one that searches")
        self.recipe, self.relaxation, self.epochs = recipe, relaxation, recipe.epochs
        self.build(setting)
        self.architecture = Architecture(
            setting.trial, recipe, self.supernet, setting.device, with_edges=relaxation.with_edges
        )
        self._total = torch.zeros((), dtype=torch.float64, device=setting.device)
        self._dropout = 0.0
        self._at: Position | None = None  # only within an epoch
        self._diverged = False

    def build(self, setting: Setting, kept: Mapping[str, Sequence[Sequence[bool]]] | None = None) -> None:
        """A new network and its optimiser; `kept` says which operations it has, by default all."""
        if hasattr(self, "t"):
            self.close()
        self.t, self.others = trainings(setting, self.recipe, kept)
        self.supernet = part_of(self.t.net)
        self._weights = list(self.t.net.parameters())
        for w in self._weights if self.recipe.momentum else ():
            # The fused optimiser needs all buffers once it has one, and a step may leave weights without a gradient.
            self.t.optimizer.state[w].setdefault("momentum_buffer", torch.zeros_like(w))

    def schedule(self, epoch: int) -> tuple[int, int]:
        """The epoch, and how many there are, as far as learning rate and frozen epochs are concerned."""
        return epoch, self.epochs

    def prepare(self, epoch: int) -> None:
        """Called before the first step of an epoch, and again when an epoch is resumed."""

    def epoch(self, number: int, between: Callable[[], None] = nothing) -> Epoch:
        """Train by turns, compute the statistics of batch norm, evaluate, note the architecture."""
        self.prepare(number)
        t, at = self.t, self._at or Position()
        self._at = at
        self.supernet.fade(self.relaxation.auxiliary(number))
        if at.split == "train":
            loss = self._train(number, at, between)
            if not (math.isfinite(loss) and self.architecture.finite):
                self._at, self._diverged = None, True
                return Epoch(loss, math.nan, diverged=True)
            self._settle()
            precise_bn(t, number, between)
            at = self._at = Position("test", loss=loss)
            t.judging.clear()
            between()
        self._settle()
        score, finite = evaluate(t, at, between)
        self._at = None
        self.architecture.note()
        self._diverged = not (finite and math.isfinite(score))
        return Epoch(at.loss, score if finite else math.nan, diverged=self._diverged)

    def _train(self, epoch: int, at: Position, between: Callable[[], None]) -> float:
        """The steps of an epoch that are left; the mean loss of the network's steps."""
        t, recipe = self.t, self.recipe
        place, length = self.schedule(epoch)
        rate = learning_rate(recipe, place, length)
        set_rate(t, rate)
        self._set_dropout(self.relaxation.dropout(epoch))
        t.net.train()
        self._total.zero_()
        for value in at.sums:
            self._total.copy_(value)
        step = at.done // recipe.batch
        parts = t.parts("train", epoch, t.steps, at.done)
        others: Iterator[Part | None] = repeat(None)
        if place >= recipe.frozen_epochs:
            others = self._held_out(epoch, step)
        try:
            for part, other in zip(parts, others, strict=False):
                if other is not None and recipe.first == "architecture":
                    self._move_architecture(part, other, rate, epoch, step)
                self._move_network(part, epoch, step)
                if other is not None and recipe.first == "network":
                    self._move_architecture(part, other, rate, epoch, step)
                step += 1
                at.done += recipe.batch
                between()
        finally:
            # End the threads that make parts now, not at the next garbage collection.
            for parts_of_one in (parts, others):
                if (close := getattr(parts_of_one, "close", None)) is not None:
                    close()
        return (self._total / max(t.steps, 1)).item()

    def _held_out(self, epoch: int, step: int) -> Iterator[Part]:
        """Batches for the architecture weights from a step on, in as many passes over their images as are needed."""
        for number in count(step // self.others.steps):
            done = step % self.others.steps * self.recipe.batch
            yield from self.others.parts(f"architecture {number}", epoch, self.others.steps, done)
            step = 0

    def _loss(self, t: Training, part: Part, *name: object) -> Tensor:
        """The loss of a pass; `name` names its random numbers."""
        inputs, targets = t.batch(t.train, part)
        with arithmetic(self.recipe, t.device), self._noise(*name):
            return t.trial.configured_task.training_loss(t.net, inputs, targets)

    @contextmanager
    def _noise(self, *name: object) -> Iterator[None]:
        """Dropout draws from torch's generators: they are set for a pass and restored afterwards."""
        if not self._dropout:
            yield
            return
        trial, device = self.t.trial, self.t.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed_of(trial.dataset_id, trial.task, trial.seed, "dropout", *name))
            yield

    def _set_dropout(self, p: float) -> None:
        self._dropout = p
        self.supernet.drop_skips(p)

    def _relax(self, epoch: int, step: int, turn: str) -> None:
        """Give the supernet the weights of a pass; gradients reach the architecture weights unless they are off."""
        trial = self.t.trial
        generator = stream(trial.dataset_id, trial.task, trial.seed, "path", epoch, step, turn)
        self.supernet.use(
            self.relaxation.drawn(self.architecture.alphas, epoch, generator), self.architecture.factors()
        )

    @torch.no_grad()
    def _settle(self) -> None:
        """Give the supernet the weights of an evaluation, and no dropout."""
        self._set_dropout(0.0)
        self.supernet.use(self.relaxation.settled(self.architecture.alphas), self.architecture.factors())

    def _move_network(self, part: Part, epoch: int, step: int) -> None:
        with torch.no_grad():  # the architecture weights take no part: neither in the gradient nor in its norm
            self._relax(epoch, step, "network")
        self.t.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(self.t, part, epoch, step, "network")
        loss.backward()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self._weights, self.recipe.clip)
        self.t.optimizer.step()
        self._total += loss.detach()

    def _move_architecture(self, part: Part, other: Part, rate: float, epoch: int, step: int) -> None:
        tables = list(self.architecture.tables.values())

        def loss_on(t: Training, one: Part) -> Callable[[], Tensor]:
            def loss() -> Tensor:
                self._relax(epoch, step, "architecture")
                return self._loss(t, one, epoch, step, "architecture")

            return loss

        if self.relaxation.order == 1:
            found = torch.autograd.grad(loss_on(self.others, other)(), tables, allow_unused=True)
            gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(tables, found, strict=True)]
        else:
            optimizer, recipe = self.t.optimizer, self.recipe
            buffers = {w: optimizer.state[w].get("momentum_buffer") for w in self._weights if w in optimizer.state}
            gradients = unrolled(
                self._weights,
                tables,
                loss_on(self.t, part),
                loss_on(self.others, other),
                rate=rate,
                momentum={w: recipe.momentum * b for w, b in buffers.items() if b is not None},
                decay=recipe.weight_decay,
                buffers=list(self.t.net.buffers()),
            )
        for table, gradient in zip(tables, gradients, strict=True):
            table.grad = gradient
        self.architecture.adam.step()

    def state(self) -> dict[str, Any]:
        """The state of network, optimisers and architecture, and the position within an epoch."""
        state: dict[str, Any] = {
            "net": self.t.net.state_dict(),
            "optimizer": self.t.optimizer.state_dict(),
            "architecture": self.architecture.state(),
        }
        if self._at is None:
            return state
        sums = (self._total,) if self._at.split == "train" else self.t.judging.sums
        return state | {"within": self._at.kept(sums)}

    def load(self, state: dict[str, Any]) -> None:
        """Load a state; raises any exception if it does not fit."""
        at = position(self.t, state["within"]) if "within" in state else None
        self.t.net.load_state_dict(state["net"])
        load_optimizer(self.t.optimizer, state["optimizer"])
        self.architecture.load(state["architecture"])
        self._at = at

    def columns(self) -> dict[str, Any]:
        """What was found, how it changed, and what the score of the supernet is to be compared with."""
        t = self.t
        occurrences = t.judging.sums[3][:-1]
        return {
            "step_mode": "eager",
            "test_images": len(t.test),
            "test_targets": int(occurrences.sum().item()) or None,
            "chance": t.trial.configured_task.chance(occurrences),
            **self.architecture.columns(self._diverged),
        }

    def weights(self) -> dict[str, Any]:
        """The supernet's parameters and statistics after the last epoch, and the architecture weights."""
        return {"net": self.t.net.state_dict(), "architecture": self.architecture.state()["tables"]}

    def close(self) -> None:
        """Release the steps."""
        self.t.close()
        self.others.close()
