"""The contract of search spaces; a new space in the folder is tested automatically.

The promises that hold for spaces of other packages too are `workers.contracts`; here are those of our own beside them.
"""

import re
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import spaces
from workers import contracts

CHECKS = [
    pytest.param(check, id=f"{name}-{check}")
    for name in spaces.names()
    for check in contracts.checks("space", spaces.get(name))
]
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


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: contracts.Check) -> None:
    check()


def test_names_are_listed_without_importing_torch() -> None:
    code = "import spaces, sys; spaces.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_spaces_are_found_under_their_names() -> None:
    assert {"chain", "darts", "mobilenet", "nasbench101", "nasbench201"} <= set(spaces.names())
    assert all(spaces.get(name).name == name for name in spaces.names())


def test_an_unknown_space_is_refused_by_naming_those_there_are() -> None:
    with pytest.raises(LookupError, match=r"'dart'.*darts.*nasbench101"):
        spaces.get("dart")


@pytest.mark.parametrize("name", spaces.names())
def test_arch_ids_differ_where_canonical_forms_do(name: str) -> None:
    space = spaces.get(name)
    archs = spaces.sample(space, 60, seed=1).archs
    assert len({space.arch_id(arch) for arch in archs}) == 60


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", spaces.names())
def test_cost_is_that_of_the_built_network(name: str, size: tuple[int, int, int, str, int, bool]) -> None:
    """Each size on another one of six architectures; the contract has more of both."""
    in_channels, width, depth, stem, side, dense = size
    where = {"in_channels": in_channels, "width": width, "depth": depth, "stem": stem, "dense": dense}
    space = spaces.get(name)
    arch = spaces.sample(space, len(SIZES), seed=3).archs[SIZES.index(size)]
    with torch.device("meta"):
        trunk = space.trunk(arch, **where).eval()  # norms of a training take twice the time
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            out = trunk(torch.empty(2, in_channels, side, side))
    # The counter counts two operations per multiply-add, over both images.
    flops = counter.get_flop_counts()["Global"].get(torch.ops.aten.convolution, 0)
    built = spaces.Cost(sum(p.numel() for p in trunk.parameters()), flops // 4, out.shape[1], out.shape[2])
    assert space.cost(arch, **where, size=side) == built
    assert trunk.out_channels == out.shape[1]
    assert all(p.requires_grad for p in trunk.parameters())


@pytest.mark.parametrize(("name", "arch"), ARCHS)
def test_a_dense_trunk_ends_at_a_sixteenth_of_the_image(name: str, arch: str) -> None:
    where = {"in_channels": 3, "width": 8, "depth": 4, "stem": "imagenet", "size": 1025}
    assert spaces.get(name).cost(arch, **where, dense=True).size in (64, 65)
    assert spaces.get(name).cost(arch, **where).size < 64


@pytest.mark.parametrize("name", spaces.names())
@pytest.mark.parametrize("arch", ["", "_", "c9.0_out.1", "s3.0+s3.1", "c3_xx", " ", "c3.0,out.1"])
def test_text_that_is_no_architecture_is_refused_by_repeating_it(name: str, arch: str) -> None:
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
def test_sizes_that_make_no_network_are_refused(name: str, width: int, depth: int) -> None:
    space = spaces.get(name)
    arch = spaces.sample(space, 1, seed=0).archs[0]
    where = {"in_channels": 3, "width": width, "depth": depth, "stem": "cifar"}
    with pytest.raises(ValueError, match=rf"width {width} and depth {depth}"):
        space.trunk(arch, **where)
    with pytest.raises(ValueError, match=rf"width {width} and depth {depth}"):
        space.cost(arch, **where, size=32)


@pytest.mark.parametrize("name", spaces.names())
def test_a_sample_is_fixed_by_its_seed_and_has_no_duplicates(name: str) -> None:
    space = spaces.get(name)
    sample = spaces.sample(space, 50, seed=4)
    assert sample == spaces.sample(space, 50, seed=4)
    assert sample.archs != spaces.sample(space, 50, seed=5).archs
    assert len({space.canonical(arch) for arch in sample.archs}) == 50
    assert sample.drawn == 50 + sum(sample.rejected.values())
