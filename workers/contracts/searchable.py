"""The contract of spaces that can be searched: weights and architectures fit each other, and so does the supernet."""

from typing import Any

import numpy as np
import torch

from spaces import Searchable
from spaces._edges import part_of
from workers.contracts._check import Check, expect

_DRAWN = 10  # random weights and architectures per check
_SIZES: tuple[dict[str, Any], ...] = (
    {"in_channels": 3, "width": 8, "depth": 3, "stem": "cifar", "size": 16, "dense": False},
    {"in_channels": 1, "width": 8, "depth": 3, "stem": "imagenet", "size": 65, "dense": True},
)


def searchable_checks(space: Searchable) -> list[Check]:
    """The checks of a space with a supernet."""
    return [
        Check("weights become architectures, whose own weights become them again", lambda: _weights(space)),
        Check("changed and crossed architectures are architectures, by the generator alone", lambda: _changes(space)),
        Check("a supernet has the shapes of trunks, and gradients reach its weights", lambda: _supernet(space)),
    ]


def _weights(space: Searchable) -> None:
    rng = np.random.default_rng(0)
    for _ in range(_DRAWN):
        drawn = {name: rng.dirichlet(np.ones(cell.shape[1]), cell.shape[0]) for name, cell in space.choices().items()}
        arch = space.discretise(drawn)
        expect(space.normal(arch) == arch, f"discretise gave {arch!r}; expected the spelling {space.normal(arch)!r}")
        names = {name for cell in space.choices().values() for name in cell.names or cell.ops}
        chosen = {op for cell in space.graph(arch)["cells"] for *_, op in cell["edges"] if op}
        strange = sorted(chosen - names)
        expect(not strange, f"the graph of {arch!r} has operations {strange}; the names in choices are {sorted(names)}")
        again = space.discretise(space.one_hot(arch))
        expect(
            space.canonical(again) == space.canonical(arch),
            f"the weights one_hot({arch!r}) become {again!r}; expected the same architecture",
        )
    broken = {name: np.full(cell.shape, np.nan) for name, cell in space.choices().items()}
    try:
        arch = space.discretise(broken)
    except ValueError:
        return
    expect(False, f"discretise gave {arch!r} for weights that are not numbers; expected a ValueError")


def _changes(space: Searchable) -> None:
    first, *others = (space.sample(np.random.default_rng(k)) for k in range(_DRAWN))
    for k, other in enumerate(others):
        made = [
            (
                space.mutate(other, np.random.default_rng(k)),
                space.mutate(other, np.random.default_rng(k), 0.5),
                space.cross(first, other, np.random.default_rng(k)),
            )
            for _ in range(2)
        ]
        expect(made[0] == made[1], f"equal generators changed {other!r} to {made[0]} and then to {made[1]}")
        for arch in made[0]:
            expect(space.normal(arch) == arch, f"{arch!r}, made of {other!r}, is not in normal spelling")
        expect(made[0][0] != other, f"mutate({other!r}) gave the same architecture; expected one other choice")
        same = space.mutate(other, np.random.default_rng(k), 0.0), space.cross(other, other, np.random.default_rng(k))
        expect(
            same == (other, other),
            f"mutate({other!r}) with p = 0, and cross of it with itself, gave {same}; expected it",
        )


def _supernet(space: Searchable) -> None:
    for where in _SIZES:
        build = {key: value for key, value in where.items() if key != "size"}
        torch.manual_seed(0)
        net = part_of(space.supernet(**build))
        weights = {
            name: torch.full(cell.shape, 1 / cell.shape[1], requires_grad=True)
            for name, cell in space.choices().items()
        }
        net.use(weights)
        out = net(torch.randn(2, where["in_channels"], where["size"], where["size"]))
        trunk = space.cost(space.sample(np.random.default_rng(0)), **where)
        wanted = (2, trunk.channels, trunk.size, trunk.size)
        expect(
            tuple(out.shape) == wanted and net.out_channels == trunk.channels,
            f"a supernet of {where} gives {tuple(out.shape)}, its out_channels {net.out_channels}; expected {wanted}",
        )
        gradients = torch.autograd.grad((out * torch.randn(out.shape)).sum(), list(weights.values()))
        for name, gradient in zip(weights, gradients, strict=True):
            expect(
                bool(gradient.isfinite().all()) and bool(gradient.abs().sum() > 0),
                f"the weights of {name!r} get no finite gradient other than zero",
            )
