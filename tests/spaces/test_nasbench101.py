"""The NAS-Bench-101 space against the benchmark's numbers and the reference network."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nasbench_pytorch.model import ModelSpec
from nasbench_pytorch.model import Network as ReferenceNetwork

import spaces
from spaces.nasbench101.cell import Module, parse, write
from spaces.nasbench101.network import ModuleNetwork, vertex_channels

NB101 = spaces.get("nasbench101")
OPS = ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"]
MATRIX = [  # the example of the benchmark's notebook: an Inception-like module
    [0, 1, 1, 1, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 1, 0, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]
INCEPTION = "c1.0_c3.0_c3.0_c3.3_mp.0_out.1245"
EXTREMES = ["out.0", "c3.0_out.01", "mp.0_out.1", INCEPTION, "c3.0_c1.01_mp.2_c3.03_c1.4_out.05"]
CIFAR = {"in_channels": 3, "width": 128, "depth": 3, "stem": "cifar"}
IMAGENET = {"in_channels": 3, "width": 128, "depth": 4, "stem": "imagenet"}


@st.composite
def modules(draw, pruned=True):
    """Modules of up to 7 vertices; if pruned, each vertex has an edge into and out of it."""
    vertices = draw(st.integers(2, 7))
    ops = draw(st.tuples(*[st.sampled_from(["c3", "c1", "mp"])] * (vertices - 2)))
    feeds = [draw(st.sets(st.integers(0, k - 1), min_size=int(pruned))) for k in range(1, vertices)]
    if pruned:
        for source in range(vertices - 1):
            if not any(source in feed for feed in feeds):
                feeds[-1].add(source)
    return Module(ops, tuple(tuple(sorted(feed)) for feed in feeds))


@given(modules(pruned=False))
def test_text_and_module_are_each_others_inverse(module):
    assert parse(write(module)) == module


@given(modules())
def test_what_cannot_be_pruned_is_kept_in_its_order(module):
    if module.edges <= 9:
        assert NB101.normal(write(module)) == write(module)


@given(modules(), st.randoms(use_true_random=False))
def test_isomorphic_modules_share_the_canonical_form_and_the_id(module, random):
    if module.edges > 9:
        return
    numbers, waiting = {0: 0}, list(range(1, module.vertices - 1))
    order = []
    while waiting:
        v = random.choice([v for v in waiting if all(s in numbers for s in module.feeds[v - 1])])
        waiting.remove(v)
        numbers[v] = len(numbers)
        order.append(v)
    feeds = [module.feeds[v - 1] for v in (*order, module.vertices - 1)]
    again = Module(
        tuple(module.ops[v - 1] for v in order),
        tuple(tuple(sorted(numbers[s] for s in feed)) for feed in feeds),
    )
    one, other = write(module), write(again)
    assert NB101.canonical(one) == NB101.canonical(other)
    assert NB101.arch_id(one) == NB101.arch_id(other) == NB101.arch_id(NB101.canonical(one))


def test_the_notebook_module_has_its_published_size():
    assert NB101.encode(matrix=MATRIX, ops=OPS) == INCEPTION
    cost = NB101.cost(INCEPTION, **CIFAR, size=32)
    assert cost.params + 512 * 10 + 10 == 2_694_282  # trainable parameters in the benchmark's table


def test_vertices_on_no_path_are_pruned_and_the_rest_keeps_its_order():
    assert NB101.normal("c3._mp.0_c1.0_c3.3_out.03") == "c1.0_out.01"
    assert NB101.arch_id("mp.0_c3.0_out.2") == NB101.arch_id("c3.0_out.1")
    # Ten vertices, of which seven are left.
    assert NB101.normal("mp._mp._mp._c3.0_c3.4_c3.5_c3.6_c3.7_out.8") == "c3.0_c3.1_c3.2_c3.3_c3.4_out.5"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("c3.0_c5.1_out.2", r"vertex 2 of .* is 'c5.1'; expected c3 or c1 or mp"),
        ("c3.0_c3.10_out.2", r"vertex 2 of .* is 'c3.10'"),
        ("c3.0_c3.2_out.2", r"vertex 2 of .* vertices below 2"),
        ("c3.0_mp.1", r"vertex 2 of .* is 'mp.1'; expected out"),
        ("c3.0_out.1\n", "vertex 2"),
        ("c3._out.1", "not connected to the output in 'c3._out.1'"),
        ("out.", "not connected"),
        ("_".join(["c3.0"] * 6) + "_out.123456", "8 vertices and 12 edges after pruning; nasbench101 allows 7 and 9"),
        ("_".join(["c3.0"] * 10), "at most 10"),
    ],
)
def test_malformed_text_is_explained(wrong, message):
    with pytest.raises(ValueError, match=message):
        NB101.normal(wrong)


@pytest.mark.parametrize(
    ("matrix", "ops", "message"),
    [
        ([[0, 1], [0, 0]], ["input", "out"], "the last 'output'"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "conv5x5", "output"], "'conv5x5'.*conv3x3-bn-relu"),
        ([[0, 1], [1, 0]], ["input", "output"], "upper-triangular"),
        ([[0, 2], [0, 0]], ["input", "output"], "0 and 1"),
        ([[0, 1, 1], [0, 0, 1]], ["input", "output"], "2 x 2"),
        ([[0, 0], [0, 0]], ["input", "output"], "not connected"),
    ],
)
def test_encode_explains_what_is_wrong(matrix, ops, message):
    with pytest.raises(ValueError, match=message):
        NB101.encode(matrix=matrix, ops=ops)


def test_the_graph_shows_operations_on_vertices():
    (cell,) = NB101.graph(INCEPTION)["cells"]
    assert cell["nodes"] == OPS
    edges = [[s, t, ""] for s in range(7) for t in range(7) if MATRIX[s][t]]
    assert sorted(cell["edges"]) == edges


@pytest.mark.parametrize(
    ("arch", "channels", "expected"),
    [
        (INCEPTION, 128, [32, 32, 32, 32, 32, 128]),
        (INCEPTION, 131, [33, 33, 33, 33, 32, 131]),  # vertex 3 is as wide as vertex 4, which it feeds
        ("c3.0_c3.1_c3.12_out.023", 7, [4, 4, 3, 7]),
        ("out.0", 5, [5]),
    ],
)
def test_channels_are_divided_with_the_remainder_to_the_first(arch, channels, expected):
    assert vertex_channels(parse(arch), channels) == expected


def test_too_few_channels_are_refused():
    with pytest.raises(ValueError, match="3 channels cannot be divided over the 4 vertices"):
        NB101.trunk(INCEPTION, in_channels=3, width=3, depth=1, stem="cifar")
    with pytest.raises(ValueError, match="7 pixels are too small"):
        NB101.cost(INCEPTION, in_channels=3, width=8, depth=1, stem="imagenet", size=7)


def with_weights_of(reference, trunk):
    """Copies the weights of the reference network into ours."""
    for ours, theirs in zip(trunk.layers, reference.layers, strict=True):
        if isinstance(ours, ModuleNetwork):
            for v, op in enumerate(ours.ops, start=1):
                if not isinstance(op, torch.nn.MaxPool2d):
                    (block,) = theirs.vertex_op[v].children()
                    op.load_state_dict(block.conv_bn_relu.state_dict())
            for v, projection in ours.projections.items():
                projection.load_state_dict(theirs.input_op[int(v)].conv_bn_relu.state_dict())
        elif not isinstance(ours, torch.nn.MaxPool2d):
            ours.load_state_dict(theirs.conv_bn_relu.state_dict())


@pytest.mark.parametrize("arch", [*EXTREMES, *spaces.sample(NB101, 6, seed=12).archs])
def test_the_network_computes_what_nasbench_pytorch_computes(arch):
    torch.manual_seed(0)
    module = parse(arch)
    names = {"c3": "conv3x3-bn-relu", "c1": "conv1x1-bn-relu", "mp": "maxpool3x3"}
    spec = ModelSpec(module.matrix(), ["input", *(names[op] for op in module.ops), "output"])
    # BN momentum and epsilon of torch, which UnNAS trained with, in place of the library's.
    reference = ReferenceNetwork(
        spec, num_labels=10, in_channels=3, stem_out_channels=22, num_modules_per_stack=2, momentum=0.1, eps=1e-5
    ).double()
    trunk = NB101.trunk(arch, in_channels=3, width=22, depth=2, stem="cifar").double()
    with_weights_of(reference, trunk)

    def logits(x):
        return reference.classifier(trunk(x).mean((2, 3)))

    x = torch.randn(3, 3, 13, 13, dtype=torch.float64, requires_grad=True)
    ours, theirs = logits(x), reference(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-12)
    trunk.eval()
    reference.eval()
    # With the running statistics of the pass above.
    torch.testing.assert_close(logits(x), reference(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("arch", EXTREMES)
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_gradients_reach_every_parameter(arch, stem):
    torch.manual_seed(0)
    trunk = NB101.trunk(arch, in_channels=3, width=10, depth=2, stem=stem)
    out = trunk(torch.randn(8, 3, 64, 64))
    (out * torch.randn(out.shape)).sum().backward()
    silent = [name for name, p in trunk.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def linear(cost, classes):
    """Parameters and multiply-adds with a linear classifier."""
    return [cost.params + cost.channels * classes + classes, cost.macs + cost.channels * classes]


@pytest.mark.data
def test_params_and_macs_of_the_500_architectures_of_unnas(data):
    table = json.loads((data / "unnas" / "nasbench101_500.json").read_text())
    assert len(table["archs"]) == 500
    wrong, ids = [], set()
    for row in table["archs"]:
        matrix = [[int(bit) for bit in line] for line in row["matrix"]]
        arch = NB101.encode(matrix=matrix, ops=[table["op_codes"][op] for op in row["ops"]])
        ids.add(NB101.arch_id(arch))
        cifar = linear(NB101.cost(arch, **CIFAR, size=32), 10)
        imagenet = linear(NB101.cost(arch, **IMAGENET, size=224), 1000)
        if [list(pair) for pair in zip(cifar, imagenet, strict=True)] != [row["params"], row["macs"]]:
            wrong.append(row["id"])
    assert wrong == []
    assert len(ids) == 500
