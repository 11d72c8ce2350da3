"""From weights to architectures by the rules of the literature, back, and small changes of architectures."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spaces
from spaces.darts import published
from spaces.darts.choices import CODES, EDGES
from spaces.darts.genotype import parse as cells_of
from spaces.nasbench201.cell import EDGES as EDGES_201
from spaces.nasbench201.cell import OPS, parse

DARTS = spaces.searchable("darts")
NB201 = spaces.searchable("nasbench201")


def test_nasbench201_keeps_the_strongest_operation_of_every_edge_also_none_and_the_first_of_equal_ones() -> None:
    rows = np.full((6, 5), 0.1)
    for k, best in enumerate((3, 0, 1, 4, 2)):
        rows[k, best] = 0.6
    rows[5] = 0.2  # all equal
    arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    assert NB201.discretise({"cell": rows}) == arch
    rows[5, [2, 4]] = 0.3  # two equal ones
    assert parse(NB201.discretise({"cell": rows}))[5] == "nor_conv_1x1"
    factors = {"cell": np.array([0.0, 1.0, 1.0, 1.0, 1.0, 1.0])}
    assert NB201.discretise({"cell": rows}, factors) == NB201.discretise({"cell": rows})


def darts_weights(**nodes: dict[int, dict[str, float]]) -> dict[str, np.ndarray]:
    """Rows of 0.01 for both cells, with these weights of node `n2` to `n5` by source and code."""
    rows = np.full((len(EDGES), len(CODES)), 0.01)
    for node, sources in nodes.items():
        for source, ops in sources.items():
            for code, value in ops.items():
                rows[EDGES.index((source, int(node[1:]))), CODES.index(code)] = value
    return {"normal": rows, "reduce": np.full_like(rows, 0.125)}


def test_darts_keeps_two_edges_of_a_node_strongest_first_and_never_none() -> None:
    weights = darts_weights(
        n2={0: {"s3": 0.2}, 1: {"sk": 0.3}},  # both edges, the stronger one first
        n3={0: {"no": 0.9, "mp": 0.05}, 1: {"d5": 0.4}, 2: {"s5": 0.6}},  # `none` does not make an edge strong
        n4={1: {"ap": 0.3, "mp": 0.3}, 3: {"d3": 0.3}},  # equal edges in order, the first of equal operations
        n5={0: {"no": 0.5}},  # otherwise all equal: the first two edges
    )
    normal, reduce = DARTS.discretise(weights).split(":")
    assert normal == "sk.1+s3.0_s5.2+d5.1_mp.1+d3.3_mp.0+mp.1"
    assert reduce == "_".join(["mp.0+mp.1"] * 4)


def test_weights_of_edges_decide_which_edges_darts_keeps_but_not_their_operations() -> None:
    weights = darts_weights(n3={0: {"s3": 0.5}, 1: {"d5": 0.4}, 2: {"s5": 0.3}})
    assert DARTS.discretise(weights).split("_")[1] == "s3.0+d5.1"
    factors = {name: np.ones(len(EDGES)) for name in weights}
    factors["normal"][EDGES.index((0, 3))] = 0.1
    assert DARTS.discretise(weights, factors).split("_")[1] == "d5.1+s5.2"
    factors["normal"][EDGES.index((2, 3))] = 2.0
    assert DARTS.discretise(weights, factors).split("_")[1] == "s5.2+d5.1"


def test_skip_connections_above_a_limit_give_way_weakest_first() -> None:
    """As P-DARTS derives its cells: without a skip an edge may lose its place, or get its next operation."""
    weights = darts_weights(
        n2={0: {"sk": 0.5, "s3": 0.2}, 1: {"sk": 0.4, "d3": 0.1}},
        n3={0: {"sk": 0.3, "mp": 0.05}, 1: {"s5": 0.2}, 2: {"s3": 0.1}},
    )
    weights["reduce"][:, CODES.index("sk")] = 0.9

    def found(skips: int | None) -> list[str]:
        return DARTS.discretise(weights, skips=skips).split(":")[0].split("_")[:2]

    assert found(None) == found(3) == ["sk.0+sk.1", "sk.0+s5.1"]
    assert found(2) == ["sk.0+sk.1", "s5.1+s3.2"]
    assert found(1) == ["sk.0+d3.1", "s5.1+s3.2"]
    assert found(0) == ["s3.0+d3.1", "s5.1+s3.2"]
    assert DARTS.discretise(weights, skips=0).split(":")[1].count("sk") == 8  # of the normal cell alone
    rows = np.full((6, 5), 0.1)
    rows[:, 1], rows[:, 3] = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], 0.2
    few = NB201.discretise({"cell": rows}, skips=2)
    assert parse(few) == ("nor_conv_3x3",) * 4 + ("skip_connect",) * 2


@given(st.integers(0, 2**32 - 1))
def test_one_hot_weights_give_their_architecture_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arch = NB201.sample(rng)
    assert NB201.discretise(NB201.one_hot(arch)) == arch
    for rows in NB201.one_hot(arch).values():
        assert (rows.sum(1) == 1).all()


@pytest.mark.parametrize("name", published.names())
def test_published_cells_are_normal_and_come_back_from_their_weights(name: str) -> None:
    arch = published.get(name)
    assert DARTS.normal(arch) == arch
    weights = DARTS.one_hot(arch)
    found = cells_of(DARTS.discretise(weights))
    for cell, theirs in zip(found, cells_of(arch), strict=True):
        assert [set(node) for node in cell] == [set(node) for node in theirs]  # equal edges: the order is that of EDGES
    assert all((rows.sum(1) == 1).all() for rows in weights.values())


def test_one_hot_weights_of_a_node_that_reads_one_node_twice_do_not_exist() -> None:
    with pytest.raises(ValueError, match="node 3 of the reduce cell reads node 2 twice"):
        DARTS.one_hot(published.get("darts_v2").replace("sk.2+mp.1_mp.0", "sk.2+mp.2_mp.0"))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"cell": np.zeros((5, 6))}, r"weights of shapes \{'cell': \(5, 6\)\}; expected \{'cell': \(6, 5\)\}"),
        ({"normal": np.zeros((6, 5))}, "expected {'cell'"),
        ({"cell": np.full((6, 5), np.nan)}, "not finite"),
        ({"cell": np.full((6, 5), np.inf)}, "not finite"),
    ],
)
def test_weights_that_no_architecture_stands_for_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NB201.discretise(weights)


def difference(space: spaces.Searchable, one: str, other: str) -> int:
    """How many operations and inputs differ."""
    if space is NB201:
        return sum(a != b for a, b in zip(parse(one), parse(other), strict=True))
    pairs = zip(cells_of(one), cells_of(other), strict=True)
    edges = ((a, b) for x, y in pairs for m, n in zip(x, y, strict=True) for a, b in zip(m, n, strict=True))
    return sum((a[0] != b[0]) + (a[1] != b[1]) for a, b in edges)


def distinct(space: spaces.Searchable, arch: str) -> bool:
    """Whether no node of a DARTS cell reads one node twice."""
    return space is NB201 or all(a[1] != b[1] for cell in cells_of(arch) for a, b in cell)


@pytest.mark.parametrize("space", [DARTS, NB201], ids=["darts", "nasbench201"])
def test_a_mutation_is_one_change_and_reaches_every_choice(space: spaces.Searchable) -> None:
    rng = np.random.default_rng(0)
    arch = published.get("darts_v2") if space is DARTS else "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    found = [space.mutate(arch, rng) for _ in range(2000)]
    assert {difference(space, arch, other) for other in found} == {1}
    assert all(distinct(space, other) for other in found)
    # Of NAS-Bench-201 6 edges with 4 others; of DARTS 32 operations with 7 others, and the inputs of nodes 3, 4 and 5,
    # which have 1, 2 and 3 others.
    assert len(set(found)) == (2 * (8 * 7 + 2 * (1 + 2 + 3)) if space is DARTS else 24)


@pytest.mark.parametrize("space", [DARTS, NB201], ids=["darts", "nasbench201"])
def test_with_a_probability_every_choice_is_drawn_anew(space: spaces.Searchable) -> None:
    rng = np.random.default_rng(0)
    arch = published.get("darts_v2") if space is DARTS else "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert space.mutate(arch, rng, 0.0) == arch
    found = [space.mutate(arch, rng, 0.5) for _ in range(300)]
    assert all(distinct(space, other) for other in found)
    changes = np.mean([difference(space, arch, other) for other in found])
    # Half of the choices, of each of which a new draw differs with probability 1 - 1 / values.
    expected = 0.5 * (2 * (8 * 7 / 8 + 2 * (1 / 2 + 2 / 3 + 3 / 4)) if space is DARTS else 6 * 4 / 5)
    assert changes == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("space", [DARTS, NB201], ids=["darts", "nasbench201"])
def test_a_child_has_every_part_from_one_of_its_parents(space: spaces.Searchable) -> None:
    rng = np.random.default_rng(0)
    if space is DARTS:
        a, b = published.get("imagenet_jig"), published.get("cityscapes_col")
    else:
        a, b = (f"|{op}~0|+|{op}~0|{op}~1|+|{op}~0|{op}~1|{op}~2|" for op in OPS[2:4])
    children = [space.cross(a, b, rng) for _ in range(300)]
    assert all(space.normal(child) == child for child in children)

    def parts(arch: str) -> list[Any]:
        return [node for cell in cells_of(arch) for node in cell] if space is DARTS else list(parse(arch))

    taken = np.array([[p == x for p, x in zip(parts(child), parts(a), strict=True)] for child in children])
    others = np.array([[p == x for p, x in zip(parts(child), parts(b), strict=True)] for child in children])
    assert (taken | others).all()
    assert len(parts(a)) == (8 if space is DARTS else len(EDGES_201))
    assert taken.mean(axis=0) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize(
    ("name", "cifar", "imagenet"),
    [
        ("darts_v1", (3_169_414, 500_987_520), (4_510_432, 505_864_704)),
        ("darts_v2", (3_349_342, 528_359_040), (4_718_752, 529_911_552)),
        ("pc_darts_cifar", (3_634_678, 556_670_592), (5_270_560, 571_137_408)),
        ("pc_darts_imagenet", (3_721_510, 570_466_944), (5_342_464, 581_627_328)),
        ("p_darts", (3_433_798, 532_174_464), (4_944_352, 542_819_328)),
    ],
)
def test_published_cells_have_the_published_size(name: str, cifar: tuple[int, int], imagenet: tuple[int, int]) -> None:
    """As the authors' code has them, without auxiliary heads (20 cells of 36 channels; 14 of 48)."""
    where: dict[str, Any] = {"in_channels": 3}
    small = DARTS.cost(published.get(name), **where, width=36, depth=20, stem="cifar", size=32)
    large = DARTS.cost(published.get(name), **where, width=48, depth=14, stem="imagenet", size=224)
    found = [(c.params + (c.channels + 1) * n, c.macs + c.channels * n) for c, n in ((small, 10), (large, 1000))]
    assert found == [cifar, imagenet]


@pytest.mark.parametrize(
    ("name", "width", "millions"),
    [
        ("imagenet_cls", 44, 581.1),
        ("imagenet_rot", 42, 551.5),
        ("imagenet_col", 46, 539.6),
        ("imagenet_jig", 42, 559.7),
        ("imagenet22k_cls", 46, 574.6),
        ("imagenet22k_rot", 42, 541.1),
        ("imagenet22k_col", 42, 539.7),
        ("imagenet22k_jig", 42, 552.2),
        ("cityscapes_seg", 44, 558.5),
        ("cityscapes_rot", 42, 546.9),
        ("cityscapes_col", 54, 584.9),
        ("cityscapes_jig", 44, 549.7),
    ],
)
def test_cells_of_unnas_have_the_multiply_adds_of_its_evaluation(name: str, width: int, millions: float) -> None:
    c = DARTS.cost(published.get(name), in_channels=3, width=width, depth=14, stem="imagenet", size=224)
    assert (c.macs + c.channels * 1000) / 1e6 == pytest.approx(millions, abs=0.05)


def test_unknown_published_cells_are_refused_with_the_names() -> None:
    with pytest.raises(LookupError, match="no published DARTS cell 'darts_v3'; have darts_v1, darts_v2"):
        published.get("darts_v3")
