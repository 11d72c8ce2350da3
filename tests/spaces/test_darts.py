"""The DARTS space against the papers' numbers, its own rules and brute force."""

import json
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

import spaces
from spaces.darts.genotype import CODES, OPS, Genotype, canonical, parse, write

DARTS = spaces.get("darts")
V2 = "s3.0+s3.1_s3.0+s3.1_s3.1+sk.0_sk.0+d3.2:mp.0+mp.1_sk.2+mp.1_mp.0+sk.2_sk.2+mp.1"
EVERY_OP = "s3.0+s5.1_d3.0+d5.2_mp.1+sk.3_ap.4+sk.0:s3.1+s5.0_d3.1+d5.0_sk.0+ap.1_sk.1+mp.4"
NOTHING = "_".join(["no.0+no.1"] * 4)
CIFAR = {"in_channels": 3, "width": 16, "depth": 20, "stem": "cifar"}
IMAGENET = {"in_channels": 3, "width": 32, "depth": 22, "stem": "imagenet"}


def cells(codes=tuple(OPS)):
    """Any cell over some operations."""

    def node(k):
        edge = st.tuples(st.sampled_from(codes), st.integers(0, k - 1))
        return st.tuples(edge, edge)

    return st.tuples(*(node(k) for k in range(2, 6)))


@given(cells(), cells())
def test_text_and_cells_are_each_others_inverse(normal, reduce):
    text = write(Genotype(normal, reduce))
    assert parse(text) == (normal, reduce)
    assert DARTS.normal(text) == text


def renamings(cell):
    """Every way to write a cell with its nodes in another order, by trying all orders."""
    for order in permutations(range(2, 6)):
        new = {0: 0, 1: 1, **{old: k for k, old in enumerate(order, start=2)}}
        nodes = [tuple(sorted((op, new[0 if op == "no" else s]) for op, s in cell[old - 2])) for old in order]
        if all(source < k for k, node in enumerate(nodes, start=2) for _, source in node):
            yield tuple(nodes)


@given(cells())
def test_every_way_to_write_a_cell_has_one_canonical_form_which_is_one_of_them(cell):
    ways = set(renamings(cell))
    assert canonical(cell) in ways
    assert {canonical(way) for way in ways} == {canonical(cell)}


@given(cells(("no", "sk")), cells(("no", "sk")))
def test_canonical_forms_are_equal_only_where_one_cell_can_be_written_as_the_other(one, other):
    assert (canonical(one) == canonical(other)) == bool(set(renamings(one)) & set(renamings(other)))


def test_input_order_and_the_input_of_none_do_not_matter_but_everything_else_does():
    same = [V2.replace("s3.0+s3.1", "s3.1+s3.0"), V2.replace("mp.0+mp.1", "mp.1+mp.0")]
    assert {DARTS.arch_id(arch) for arch in same} == {DARTS.arch_id(V2)}
    none = V2.replace("s3.1+sk.0", "s3.1+no.0")
    assert DARTS.arch_id(none) == DARTS.arch_id(none.replace("no.0", "no.3"))
    assert DARTS.arch_id(none) != DARTS.arch_id(V2)
    assert DARTS.arch_id(":".join(reversed(V2.split(":")))) != DARTS.arch_id(V2)


def test_the_order_given_is_the_order_built():
    swapped = V2.replace("s3.1+sk.0", "sk.0+s3.1")
    assert DARTS.normal(swapped) == swapped


def test_encode_takes_a_published_genotype():
    # Liu et al. 2019, second order, as printed in their release.
    normal = [("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1)]
    normal += [("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)]
    reduce = [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1)]
    reduce += [("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)]
    assert DARTS.encode(normal=normal, reduce=reduce) == V2
    with pytest.raises(ValueError, match=r"'sep_conv_7x7'.*sep_conv_3x3"):
        DARTS.encode(normal=[("sep_conv_7x7", 0), *normal[1:]], reduce=reduce)
    with pytest.raises(ValueError, match="reduction cell has 10"):
        DARTS.encode(normal=normal, reduce=reduce + reduce[:2])
    with pytest.raises(ValueError, match=r"node 2 .* holds 's3.2'.* node from 0 to 1"):
        DARTS.encode(normal=[("sep_conv_3x3", 2), *normal[1:]], reduce=reduce)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (V2.replace("s3.0", "s7.0", 1), r"node 2 of the normal cell .* holds 's7.0'; expected one of no mp"),
        (V2.replace("d3.2", "d3.5"), r"node 5 of the normal cell .* holds 'd3.5'.* node from 0 to 4"),
        (V2.replace("d3.2", "d3.٢"), "holds 'd3.٢'"),
        (V2.replace(":mp.0+mp.1", ":mp.0"), r"node 2 of the reduction cell .* is 'mp.0', not two operations"),
        (V2 + "_sk.0+sk.1", "reduction cell .* has 5"),
        (V2.replace(":", "_"), r"two cells, `normal:reduction`; .* has 1"),
    ],
)
def test_malformed_text_is_explained(wrong, message):
    with pytest.raises(ValueError, match=message):
        DARTS.normal(wrong)


def test_the_graph_names_operations_and_joins_all_nodes():
    normal, reduce = DARTS.graph(V2)["cells"]
    assert (normal["name"], reduce["name"]) == ("normal", "reduce")
    assert len(normal["nodes"]) == 7
    assert [2, 5, "dil_conv_3x3"] in normal["edges"]
    assert [s for s, t, op in reduce["edges"] if t == 6 and op == ""] == [2, 3, 4, 5]


def test_sampled_operations_and_inputs_are_uniform_and_independent():
    rng = np.random.default_rng(0)
    genotypes = [parse(DARTS.sample(rng)) for _ in range(4000)]
    codes = list(OPS)
    for cell in range(2):
        for k in range(4):
            nodes = [g[cell][k] for g in genotypes]
            for slot in range(2):
                counts = np.zeros((len(codes), 2 + k))
                for node in nodes:
                    op, source = node[slot]
                    counts[codes.index(op), source] += 1
                assert chisquare(counts.ravel()).pvalue > 1e-4
            # Both inputs of a node may be the same one: Liu et al. 2020 have 32 % of such nodes.
            pairs = np.zeros((2 + k, 2 + k))
            for (_, a), (_, b) in nodes:
                pairs[a, b] += 1
            assert chisquare(pairs.ravel()).pvalue > 1e-4


def linear(cost, classes):
    """Parameters and multiply-adds with a linear classifier."""
    return [cost.params + cost.channels * classes + classes, cost.macs + cost.channels * classes]


@pytest.mark.data
def test_params_and_macs_of_the_500_architectures_of_unnas(data):
    table = json.loads((data / "unnas" / "darts_500.json").read_text())
    assert len(table["archs"]) == 500
    wrong = []
    for row in table["archs"]:
        pairs = {k: [(table["ops"][op], node) for op, node in row[k]] for k in ("normal", "reduce")}
        arch = DARTS.encode(**pairs)
        cifar = linear(DARTS.cost(arch, **CIFAR, size=32), 10)
        imagenet = linear(DARTS.cost(arch, **IMAGENET, size=224), 1000)
        if [list(pair) for pair in zip(cifar, imagenet, strict=True)] != [row["params"], row["macs"]]:
            wrong.append(row["id"])
    assert wrong == []


def naive(genotype, trunk, x):
    """The forward pass as the paper tells it: a ReLU before every operation, zeros for `none`, no sharing."""
    relu = torch.relu
    s0 = trunk.stem[0](x)
    s1 = trunk.stem[1](relu(s0)) if len(trunk.stem) == 2 else s0
    for cell in trunk.cells:
        states = [cell.before_last(relu(s0)), cell.last(relu(s1))]
        ops = iter(cell.ops)
        for node in genotype.reduce if cell.reduces else genotype.normal:
            total = 0
            for code, source in node:
                stride = 2 if cell.reduces and source < 2 else 1
                state = states[source]
                if code == "no":
                    total = total + torch.zeros_like(state[:, :, ::stride, ::stride])
                    continue
                needs_relu = code[0] in "sd" and not (code == "sk" and stride == 1)
                total = total + next(ops)(relu(state) if needs_relu else state)
            states.append(total)
        s0, s1 = s1, torch.cat(states[2:], 1)
    return s1


@pytest.mark.parametrize("arch", [V2, EVERY_OP, f"{NOTHING}:{NOTHING}", *spaces.sample(DARTS, 4, seed=9).archs])
@pytest.mark.parametrize(("stem", "side"), [("cifar", 17), ("imagenet", 68)])
def test_the_shared_relus_change_nothing(arch, stem, side):
    torch.manual_seed(0)
    trunk = DARTS.trunk(arch, in_channels=3, width=6, depth=5, stem=stem).double()
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    expected = naive(parse(arch), trunk, x)
    out = trunk(x)
    assert torch.equal(out, expected)
    if out.requires_grad:
        weight = torch.randn_like(out)
        grads = [
            torch.autograd.grad((y * weight).sum(), list(trunk.parameters()), allow_unused=True)
            for y in (out, expected)
        ]
        for ours, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_nodes_that_add_nothing_are_zero_maps_of_the_right_size():
    trunk = DARTS.trunk(f"{NOTHING}:{NOTHING}", in_channels=3, width=4, depth=3, stem="cifar")
    out = trunk(torch.randn(2, 3, 13, 9))
    assert out.shape == (2, 4 * 4 * 4, 4, 3)
    assert not out.any()


def test_a_zero_node_can_be_read_by_every_operation():
    cell = "no.0+no.1_s3.2+sk.2_d5.2+mp.2_ap.2+s5.3"
    trunk = DARTS.trunk(f"{cell}:{cell}", in_channels=3, width=4, depth=3, stem="cifar")
    out = trunk(torch.randn(2, 3, 13, 13))
    assert out.shape == (2, 64, 4, 4)
    assert out.isfinite().all()


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    trunk = DARTS.trunk(EVERY_OP, in_channels=3, width=8, depth=6, stem="imagenet")
    out = trunk(torch.randn(4, 3, 64, 64))
    (out * torch.randn(out.shape)).sum().backward()
    silent = [name for name, p in trunk.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("depth", [1, 2, 3, 8, 14, 20, 22])
def test_reductions_are_at_a_third_and_two_thirds(depth):
    with torch.device("meta"):
        trunk = DARTS.trunk(V2, in_channels=3, width=4, depth=depth, stem="cifar")
    expected = {depth // 3, 2 * depth // 3}
    assert {i for i, cell in enumerate(trunk.cells) if cell.reduces} == expected
    assert trunk.out_channels == 4 * 4 * 2 ** len(expected)


def test_max_pooling_skips_and_average_pooling_as_in_the_paper():
    """Identity at stride 1, and an average over the pixels there are: a constant map stays what it is."""
    from spaces.darts.ops import build

    ones = torch.ones(1, 4, 7, 7)
    assert torch.equal(build("ap", 4, 2)(ones), torch.ones(1, 4, 4, 4))
    assert torch.equal(build("mp", 4, 2)(-ones), -torch.ones(1, 4, 4, 4))
    assert build("sk", 4, 1)(ones) is ones


@pytest.mark.parametrize(
    ("code", "stride", "reached"),
    [
        ("s3", 1, [-2, -1, 0, 1, 2]),  # twice 3x3
        ("s5", 1, [-4, -3, -2, -1, 0, 1, 2, 3, 4]),  # twice 5x5
        ("d3", 1, [-2, 0, 2]),  # every other pixel
        ("d5", 1, [-4, -2, 0, 2, 4]),
        ("d5", 2, [-2, -1, 0, 1, 2]),  # the same, counted in pixels of the smaller map
        ("s3", 2, [-1, 0, 1]),  # the second convolution is on the smaller map
    ],
)
def test_convolutions_reach_as_far_as_in_the_paper(code, stride, reached):
    from spaces.darts.ops import build

    op = build(code, 1, stride).eval()
    for parameter in op.parameters():
        torch.nn.init.ones_(parameter)
    for layer in op.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.zeros_(layer.bias)
    impulse = torch.zeros(1, 1, 32, 32)
    impulse[0, 0, 16, 16] = 1
    center = 16 // stride
    rows = op(impulse)[0, 0, :, center].nonzero().flatten() - center
    assert rows.tolist() == reached


def test_factorised_reduction_sees_even_and_odd_pixels():
    from spaces.darts.ops import FactorizedReduction

    reduction = FactorizedReduction(1, 2)
    torch.nn.init.ones_(reduction.even.weight)
    torch.nn.init.ones_(reduction.odd.weight)
    reduction.eval()
    x = torch.arange(15.0).reshape(1, 1, 3, 5)
    even, odd = reduction(x)[0]
    torch.testing.assert_close(even, torch.tensor([[0.0, 2, 4], [10, 12, 14]]), rtol=1e-4, atol=0)
    torch.testing.assert_close(odd, torch.tensor([[6.0, 8, 0], [0, 0, 0]]), rtol=1e-4, atol=0)


def test_the_operations_are_those_of_the_release_in_its_order():
    assert list(CODES) == [
        "none",
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    ]
