"""Trainings in float64, alone or as one of two processes."""

import os
import subprocess
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import spaces
import workers
from tests.forks import Forked
from tests.workers.prepared import prepare
from workers import datasets, rank
from workers.data.loader import Resident
from workers.datasets import IGNORED
from workers.group import Group
from workers.methods.train import training
from workers.run import run_part, setting
from workers.training.across import CrossNorm
from workers.training.epoch import evaluate, precise_bn, train_epoch
from workers.training.setup import sgd
from workers.training.steps import Training, share

CPU = torch.device("cpu")
# Space, task and changes of the recipe; with all settings of the evaluation phase, or with precise batch norm.
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("darts", "cls", {"aux": 0.4, "drop_path": 0.3, "cutout": 16, "smoothing": 0.1, "clip": 1.0}),
    ("nasbench201", "rot", {"precise_bn": 8}),
    ("chain", "jig", {"clip": 0.5, "batch": 4}),
]
COMPARED = (
    "curve_train_loss",
    "curve_test_score",
    "score_best",
    "score_final",
    "test_targets",
    "trial_id",
    "step_mode",
)


class Double(Training):
    """A training in float64."""

    def batch(self, split: Any, part: Any) -> tuple[Tensor, Tensor]:
        inputs, targets = super().batch(split, part)
        return inputs.double(), targets


def trial(space: str, task: str, **changes: Any) -> workers.Trial:
    sizes: dict[str, Any] = {"epochs": 2, "width": 2, "depth": 1, "batch": 8, "test_batch": 7, "precise_bn": 0}
    if space == "darts":
        sizes["depth"] = 3
    r = workers.recipe("demo", space=space, dataset="scenes", task=task).replace(**sizes | changes)
    arch = (
        spaces.published("darts")["darts_v1"] if space == "darts" else spaces.sample(spaces.get(space), 1, 0).archs[0]
    )
    dataset_id = datasets.get("scenes").published_id
    return workers.Trial(space=space, arch=arch, dataset="scenes", dataset_id=dataset_id, task=task, recipe=r)


def results(t: workers.Trial, cache: Path, group: Group | None = None) -> dict[str, Any]:
    """Losses, scores and the final state of two epochs of two steps; the last batch of 15 test images is of one."""
    whole = prepare(t, CPU, None, cache) if group is None else training(setting(t, CPU, None, cache, group=group))
    net = whole.net.double()
    train, test = (Resident(s.pixels[:n], s.labels[:n]) for s, n in ((whole.train, 16), (whole.test, 15)))
    one = replace(Double(t, net, sgd(net, t.recipe), train, test, CPU), group=group)
    curve = []
    for epoch in range(2):
        curve.append(train_epoch(one, epoch).item())
        precise_bn(one, epoch)
        curve.append(evaluate(one)[0])
    counts = [total.double() for total in one.judging.sums]
    return {"curve": curve, "state": net.state_dict(), "counts": counts}


def segmentation(group: Group | None) -> tuple[Tensor, Tensor]:
    """The loss of label maps of which the parts have unequal numbers of pixels with a class, and its gradient."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 3, 5, 5, dtype=torch.float64, generator=generator)
    targets = torch.randint(3, (4, 5, 5), generator=generator)
    targets[:3, 1:] = IGNORED
    scores.requires_grad_()
    task = workers.tasks.get("seg")
    if group is None:
        loss = task.loss(scores, targets)
        return loss.detach(), torch.autograd.grad(loss, scores)[0]
    own, part = group.rows(scores, 4), group.rows(targets, 4)
    loss = task.loss(own, part) * share(part, True, group)
    gradient = torch.autograd.grad(loss, scores)[0]
    return group.sum(loss.detach().clone()), group.sum(gradient)


def normalised(group: Group | None) -> list[Tensor]:
    """Outputs, gradients and running statistics of a batch norm that half of a batch goes through."""
    generator = torch.Generator().manual_seed(1)
    x, back = (torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=generator) * 3 + 1 for _ in range(2))
    norm = torch.nn.BatchNorm2d(3).double()
    if group is not None:
        crossing = CrossNorm(3).double()
        crossing.group, norm = group, crossing
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
    x.requires_grad_()
    own, own_back = (x, back) if group is None else (group.rows(x, 4), group.rows(back, 4))
    out = norm(own)
    found = list(torch.autograd.grad(out, [x, norm.weight, norm.bias], own_back))
    if group is not None:
        found = [group.sum(value) for value in found]
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return [*found, norm.running_mean, norm.running_var]


def undisturbed() -> workers.Trial:
    """The training that is stopped and killed elsewhere."""
    return trial("chain", "cls", batch=150, test_batch=100, epochs=5, lr=0.01)


class Process:
    """In place of `subprocess.Popen` for the processes of `workers.ranks`: forked, not started anew.

    tests/orchestrator/test_devices.py has them started as a trial does.
    """

    def __init__(self, words: list[str], *, pass_fds: list[int], env: dict[str, str], **options: Any) -> None:
        assert words[1:4] == ["-P", "-m", "workers.rank"]
        self._forked = Forked(_rank, env, files=pass_fds)
        self.kill = self._forked.kill

    def poll(self) -> int | None:
        return self._forked.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._forked.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired("workers.rank", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self._forked.pid, number)


def _rank(pipe: int, environment: dict[str, str]) -> None:
    os.setsid()
    os.environ.update(environment)
    os._exit(rank.main(Connection(pipe)))


def member(rank: int, meeting: str, cache: str, out: str) -> None:
    """What one of two processes does: all cases."""
    torch.set_num_threads(1)
    group = Group.join(rank, 2, CPU, Path(meeting))
    found = {"segmentation": segmentation(group), "normalised": normalised(group)}
    found |= {space: results(trial(space, task, **more), Path(cache), group) for space, task, more in CASES}
    row = run_part(undisturbed(), "cpu", group, cache_dir=cache)
    found["row"] = {name: row[name] for name in COMPARED}
    torch.save(found, f"{out}.{rank}")
    group.leave()
