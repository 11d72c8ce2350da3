"""What every search space promises; a new space is tested by being there."""

import json
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import spaces

ARCHS = [
    pytest.param(name, arch, id=f"{name}-{k}")
    for name in spaces.names()
    for k, arch in enumerate(spaces.sample(spaces.get(name), 6, seed=3).archs)
]
SIZES = [  # in_channels, width, depth, stem, size, dense
    (3, 16, 3, "cifar", 32, False),
    (1, 8, 5, "cifar", 33, False),
    (3, 15, 1, "cifar", 12, False),
    (3, 16, 4, "imagenet", 224, False),
    (1, 10, 2, "imagenet", 85, False),
    (3, 12, 3, "imagenet", 321, True),
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_names_are_listed_without_importing_torch():
    code = "import spaces, sys; spaces.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_spaces_are_found_under_their_names():
    assert {"chain", "darts", "nasbench101", "nasbench201"} <= set(spaces.names())
    assert all(spaces.get(name).name == name for name in spaces.names())


def test_an_unknown_space_is_refused_by_naming_those_there_are():
    with pytest.raises(LookupError, match=r"'dart'.*darts.*nasbench101"):
        spaces.get("dart")


@pytest.mark.parametrize("name", spaces.names())
def test_same_rng_same_architecture(name):
    space = spaces.get(name)
    first, second = np.random.default_rng(7), np.random.default_rng(7)
    assert [space.sample(first) for _ in range(5)] == [space.sample(second) for _ in range(5)]
    assert first.bit_generator.state == second.bit_generator.state


@pytest.mark.parametrize(("name", "arch"), ARCHS)
def test_a_sampled_architecture_is_short_plain_text_in_normal_spelling(name, arch):
    assert re.fullmatch(r"[A-Za-z0-9.+:_|~-]{1,120}", arch)
    assert spaces.get(name).normal(arch) == arch


@pytest.mark.parametrize(("name", "arch"), ARCHS)
def test_the_canonical_form_is_an_architecture_with_the_same_identity(name, arch):
    space = spaces.get(name)
    canonical = space.canonical(arch)
    assert space.normal(canonical) == canonical
    assert space.canonical(canonical) == canonical
    assert space.arch_id(canonical) == space.arch_id(arch)
    assert re.fullmatch(r"[0-9a-f]{12}|[0-9a-f]{32}", space.arch_id(arch))


@pytest.mark.parametrize("name", spaces.names())
def test_arch_ids_differ_where_canonical_forms_do(name):
    space = spaces.get(name)
    archs = spaces.sample(space, 60, seed=1).archs
    assert len({space.arch_id(arch) for arch in archs}) == 60


@pytest.mark.parametrize(("name", "arch"), ARCHS)
def test_the_graph_is_json_of_acyclic_cells(name, arch):
    graph = spaces.get(name).graph(arch)
    assert json.loads(json.dumps(graph)) == graph
    for cell in graph["cells"]:
        assert isinstance(cell["name"], str)
        assert all(isinstance(label, str) for label in cell["nodes"])
        assert all(0 <= s < t < len(cell["nodes"]) for s, t, _ in cell["edges"])
        assert all(isinstance(op, str) for *_, op in cell["edges"])


@pytest.mark.parametrize(("name", "arch"), ARCHS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_cost_is_that_of_the_built_network(name, arch, size):
    in_channels, width, depth, stem, side, dense = size
    where = {"in_channels": in_channels, "width": width, "depth": depth, "stem": stem, "dense": dense}
    with torch.device("meta"):
        trunk = spaces.get(name).trunk(arch, **where)
        with FlopCounterMode(display=False) as counter:
            out = trunk(torch.empty(2, in_channels, side, side))
    # The counter counts two operations a multiply-add, over both images.
    flops = counter.get_flop_counts()["Global"].get(torch.ops.aten.convolution, 0)
    built = spaces.Cost(sum(p.numel() for p in trunk.parameters()), flops // 4, out.shape[1], out.shape[2])
    assert spaces.get(name).cost(arch, **where, size=side) == built
    assert trunk.out_channels == out.shape[1]
    assert out.shape[2] == out.shape[3]
    assert all(p.requires_grad for p in trunk.parameters())


@pytest.mark.parametrize(("name", "arch"), ARCHS)
@pytest.mark.parametrize(("stem", "height", "width"), [("cifar", 13, 18), ("imagenet", 97, 66)])
def test_a_trunk_computes_finite_features_of_any_image_and_passes_gradients_to_its_stem(
    name, arch, stem, height, width
):
    torch.manual_seed(0)
    trunk = spaces.get(name).trunk(arch, in_channels=3, width=10, depth=2, stem=stem)
    out = trunk(torch.randn(2, 3, height, width))
    assert out.shape[:2] == (2, trunk.out_channels)
    assert out.isfinite().all()
    (out * torch.randn(out.shape)).sum().backward()
    first = next(trunk.parameters())
    assert first.grad is not None
    assert first.grad.isfinite().all()
    assert first.grad.abs().sum() > 0


@pytest.mark.parametrize(("name", "arch"), ARCHS)
def test_building_twice_from_one_seed_gives_one_network(name, arch):
    nets = []
    for _ in range(2):
        torch.manual_seed(5)
        nets.append(spaces.get(name).trunk(arch, in_channels=3, width=8, depth=2, stem="cifar").eval())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(nets[0](x), nets[1](x))


@pytest.mark.parametrize(("name", "arch"), ARCHS)
def test_a_dense_trunk_ends_at_a_sixteenth_of_the_image(name, arch):
    where = {"in_channels": 3, "width": 8, "depth": 4, "stem": "imagenet", "size": 1025}
    assert spaces.get(name).cost(arch, **where, dense=True).size in (64, 65)
    assert spaces.get(name).cost(arch, **where).size < 64


@pytest.mark.parametrize("name", spaces.names())
@pytest.mark.parametrize("arch", ["", "_", "c9.0_out.1", "s3.0+s3.1", "c3_xx", " ", "c3.0,out.1"])
def test_text_that_is_no_architecture_is_refused_by_repeating_it(name, arch):
    space = spaces.get(name)
    calls = [
        space.normal,
        space.canonical,
        space.arch_id,
        space.graph,
        lambda a: space.trunk(a, in_channels=3, width=8, depth=2, stem="cifar"),
        lambda a: space.cost(a, in_channels=3, width=8, depth=2, stem="cifar", size=32),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=re.escape(repr(arch))):
            call(arch)


@pytest.mark.parametrize("name", spaces.names())
@pytest.mark.parametrize(("width", "depth"), [(0, 2), (8, 0)])
def test_sizes_that_make_no_network_are_refused(name, width, depth):
    space = spaces.get(name)
    arch = spaces.sample(space, 1, seed=0).archs[0]
    where = {"in_channels": 3, "width": width, "depth": depth, "stem": "cifar"}
    with pytest.raises(ValueError, match=rf"width {width} and depth {depth}"):
        space.trunk(arch, **where)
    with pytest.raises(ValueError, match=rf"width {width} and depth {depth}"):
        space.cost(arch, **where, size=32)


@pytest.mark.parametrize("name", spaces.names())
def test_a_larger_sample_begins_with_the_smaller_one(name):
    space = spaces.get(name)
    assert spaces.sample(space, 40, seed=2).archs[:15] == spaces.sample(space, 15, seed=2).archs


@pytest.mark.parametrize("name", spaces.names())
def test_a_sample_is_fixed_by_its_seed_and_has_no_duplicates(name):
    space = spaces.get(name)
    sample = spaces.sample(space, 50, seed=4)
    assert sample == spaces.sample(space, 50, seed=4)
    assert sample.archs != spaces.sample(space, 50, seed=5).archs
    assert len({space.canonical(arch) for arch in sample.archs}) == 50
    assert sample.drawn == 50 + sum(sample.rejected.values())


@pytest.mark.parametrize("name", spaces.names())
def test_building_and_counting_warn_of_nothing(name):
    space = spaces.get(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arch = spaces.sample(space, 1, seed=8).archs[0]
        trunk = space.trunk(arch, in_channels=3, width=8, depth=2, stem="cifar")
        trunk(torch.randn(2, 3, 16, 16)).sum().backward()
