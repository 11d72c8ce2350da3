"""The NAS-Bench-201 space against the benchmark's numbers, its table and a network that leaves nothing out."""

from collections import Counter
from itertools import combinations, product

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import chisquare
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import spaces
import workers
from spaces.nasbench201.cell import EDGES, OPS, formula, parse, write
from spaces.nasbench201.network import CellNetwork, Reduction

NB201 = spaces.get("nasbench201")
CELLS = list(product(OPS, repeat=6))
CIFAR = {"in_channels": 3, "width": 16, "depth": 5, "stem": "cifar"}
NONE, SKIP, C1, C3, POOL = OPS
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
CASES = [  # edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
    pytest.param([C3, C1, C3, C3, C1, C3], id="convolutions only"),
    pytest.param([SKIP, SKIP, SKIP, SKIP, SKIP, SKIP], id="skips only"),
    pytest.param([POOL, POOL, POOL, POOL, POOL, POOL], id="pools only"),
    pytest.param([C3, NONE, C3, SKIP, NONE, SKIP], id="ResNet"),
    pytest.param([NONE, NONE, NONE, NONE, NONE, NONE], id="nothing"),
    pytest.param([NONE, C1, C3, SKIP, C1, POOL], id="convolutions of zeros"),
    pytest.param([NONE, NONE, SKIP, POOL, POOL, SKIP], id="pools and skips of zeros"),
    pytest.param([NONE, NONE, C3, NONE, C1, POOL], id="zeros in, learned biases out"),
    pytest.param([C3, POOL, C1, C3, SKIP, NONE], id="node 2 read by nobody"),
    pytest.param([SKIP, C1, POOL, POOL, NONE, NONE], id="nodes 1 and 2 read by nobody"),
    pytest.param([SKIP, NONE, C3, POOL, NONE, NONE], id="node 1 read only by a convolution that nobody reads"),
    pytest.param([C1, POOL, SKIP, NONE, POOL, C3], id="a pool and a convolution of one node"),
]


@pytest.mark.parametrize(("classes", "fixed"), [(10, 73_306), (100, 79_156), (120, 80_456)])
def test_parameters_are_the_fixed_part_and_those_of_each_convolution(classes, fixed):
    for cell in CELLS:
        params = NB201.cost(write(cell), **CIFAR, size=32).params + 64 * classes + classes
        assert params == fixed + 243_040 * cell.count(C3) + 28_000 * cell.count(C1)


def test_multiply_adds_are_the_fixed_part_and_those_of_each_convolution():
    for cell in CELLS:
        macs = NB201.cost(write(cell), **CIFAR, size=32).macs + 640
        assert macs == 7_783_040 + 35_389_440 * cell.count(C3) + 3_932_160 * cell.count(C1)


def test_the_largest_network_on_32_and_on_16_pixels():
    largest = NB201.encode(ops=[C3] * 6)
    full, quarter = (NB201.cost(largest, **CIFAR, size=size) for size in (32, 16))
    assert full.params + 650 == 1_531_546
    assert round((full.macs + 640) / 1e6, 2) == 220.12
    assert 4 * quarter.macs == full.macs
    assert (full.channels, full.size, quarter.size) == (64, 8, 4)


def test_all_cells_have_a_text_and_the_benchmarks_rule_leaves_6466_of_them():
    texts = [write(cell) for cell in CELLS]
    assert len({*texts}) == 15_625
    assert [parse(text) for text in texts] == CELLS
    canonical = {NB201.canonical(text) for text in texts}
    assert len(canonical) == 6_466
    assert {NB201.canonical(text) for text in canonical} == canonical


@pytest.mark.data
def test_the_rule_writes_what_the_benchmark_writes_for_every_cell_of_its_table(data):
    file = data / "nasbench201" / "nasbench201.parquet"
    if not file.is_file():
        pytest.skip("no nasbench201")
    table = pq.read_table(file, columns=["arch_str", "arch_unique_str"]).to_pydict()
    assert {NB201.normal(arch) for arch in table["arch_str"]} == {write(cell) for cell in CELLS}
    assert [formula(parse(arch)) for arch in table["arch_str"]] == table["arch_unique_str"]


def test_skips_and_the_order_of_sums_do_not_matter_but_a_zero_of_two_terms_is_none():
    through = NB201.encode(ops=[SKIP, NONE, C3, NONE, NONE, SKIP])
    direct = NB201.encode(ops=[SKIP, C3, NONE, NONE, NONE, SKIP])
    assert NB201.arch_id(through) == NB201.arch_id(direct)
    # Node 1 is a zero of one term, node 2 one of two: the convolution of it counts.
    of_one, of_two = ([NONE, NONE, NONE, C3, *ops] for ops in ([C1, NONE], [NONE, C1]))
    nothing = NB201.arch_id(NB201.encode(ops=[NONE, NONE, NONE, C3, NONE, NONE]))
    assert NB201.arch_id(NB201.encode(ops=of_one)) == nothing != NB201.arch_id(NB201.encode(ops=of_two))


def test_encode_takes_operation_names_in_the_order_of_the_text():
    assert NB201.encode(ops=[C3, NONE, C3, SKIP, NONE, SKIP]) == RESNET
    with pytest.raises(ValueError, match="has 6 operations; got 5"):
        NB201.encode(ops=[C3] * 5)
    with pytest.raises(ValueError, match=r"node 2 .* holds 'conv~1'; expected one of none, .* and `~1`"):
        NB201.encode(ops=[C3, C3, "conv", C3, C3, C3])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (RESNET.replace("conv_3x3~0", "conv_5x5~0"), r"node 1 .* holds 'nor_conv_5x5~0'"),
        (RESNET.replace("none~1", "none~0"), r"node 3 .* holds 'none~0'; expected .* and `~1`"),
        (RESNET.replace("|none~0|nor_conv_3x3~1|", "|nor_conv_3x3~1|none~0|"), r"node 2 .* holds 'nor_conv_3x3~1'"),
        (RESNET.replace("~2", "~٢"), r"node 3 .* holds 'skip_connect~٢'"),
        (RESNET.replace("none~0|", "", 1), r"node 2 .* is '\|nor_conv_3x3~1\|'; expected .* `\|none~0\|none~1\|`"),
        (RESNET[1:], r"node 1 .* is 'nor_conv_3x3~0\|'; expected .* `\|none~0\|`"),
        (RESNET + "none~3|", r"node 3 .* is .*; expected .* `\|none~0\|none~1\|none~2\|`"),
        (RESNET + "+", r"not a valid NAS-Bench-201 cell; expected 3 groups"),
        (RESNET + "\n", r"node 3 .* is '.*\\n'; expected"),
        (RESNET.replace("+", "", 1), r"not a valid NAS-Bench-201 cell; expected 3 groups"),
    ],
)
def test_malformed_text_is_explained(wrong, message):
    with pytest.raises(ValueError, match=message):
        NB201.normal(wrong)


def test_the_graph_has_all_six_operations():
    (cell,) = NB201.graph(RESNET)["cells"]
    assert cell["nodes"] == ["input", "1", "2", "output"]
    assert [op for *_, op in cell["edges"]] == [C3, NONE, C3, SKIP, NONE, SKIP]
    assert [0, 1, C3] in cell["edges"]
    assert [2, 3, SKIP] in cell["edges"]


def test_sampled_operations_are_uniform_and_independent():
    rng = np.random.default_rng(0)
    drawn = [parse(NB201.sample(rng)) for _ in range(4000)]
    for one, other in combinations(range(6), 2):
        counts = Counter((cell[one], cell[other]) for cell in drawn)
        assert chisquare([counts[pair] for pair in product(OPS, repeat=2)]).pvalue > 1e-4


def literal_cell(cell, net, x):
    """The cell as the benchmark defines it: every operation of every edge, zeros and all."""
    values = [x]
    for node in range(1, 4):
        total = torch.zeros_like(x)
        for (source, target), op in zip(EDGES, cell, strict=True):
            if target == node:
                value = values[source]
                if op in (C1, C3):
                    conv, bn = net.convs[f"{source}{node}"]
                    assert conv.kernel_size == ((3, 3) if op == C3 else (1, 1))
                    value = bn(F.conv2d(F.relu(value), conv.weight, padding=int(op == C3)))
                elif op == POOL:
                    inside = F.avg_pool2d(torch.ones_like(value), 3, 1, 1)
                    value = F.avg_pool2d(value, 3, 1, 1) / inside  # padding does not count
                total = total + (value * 0 if op == NONE else value)
        values.append(total)
    return values[3]


def literal(cell, trunk, x):
    """The whole trunk, block by block."""
    for layer in trunk.layers:
        if isinstance(layer, CellNetwork):
            x = literal_cell(cell, layer, x)
        elif isinstance(layer, Reduction):
            inner = layer.first[1](F.conv2d(F.relu(x), layer.first[0].weight, stride=2, padding=1))
            inner = layer.second[1](F.conv2d(F.relu(inner), layer.second[0].weight, padding=1))
            quarters = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
            x = inner + F.conv2d(quarters, layer.shortcut[1].weight)
        elif isinstance(layer, nn.ReLU):
            x = F.relu(x)
        else:
            x = layer(x)
    return x


def output_and_gradients(trunk, forward, x):
    trunk.zero_grad(set_to_none=True)
    out = forward(x)
    (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    none = torch.zeros((), dtype=torch.float64)
    return [out.detach(), *(none if p.grad is None else p.grad for p in trunk.parameters())]


@pytest.mark.parametrize("ops", [*CASES, *(parse(arch) for arch in spaces.sample(NB201, 30, seed=1).archs)])
def test_output_and_gradients_are_those_of_a_network_that_leaves_nothing_out(ops):
    torch.manual_seed(0)
    trunk = NB201.trunk(NB201.encode(ops=ops), in_channels=3, width=4, depth=2, stem="cifar").double()
    for p in trunk.parameters():
        if p.dim() == 1:  # weights and biases of BN, away from one and zero
            nn.init.uniform_(p, -1, 1)
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    ours = output_and_gradients(trunk, trunk, x)
    theirs = output_and_gradients(trunk, lambda x: literal(ops, trunk, x), x)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.expand_as(other), other, rtol=1e-9, atol=1e-9)


TWO_CONVOLUTIONS = {"convolution": 2, "native_batch_norm": 2}


class Operations(TorchDispatchMode):
    """How often each operation ran."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([C3, C3, C3, C3, C3, C3], {"relu": 3, "convolution": 6, "native_batch_norm": 6, "add": 3}),
        ([POOL, POOL, POOL, POOL, POOL, POOL], {"avg_pool2d": 3, "add": 3}),
        ([SKIP, C1, NONE, POOL, C3, NONE], dict.fromkeys(["relu", "avg_pool2d", "add"], 1) | TWO_CONVOLUTIONS),
        ([NONE, C1, NONE, NONE, C3, NONE], {"relu": 2, "zeros_like": 1} | TWO_CONVOLUTIONS),
        ([SKIP, NONE, NONE, NONE, SKIP, NONE], {}),
        ([NONE, POOL, NONE, SKIP, POOL, NONE], {}),
        ([NONE, NONE, SKIP, NONE, POOL, SKIP], {"zeros_like": 1}),
    ],
)
def test_shared_work_is_done_once_and_zeros_are_made_only_where_they_are_all_there_is(ops, expected):
    net = CellNetwork(tuple(ops), 4).eval()
    with torch.no_grad(), Operations() as operations:
        net(torch.randn(2, 4, 8, 8))
    counted = ("relu", "convolution", "native_batch_norm", "avg_pool2d", "add", "zeros_like")
    assert {name: n for name, n in operations.count.items() if name in counted} == expected


def test_a_cell_without_a_path_trains_to_a_row_at_chance():
    recipe = workers.recipe("demo", space="nasbench201", dataset="photos", task="cls").replace(epochs=1, width=2)
    arch = NB201.encode(ops=[C3, NONE, C3, NONE, NONE, C1])
    trial = workers.Trial(
        space="nasbench201",
        arch=arch.replace("nor_conv_3x3~0", "none~0"),
        dataset="photos",
        task="cls",
        seed=1,
        recipe=recipe,
    )
    row = workers.run(trial)
    assert not row["diverged"]
    assert row["score_final"] == pytest.approx(1 / 8)  # one class for every image


def test_a_ten_class_dataset_of_224_pixels_gets_a_map_of_7():
    cost = NB201.cost(RESNET, in_channels=3, width=16, depth=5, stem="imagenet", size=224)
    assert (cost.channels, cost.size) == (64, 7)
