"""The supernet of the MobileNet-like space: its parts are the networks of single architectures."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import spaces
from spaces._edges import Mixed, cost
from spaces.mobilenet.blocks import FIRSTS, SKIP, parse, staged, write
from spaces.mobilenet.choices import COLUMNS

MOBILENET = spaces.searchable("mobilenet")
RLNAS = spaces.published("mobilenet")["rlnas"]
TINY: dict[str, Any] = {"in_channels": 3, "width": 2, "stem": "cifar"}
STAGES = list(MOBILENET.choices())
SMALLEST = write(tuple("k3e3" if block in FIRSTS else SKIP for block in range(21)))


def pair(arch: str, depth: int, **options: Any) -> tuple[nn.Module, Any]:
    """A trunk with the weights of a supernet, and the supernet; scales and biases of BN are not 1 and 0."""
    torch.manual_seed(0)
    net: Any = MOBILENET.supernet(**TINY, depth=depth, **options).double()
    alone: Any = MOBILENET.trunk(arch, **TINY, depth=depth).double()
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d) and m.affine):
        nn.init.uniform_(norm.weight, 0.5, 3)
        nn.init.uniform_(norm.bias, 0.5, 3)
    parts = [*net.begin]
    for stage, ops in zip(net.stages, staged(parse(arch)), strict=True):
        for edge, op in zip(stage.edges, ops, strict=True):
            module = edge.ops[COLUMNS.index(op)]
            parts += [] if op == SKIP else module if isinstance(module, nn.Sequential) else [module]
    for mine, theirs in zip(alone.layers, [*parts, net.last], strict=True):
        missing, unexpected = mine.load_state_dict(theirs.state_dict(), strict=False)
        assert not unexpected
        assert options.get("affine") or len(missing) in (0, 6)
    return alone, net


@pytest.mark.parametrize(
    ("kind", "affine", "depth"), [("mixed", False, 1), ("sampled", True, 1), ("sampled", False, 2)]
)
def test_one_hot_weights_give_the_network_of_the_architecture(kind: str, affine: bool, depth: int) -> None:
    alone, net = pair(RLNAS, depth, edge=kind, affine=affine)
    net.use({name: torch.from_numpy(rows) for name, rows in MOBILENET.one_hot(RLNAS).items()})
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(net(x), alone(x), rtol=1e-9, atol=1e-10)


def test_the_first_block_of_a_stage_has_no_skip_whatever_its_weight() -> None:
    weights = {name: np.zeros(cell.shape) for name, cell in MOBILENET.choices().items()}
    for rows in weights.values():
        rows[:, -1] = 1.0
    assert MOBILENET.discretise(weights) == SMALLEST
    _, net = pair(RLNAS, 1)
    assert all((0 in stage.edges[0].counted) and (6 not in stage.edges[0].counted) for stage in net.stages)
    net.use({name: torch.full(cell.shape, 1 / 7) for name, cell in MOBILENET.choices().items()})
    assert net(torch.randn(1, 3, 8, 8, dtype=torch.float64)).isfinite().all()


def test_a_limit_excludes_the_weakest_skips_of_the_network() -> None:
    weights = MOBILENET.one_hot(SMALLEST)
    for number, rows in enumerate(weights.values()):
        rows[1:, -1] = 0.5 + 0.01 * number + 0.001 * np.arange(len(rows) - 1)
        rows[1:, 2] = 0.3
    found = parse(MOBILENET.discretise(weights, skips=4))
    assert [block for block, op in enumerate(found) if op == SKIP] == [15, 17, 18, 19]
    assert {op for block, op in enumerate(found) if op != SKIP and block not in FIRSTS} == {"k5e3"}


def test_of_equal_operations_the_first_counts() -> None:
    equal = {name: np.full(cell.shape, 1 / 7) for name, cell in MOBILENET.choices().items()}
    assert set(parse(MOBILENET.discretise(equal))) == {"k3e3"}


def test_mutations_reach_every_choice_and_children_have_every_block_of_a_parent() -> None:
    rng = np.random.default_rng(0)
    found = {MOBILENET.mutate(RLNAS, rng) for _ in range(3000)}

    def changes(arch: str, other: str = RLNAS) -> int:
        return sum(a != b for a, b in zip(parse(arch), parse(other), strict=True))

    assert {changes(arch) for arch in found} == {1}
    assert len(found) == 6 * 5 + 15 * 6
    assert MOBILENET.mutate(RLNAS, rng, 0.0) == RLNAS
    many = [changes(MOBILENET.mutate(RLNAS, rng, 0.5)) for _ in range(400)]
    assert np.mean(many) == pytest.approx(0.5 * (6 * 5 / 6 + 15 * 6 / 7), rel=0.1)
    other = MOBILENET.encode(ops=[5] * 21)
    children = [MOBILENET.cross(RLNAS, other, rng) for _ in range(300)]
    assert all(changes(child) + changes(child, other) == 21 for child in children)
    assert np.mean([changes(child) for child in children]) == pytest.approx(10.5, abs=0.6)


def test_the_cost_of_a_path_is_the_average_over_what_every_block_may_be() -> None:
    """By arithmetic, as multiply-adds of blocks add up."""
    where: dict[str, Any] = {"in_channels": 3, "width": 4, "depth": 1, "stem": "cifar"}
    least = MOBILENET.cost(SMALLEST, **where, size=16).macs
    total = float(least)
    smallest = parse(SMALLEST)
    for name, cell in MOBILENET.choices().items():
        first = 4 * STAGES.index(name)
        for k, present in enumerate(cell.present):
            costs = []
            for op, there in zip(cell.ops, present, strict=True):
                if there:
                    ops = [*smallest]
                    ops[first + k] = op
                    costs.append(MOBILENET.cost(write(tuple(ops)), **where, size=16).macs - least)
            total += sum(costs) / len(costs)
    found = cost(lambda: MOBILENET.supernet(**where, edge="sampled"), 3, 16)  # type: ignore[arg-type]
    assert found.macs == int(total + 1e-6)


@pytest.mark.parametrize("kind", ["partial", "auxiliary"])
def test_edges_that_keep_the_shape_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match=f"kind '{kind}', which need blocks that keep their shape; expected mixed or"):
        MOBILENET.supernet(**TINY, depth=1, edge=kind)


def test_pruning_leaves_the_operations_that_are_kept() -> None:
    _, net = pair(RLNAS, 1)
    kept = {name: [list(row) for row in cell.present] for name, cell in MOBILENET.choices().items()}
    for rows in kept.values():
        for row in rows:
            row[3:6] = [False] * 3
    net.prune(kept)
    edges = [edge for stage in net.stages for edge in stage.edges]
    assert all(isinstance(edge, Mixed) for edge in edges)
    assert [edge.counted for edge in edges] == [[0, 1, 2] if k in FIRSTS else [0, 1, 2, 6] for k in range(21)]
