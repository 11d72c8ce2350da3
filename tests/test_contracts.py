"""The contract checks find the faults of an object and describe them in terms of its interface."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spaces
import workers
from workers import contracts, datasets, tasks
from workers.contracts.searchable import searchable_checks
from workers.tasks.cls import Classification


def broken(kind: str, thing: Any, last: int = 0) -> dict[str, str]:
    """What each promise that does not hold says, by the promise; `last`: of so many at the end, or of all."""
    said = {}
    for check in contracts.checks(kind, thing)[-last:]:
        try:
            check()
        except Exception as error:
            said[str(check)] = f"{type(error).__name__}: {error}"
    return said


class Tower(spaces.Simple):
    """A plug-in's space without a mistake."""

    name = "tower"

    def sample(self, rng: np.random.Generator) -> str:
        return "-".join(str(kernel) for kernel in rng.choice([1, 3, 5, 7, 9], 3))

    def normal(self, arch: str) -> str:
        if not arch or any(k not in "13579" for k in arch.split("-")):
            raise ValueError(f"{arch!r} is not a tower")
        return arch

    def trunk(self, arch: str, *, in_channels: int, width: int, **_: Any) -> nn.Module:
        layers: list[nn.Module] = []
        for kernel in self.normal(arch).split("-"):
            layers += [nn.Conv2d(in_channels, width, int(kernel), padding="same"), nn.ReLU()]
            in_channels = width
        net = nn.Sequential(*layers)
        net.out_channels = width  # type: ignore[assignment]
        return net


def test_a_sound_space_of_another_package_passes() -> None:
    assert broken("space", Tower()) == {}


class Forgetful(Tower):
    def sample(self, rng: np.random.Generator) -> str:
        return super().sample(np.random.default_rng())


class Unlabelled(Tower):
    def trunk(self, arch: str, **where: Any) -> nn.Module:
        net = super().trunk(arch, **where)
        del net.out_channels
        return net


class WrongWidth(Tower):
    def trunk(self, arch: str, **where: Any) -> nn.Module:
        net = super().trunk(arch, **where)
        net.out_channels = 99  # type: ignore[assignment]
        return net


class Cheap(Tower):
    def cost(self, arch: str, **where: Any) -> spaces.Cost:
        found = super().cost(arch, **where)
        return spaces.Cost(found.params - 1, found.macs, found.channels, found.size)


class Credulous(Tower):
    def normal(self, arch: str) -> str:
        return arch


class Few(Tower):
    """Three towers, all of which can be listed."""

    n_archs = 3

    def archs(self) -> Iterator[str]:
        return iter(["1", "3", "5"])


class Repetitive(Few):
    n_archs = 4

    def archs(self) -> Iterator[str]:
        return iter(["1", "3", "3", "5"])


def test_a_space_that_can_be_listed_is_sound_too() -> None:
    assert broken("space", Few()) == {}


@pytest.mark.parametrize(
    ("space", "promise", "says"),
    [
        (Forgetful, "one state of the generator", "depend on `rng` alone"),
        (Unlabelled, "trunks map", "out_channels None; expected the number of channels"),
        (WrongWidth, "trunks map", r"gives \(2, 16, 32, 32\) for 2 images of 32 px; expected \(2, 99, h, h\)"),
        (Cheap, "the cost is that of", r"the built network has Cost\(params="),
        (Repetitive, "the list of all", r"gives 4 architectures, 3 distinct; expected n_archs = 4 distinct ones"),
        (Credulous, "text that is not an architecture", r"normal\(''\) gave ''; expected a ValueError"),
    ],
)
def test_what_is_wrong_with_a_space_is_said(space: type[Tower], promise: str, says: str) -> None:
    said = broken("space", space())
    (text,) = [text for check, text in said.items() if check.startswith(promise)]
    with pytest.raises(ValueError, match=says):
        raise ValueError(text)


@dataclass(frozen=True)
class SameAgain(type(spaces.get("nasbench201"))):  # type: ignore[misc]
    """Its mutation changes nothing."""

    def mutate(self, arch: str, rng: np.random.Generator, p: float | None = None) -> str:
        return arch


class AlwaysNone(type(spaces.get("nasbench201"))):  # type: ignore[misc]
    """Its weights of an architecture are those of another."""

    def one_hot(self, arch: str) -> Any:
        return super().one_hot("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (SameAgain, "gave the same architecture; expected one other choice"),
        (AlwaysNone, "expected the same architecture"),
    ],
)
def test_what_is_wrong_with_a_space_that_can_be_searched_is_said(space: Any, says: str) -> None:
    names = [str(check) for check in searchable_checks(space())]
    assert names == [str(check) for check in contracts.checks("space", space())][-3:]
    said = broken("space", space(), last=len(names))
    assert len(said) == 1
    assert says in next(iter(said.values()))


class Upside(Classification):
    name: str = "upside"
    views: int = 2

    def classes(self, dataset: Any) -> int:
        return 2

    def batch(self, images: Tensor, labels: Tensor, draws: Any, dataset: Any) -> tuple[Tensor, Tensor]:
        upright, _ = super().batch(images, labels, draws, dataset)
        answers = torch.arange(2, device=images.device).repeat(len(images))
        return torch.stack([upright, upright.flip(2)], dim=1).flatten(0, 1), answers


@dataclass(frozen=True)
class OneAnswerTooFew(Upside):
    def batch(self, images: Tensor, labels: Tensor, draws: Any, dataset: Any) -> tuple[Tensor, Tensor]:
        inputs, answers = super().batch(images, labels, draws, dataset)
        return inputs, answers[:-1]


@dataclass(frozen=True)
class OneClassTooMany(Upside):
    def batch(self, images: Tensor, labels: Tensor, draws: Any, dataset: Any) -> tuple[Tensor, Tensor]:
        inputs, answers = super().batch(images, labels, draws, dataset)
        return inputs, answers + 1


def test_a_sound_task_of_another_package_passes() -> None:
    assert broken("task", Upside()) == {}


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (OneAnswerTooFew, "6 images became 12 inputs and 11 targets; expected 12 of each"),
        (OneClassTooMany, r"targets are torch.int64 from 1 to 2; expected torch.int64 from 0 to 1"),
    ],
)
def test_what_is_wrong_with_a_task_is_said(task: type[Upside], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        raise ValueError("\n".join(broken("task", task()).values()))


@dataclass(frozen=True, kw_only=True)
class Stripes(datasets.Small):
    name: str = "stripes"
    classes: int = 2
    size: int = 16
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.29, 0.29, 0.29)
    train_images: int = 64
    test_images: int = 32

    def files(self, root: Any) -> list[Any]:
        return []

    def read(self, split: str, root: Any) -> tuple[Any, Any]:
        rng, n = np.random.default_rng(split == "test"), getattr(self, f"{split}_images")
        return rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8), rng.integers(0, 2, n)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"train_images": 63, "test_images": 0}, "63 training and 0 test images"),
        (
            {"mean": (0.4, 0.5, 0.5)},
            r"mean of the training images is \[0\.[45]\d+, .*; the facts say \(0\.4, 0\.5, 0\.5\)",
        ),
        ({"classes": 1}, "labels are int64 from 0 to 1; expected integers from 0 to 0"),
        ({"size": 20}, r"train images are uint8 \(64, 16, 16, 3\); expected uint8 \(64, 20, 20, 3\)"),
    ],
)
def test_what_is_wrong_with_a_dataset_is_said(facts: dict[str, Any], says: str) -> None:
    assert broken("dataset", Stripes()) == {}
    with pytest.raises(ValueError, match=says):
        raise ValueError("\n".join(broken("dataset", Stripes(**facts)).values()))


def test_the_cheap_part_sees_whether_the_parts_of_a_trial_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = workers.Trial(
        space="chain",
        arch="c3_mp",
        dataset="photos",
        task="rot",
        recipe=workers.recipe("demo", space="chain", dataset="photos", task="rot"),
    )
    contracts.fits(trial)
    monkeypatch.setattr(type(tasks.get("rot")), "classes", lambda self, dataset: 3)
    with pytest.raises(
        contracts.ContractError, match=r"task 'rot' on photos: targets are torch.int64 from 0 to 3; expected"
    ):
        contracts.fits(trial)
