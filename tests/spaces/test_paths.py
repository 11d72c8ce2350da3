"""Single paths of supernets and the angle of their weights (RLNAS, Zhang et al. 2021)."""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor, nn

import spaces
from spaces._angle import angles, sums
from spaces._edges import Dag

SIZES = {
    "nasbench201": {"width": 3, "depth": 2},
    "darts": {"width": 4, "depth": 3},
    "mobilenet": {"width": 2, "depth": 1},
}


def networks(name: str, affine: bool = True) -> tuple[nn.Module, nn.Module]:
    """A supernet with a classifier, twice, with other weights."""
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        net = spaces.searchable(name).supernet(
            in_channels=3, stem="cifar", edge="sampled", affine=affine and name != "nasbench201", **SIZES[name]
        )
        whole = nn.ModuleDict({"trunk": net, "head": nn.Linear(net.out_channels, 5)}).double()
        for p in whole.parameters():
            p.data += 0.1 * torch.randn_like(p)
        found.append(whole)
    return found[0], found[1]


def paths_of(arch: dict[str, np.ndarray], kind: str, space: str) -> Iterator[list[int]]:
    """Every path of a cell without `none`, by enumeration, as the numbers of its edges."""
    choices = spaces.searchable(space).choices()[kind]
    ops = arch[kind].argmax(1)
    none = next((k for k, op in enumerate(choices.ops) if op in ("none", "no")), None)
    inputs = {0, 1} if space == "darts" else {0}

    def onward(node: int, path: list[int]) -> Iterator[list[int]]:
        if path and (space == "darts" or node == max(target for _, target in choices.edges)):
            yield path
        for k, (source, target) in enumerate(choices.edges):
            if source == node and ops[k] != none:
                yield from onward(target, [*path, k])

    for start in inputs:
        yield from onward(start, [])


@torch.no_grad()
def naive(space: str, arch: str, before: nn.Module, after: nn.Module, faithful: bool) -> float:
    """The angle by concatenation of all weights of all paths, in the order of the paths."""
    weights = spaces.searchable(space).one_hot(arch)
    pieces: tuple[list[Tensor], list[Tensor]] = ([], [])
    whole = 0
    for found, net in zip(pieces, (before, after), strict=True):
        dags = [m for m in net.modules() if isinstance(m, Dag)]
        inside = {id(m) for dag in dags for m in dag.modules()}
        for module in net.modules():
            if id(module) in inside or list(module.children()):
                continue
            found += [p.flatten() for p in outside(space, module, faithful)]
        for dag in dags:
            for path in paths_of(weights, dag.name, space):
                whole += 1
                for k in path:
                    found += entering(space, dag, k, int(weights[dag.name][k].argmax()), faithful)
    if not whole:
        return 0.0
    x, y = (torch.cat(found) for found in pieces)
    return math.acos(float(x @ y / (x.norm() * y.norm())))


def outside(space: str, module: nn.Module, faithful: bool) -> list[Tensor]:
    """The weights of a layer outside of the operations that enter."""
    if faithful and space == "mobilenet":
        return [p for p in module.parameters() if p.dim() > 1]  # no biases, no batch norm
    if faithful and space == "darts" and isinstance(module, nn.Linear):
        return [module.weight]
    return list(module.parameters())


def entering(space: str, dag: Dag, k: int, op: int, faithful: bool) -> list[Tensor]:
    """What stands for an operation: its weights, and constants for poolings and identities."""
    name, module = spaces.searchable(space).choices()[dag.name].ops[op], dag.edges[k].ops[op]
    found = [p.flatten() for p in module.parameters()]
    if name in ("avg_pool_3x3", "mp", "ap"):
        found.append(torch.full((9 * dag.channels,), 1 / 9, dtype=torch.float64))
    if name == "skip" or (name == "sk" and dag.strides[k] == 1):
        found.append(torch.eye(dag.channels, dtype=torch.float64).flatten())
    if faithful and name in ("d3", "d5"):
        found[-1] = found[-2]
    if faithful and space == "mobilenet" and name != "skip":
        assert [p.dim() for p in module.parameters()] == [4, 1, 1, 4, 1, 1, 4, 1, 1]
        found = found[:-2]  # all but the last batch norm
    return found


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_the_angle_is_that_of_all_weights_of_all_paths(name: str, faithful: bool) -> None:
    space, (before, after) = spaces.single_path(name), networks(name)
    rng = np.random.default_rng(0)
    archs = []
    while len(archs) < 12:
        arch = space.sample(rng)
        try:
            space.one_hot(arch)
        except ValueError:
            continue
        archs.append(arch)
    found = angles(sums(space, before, after, faithful), map(space.uses, archs))
    expected = [naive(name, arch, before, after, faithful) for arch in archs]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert len(set(found.round(9))) > 6


def test_all_cells_of_nasbench201() -> None:
    """341 cells have no path from input to output, and 467 are stem, blocks between stages and head alone."""
    space, (before, after) = spaces.single_path("nasbench201"), networks("nasbench201")
    archs = list(spaces.enumerable("nasbench201").archs())
    found = sums(space, before, after)
    values = angles(found, map(space.uses, archs))
    product, first, last = found.always
    alone = math.acos(product / math.sqrt(first * last))
    assert np.sum(values == 0) == 341
    assert np.sum(np.isclose(values, alone, rtol=0, atol=1e-12)) == 467
    assert np.isfinite(values).all()


def test_equal_weights_have_no_angle_between_them() -> None:
    space, (before, _) = spaces.single_path("nasbench201"), networks("nasbench201")
    uses = [space.uses("|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")]
    assert angles(sums(space, before, before), uses)[0] == pytest.approx(0, abs=1e-7)


def test_paths_of_nasbench201_are_drawn_for_every_cell_and_never_cut_a_node_off() -> None:
    """The operations of an edge that is the only one into its node are uniform over four, those of the others follow
    from drawing again: none has the probability (1/5 - 1/25) / (1 - 1/25) on an edge of two."""
    space, rng = spaces.single_path("nasbench201"), np.random.default_rng(0)
    edges, ops = (space.choices()["cell"].edges, space.choices()["cell"].ops)
    rows = [row for _ in range(500) for row in space.draw_path(rng, {"cell": 15})["cell"]]
    none = ops.index("none")
    for node in (1, 2, 3):
        incoming = [k for k, (_, target) in enumerate(edges) if target == node]
        assert all(any(row[k] != none for k in incoming) for row in rows)
    first = Counter(row[0] for row in rows)
    assert chisquare([first[k] for k in range(5) if k != none]).pvalue > 1e-3
    of_two = Counter(row[1] for row in rows)
    p = (1 / 5 - 1 / 25) / (1 - 1 / 25)
    expected = [p if k == none else (1 - p) / 4 for k in range(5)]
    assert chisquare([of_two[k] for k in range(5)], [len(rows) * share for share in expected]).pvalue > 1e-3
    assert len({tuple(row) for row in space.draw_path(rng, {"cell": 15})["cell"]}) > 10


def test_paths_of_darts_keep_two_operations_of_every_node() -> None:
    space, rng = spaces.single_path("darts"), np.random.default_rng(0)
    cell = space.choices()["normal"]
    none = cell.ops.index("no")
    sources: Counter[int] = Counter()
    for _ in range(1500):
        drawn = space.draw_path(rng, {"normal": 6, "reduce": 2})
        for kind, count in (("normal", 6), ("reduce", 2)):
            assert len(drawn[kind]) == count
            assert all(row == drawn[kind][0] for row in drawn[kind])
            for node in range(2, 6):
                incoming = [k for k, (_, target) in enumerate(cell.edges) if target == node]
                assert sum(drawn[kind][0][k] != none for k in incoming) == 2
        row = drawn["normal"][0]
        sources.update(source for k, (source, node) in enumerate(cell.edges) if node == 5 and row[k] != none)
    assert chisquare([sources[k] for k in range(5)]).pvalue > 1e-3


def test_paths_of_mobilenet_are_uniform_and_skip_no_first_block() -> None:
    space, rng = spaces.single_path("mobilenet"), np.random.default_rng(0)
    cells = dict.fromkeys(space.choices(), 1)
    drawn = [space.draw_path(rng, cells) for _ in range(2000)]
    for name, cell in space.choices().items():
        for k in range(len(cell.edges)):
            counts = Counter(one[name][0][k] for one in drawn)
            possible = [op for op, there in enumerate(cell.present[k]) if there]
            assert sorted(counts) == possible
            assert len(possible) == (6 if k == 0 else 7)
            assert chisquare([counts[op] for op in possible]).pvalue > 1e-4
    pairs = Counter((one["stage 1"][0][1], one["stage 2"][0][1]) for one in drawn)
    assert chisquare([pairs[a, b] for a in range(7) for b in range(7)]).pvalue > 1e-4


@pytest.mark.parametrize("name", SIZES)
def test_a_walk_computes_the_drawn_operations(name: str) -> None:
    """One architecture in all cells by `walk` equals its one-hot weights; only its operations get gradients."""
    space = spaces.single_path(name)
    torch.manual_seed(0)
    net = space.supernet(in_channels=3, stem="cifar", edge="sampled", **SIZES[name]).double()
    rng = np.random.default_rng(3)
    rows = {kind: [found[0]] * net.cells[kind] for kind, found in space.draw_path(rng, net.cells).items()}
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    net.walk(rows)
    walked = net(images)
    walked.sum().backward()
    for dag in (m for m in net.modules() if isinstance(m, Dag)):
        for k, edge in enumerate(dag.edges):
            for op, module in enumerate(edge.ops):
                for p in module.parameters():
                    assert (p.grad is not None) == (op == rows[dag.name][0][k])
    net.choose({kind: found[0] for kind, found in rows.items()})
    torch.testing.assert_close(net(images), walked, rtol=0, atol=0)


def test_cells_of_a_walk_differ() -> None:
    space = spaces.single_path("nasbench201")
    torch.manual_seed(0)
    net = space.supernet(in_channels=3, width=2, depth=1, stem="cifar", edge="sampled").double()
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    rows = [[3] * 6, [2] * 6, [4] * 6]
    outputs = []
    for order in (rows, rows[::-1]):
        net.walk({"cell": order})
        outputs.append(net(images))
    assert not torch.allclose(*outputs)


def test_a_space_without_single_paths_says_so() -> None:
    with pytest.raises(LookupError, match="no supernet"):
        spaces.single_path("nasbench101")
