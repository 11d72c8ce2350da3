"""The contract of zero-cost proxies, checked on every space and task with small networks and random images."""

from collections.abc import Callable
from functools import lru_cache
from math import isfinite

import torch
from torch import Tensor

import spaces
from workers import datasets, tasks
from workers.contracts._check import Check, expect
from workers.recipes import Score
from workers.recipes._scores import PROXIES, WITHOUT_IMAGES
from workers.scores import Proxy, Subject, Unmeasurable
from workers.training.setup import initial
from workers.trial import Trial

_IMAGES = 4
_SIZE = {"darts": (4, 3), "mobilenet": (2, 1)}  # width and depth; both reductions of a darts network
_SMALL = (4, 1)
_DATASETS = ("photos", "camvid")  # small images, and large ones with label maps


def score_checks(proxy: Proxy) -> list[Check]:
    """The checks of a proxy."""
    checks = [
        Check("recipes know it, and what it reads", lambda: _known(proxy)),
        Check("random numbers and settings of the process stay as they are", lambda: _untouched(proxy)),
    ]
    if proxy.reads != "images":
        checks.append(Check("it does not read the images", lambda: _reads_no_images(proxy)))
    promise = "equal networks and batches give equal values, finite or with a reason"
    known = {task: _dataset(task) for task in tasks.registry().own()}
    checks += [
        Check(f"{promise} ({space}, {task})", _value(proxy, space, task, name))
        for space in spaces.registry().own()
        for task, name in known.items()
        if name is not None
    ]
    return checks


def _dataset(task: str) -> str | None:
    """The first of the datasets that supports the task; None for a task of other datasets alone, as `multi`."""
    known = (name for name in _DATASETS if not tasks.get(task).unsupported_reason(datasets.get(name)))
    return next(known, None)


@lru_cache(maxsize=64)
def _batch(task: str, dataset: str, seed: int = 1) -> tuple[Tensor, Tensor]:
    """The batch that a task makes of random images; two inputs have each class, as far as labels decide."""
    found, facts = tasks.get(task), datasets.get(dataset)
    side, generator = found.side(facts), torch.Generator().manual_seed(seed)
    images = torch.randint(256, (_IMAGES, side, side, 3), generator=generator, dtype=torch.uint8)
    labels = torch.arange(_IMAGES) // 2
    if found.dense:
        labels = torch.randint(found.classes(facts), (_IMAGES, side, side), generator=generator, dtype=torch.uint8)
    return found.batch(images, labels, found.draw(_IMAGES, facts, generator, True), facts)


def _subject(proxy: Proxy, space: str, task: str, dataset: str, seed: int = 1) -> Subject:
    width, depth = _SIZE.get(space, _SMALL)
    recipe = Score(name="contract", score=proxy.name, width=width, depth=depth)
    arch = spaces.sample(spaces.get(space), 2, 1).archs[1]
    trial = Trial(space=space, arch=arch, dataset=dataset, task=task, recipe=recipe, dataset_id="contract")
    inputs, targets = _batch(task, dataset, seed) if proxy.reads != "cost" else (torch.empty(0), torch.empty(0))
    net = initial(trial, torch.device("cpu")) if proxy.reads != "cost" else None
    return Subject(trial, torch.device("cpu"), net, inputs, targets)


def _known(proxy: Proxy) -> None:
    expect(proxy.name in PROXIES, f"{proxy.name} is not in workers/recipes/_scores.py, which has {', '.join(PROXIES)}")
    reads = proxy.name not in WITHOUT_IMAGES
    expect(
        bool(proxy.batches) == reads,
        f"{proxy.name} reads {proxy.batches} batches; workers/recipes/_scores.py says that it "
        f"{'reads images' if reads else 'reads none'}",
    )
    expect(proxy.source != "", f"{proxy.name} names no source")


def _value(proxy: Proxy, space: str, task: str, dataset: str) -> Callable[[], None]:
    def verify() -> None:
        said = []
        for _ in range(2 if dataset == _DATASETS[0] else 1):  # large images take ten times as long
            try:
                said.append((proxy(_subject(proxy, space, task, dataset)), ""))
            except Unmeasurable as reason:
                said.append((0.0, str(reason)))
        (one, why), (other, _) = said[0], said[-1]
        expect(one == other, f"{proxy.name} is {one} and then {other} for equal networks and batches")
        expect(isfinite(one), f"{proxy.name} is {one} without a reason; expected a finite number or Unmeasurable")
        expect(why == "" or len(why) > 10, f"{proxy.name} has no value, and the reason is {why!r}")

    return verify


def _untouched(proxy: Proxy) -> None:
    subject = _subject(proxy, "chain", "cls", _DATASETS[0])
    torch.manual_seed(3)
    before = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
    inputs = subject.inputs.clone()
    proxy(subject)
    after = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
    expect(torch.equal(before[0], after[0]), f"{proxy.name} draws from torch's global generator; use workers.streams")
    expect(before[1:] == after[1:], f"{proxy.name} leaves threads, gradients, dtype as {after[1:]}; found {before[1:]}")
    same = torch.equal(inputs, subject.inputs) and not subject.inputs.requires_grad
    expect(same, f"{proxy.name} changes the inputs, which several proxies may share")


def _reads_no_images(proxy: Proxy) -> None:
    one, other = (proxy(_subject(proxy, "chain", "rot", _DATASETS[0], seed)) for seed in (1, 2))
    expect(one == other, f"{proxy.name} is {one} and {other} for different images, and is declared to read none")
