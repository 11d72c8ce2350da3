"""The baseline training step: eager fp32, full logits, SGD tensor by tensor, errors by sorting, read in every step.

`Plain` has the structure of the public release of Liu et al. 2020; `Library` is nasbench_pytorch's network in its
trainer.
"""

import io
from collections import deque
from collections.abc import Iterable
from contextlib import redirect_stdout
from statistics import median

import torch
import torch.nn.functional as F
from nasbench_pytorch.model.model import Cell, Network, Placeholder
from nasbench_pytorch.trainer import train
from torch import Tensor, nn

from workers.bench.baseline_networks import network, spec_of
from workers.recipes import Sgd
from workers.training.setup import recipe_of
from workers.trial import Trial

Batches = Iterable[tuple[Tensor, Tensor]]


def sgd(net: nn.Module, recipe: Sgd) -> torch.optim.Optimizer:
    """SGD as in the release, neither fused nor `foreach`."""
    return torch.optim.SGD(
        net.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        foreach=False,
        fused=False,
    )


def topk_errors(scores: Tensor, targets: Tensor, ks: tuple[int, ...]) -> list[Tensor]:
    """Top-k errors in percent, over images or over pixels: scores (B, K, ...), targets (B, ...)."""
    if scores.dim() > 2:
        scores = scores.movedim(1, -1).reshape(-1, scores.shape[1])
        targets = targets.reshape(-1)
    _, best = torch.topk(scores, max(ks), dim=1, largest=True, sorted=True)
    met = best.t().eq(targets.reshape(1, -1).expand_as(best.t()))
    return [(1.0 - met[:k].reshape(-1).float().sum() / len(targets)) * 100.0 for k in ks]


class Meter:
    """Loss and errors: medians over the last ten iterations, means over the epoch."""

    def __init__(self) -> None:
        self.last: list[deque[float]] = [deque(maxlen=10) for _ in range(3)]
        self.totals = [0.0, 0.0, 0.0]
        self.samples = self.iterations = 0
        self.lines: list[list[float]] = []

    def update(self, readings: tuple[float, ...], samples: int) -> None:
        """Add the loss, top-1 and top-5 error of one step; every tenth step gives a line of the log."""
        for place, reading in enumerate(readings):
            self.last[place].append(reading)
            self.totals[place] += reading * samples
        self.samples += samples
        self.iterations += 1
        if self.iterations % 10 == 0:
            self.lines.append([median(values) for values in self.last])


class Plain:
    """The baseline network of a trial with its optimiser."""

    name = "plain"

    def __init__(self, trial: Trial, device: torch.device) -> None:
        recipe = trial.recipe
        self.net = network(trial.space, trial.arch, trial.task, recipe.given_width, recipe.depth).to(device)
        self.optimizer = sgd(self.net, recipe_of(trial))

    def parameters(self) -> list[nn.Parameter]:
        """The parameters in the order of this package's network."""
        return list(self.net.parameters())

    def epoch(self, batches: Batches) -> float:
        """Train one step on each batch; returns the mean loss."""
        self.net.train()
        meter = Meter()
        for inputs, targets in batches:
            scores = self.net(inputs)
            loss = F.cross_entropy(scores, targets)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            top1, top5 = topk_errors(scores, targets, (1, min(5, scores.shape[1])))
            meter.update((loss.item(), top1.item(), top5.item()), targets.numel())
        return meter.totals[0] / meter.samples


class Library:
    """nasbench_pytorch's network and trainer with the recipe's SGD; classification only."""

    name = "nasbench_pytorch"

    def __init__(self, trial: Trial, device: torch.device) -> None:
        recipe, self.device = trial.recipe, device
        self.net = Network(
            spec_of(trial.arch),
            num_labels=10,
            stem_out_channels=recipe.given_width,
            num_modules_per_stack=recipe.depth,
            momentum=0.1,
        ).to(device)
        self.optimizer = sgd(self.net, recipe_of(trial))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda epoch: 1.0)

    def parameters(self) -> list[nn.Parameter]:
        """The parameters in the order of this package's network: in a cell the projections come first."""
        found: list[nn.Parameter] = []
        for layer in self.net.layers:
            if isinstance(layer, Cell):
                parts = [*layer.input_op, *layer.vertex_op]
                found += [p for part in parts if not isinstance(part, Placeholder) for p in part.parameters()]
            else:
                found += layer.parameters()
        return found + list(self.net.classifier.parameters())

    def epoch(self, batches: Batches) -> float:
        """Train one epoch with the library's trainer, without gradient clipping; returns the mean loss."""
        with redirect_stdout(io.StringIO()):
            history = train(
                self.net,
                list(batches),
                optimizer=self.optimizer,
                scheduler=self.schedule,
                grad_clip=None,
                num_epochs=1,
                device=self.device,
            )
        return float(history["train_loss"][0])
