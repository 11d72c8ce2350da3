"""The MobileNet-like space against published sizes, and its networks against a literal forward pass."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor, nn
from torch.nn import functional as F

import spaces
from analysis.rows.graph import operations
from spaces.mobilenet.blocks import FIRSTS, OPS, SKIP, allowed, parse, write

MOBILENET = spaces.get("mobilenet")
IMAGENET = {"in_channels": 3, "width": 32, "depth": 1, "stem": "imagenet", "size": 224}
RLNAS = spaces.published("mobilenet")["rlnas"]
SMALLEST = write(tuple("k3e3" if block in FIRSTS else SKIP for block in range(21)))


def with_classifier(arch: str) -> tuple[int, int]:
    """Parameters and multiply-adds of the network for ImageNet."""
    trunk = MOBILENET.cost(arch, **IMAGENET)
    assert (trunk.channels, trunk.size) == (1728, 7)
    return trunk.params + 1729 * 1000, trunk.macs + 1728 * 1000


def test_the_architecture_of_rlnas_has_its_published_size() -> None:
    params, macs = with_classifier(RLNAS)
    assert (round(params / 1e6, 2), round(macs / 1e6, 1)) == (5.26, 471.5)
    assert "skip" in RLNAS


@pytest.mark.parametrize(
    ("arch", "millions"),
    [
        (MOBILENET.encode(ops=[0] * 21), 460.9),
        (MOBILENET.encode(ops=[5] * 21), 1036.7),
        (SMALLEST, 182.5),
    ],
)
def test_the_range_of_the_space_is_the_published_one(arch: str, millions: float) -> None:
    assert round(with_classifier(arch)[1] / 1e6, 1) == millions


def test_the_published_network_has_the_layers_of_its_release() -> None:
    with torch.device("meta"):
        trunk = MOBILENET.trunk(RLNAS, in_channels=3, width=32, depth=1, stem="imagenet")
    convs = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    assert [tuple(c.weight.shape) for c in convs[:3]] == [(40, 3, 3, 3), (40, 1, 3, 3), (24, 40, 1, 1)]
    assert tuple(convs[-1].weight.shape) == (1728, 432, 1, 1)
    blocks = convs[3:-1]
    assert len(blocks) == 3 * 20
    found = [
        (depthwise.in_channels // expand.in_channels, depthwise.kernel_size[0], depthwise.stride[0], last.out_channels)
        for expand, depthwise, last in zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True)
    ]
    assert all(c.groups == c.in_channels for c in blocks[1::3])
    assert {expansion for expansion, *_ in found} == {3}
    assert [kernel for _, kernel, *_ in found] == [5, 3, 5, 5, 3, 5, 7, 3, 7, 7, 5, 7, 5, 7, 5, 3, 3, 3, 5, 5]
    assert [out for *_, out in found] == [32] * 3 + [56] * 4 + [112] * 4 + [128] * 4 + [256] * 4 + [432]
    assert [k for k, (_, _, stride, _) in enumerate(found) if stride == 2] == [0, 3, 7, 15]


def test_small_images_are_halved_twice_and_dense_ones_once() -> None:
    where = {"in_channels": 3, "width": 8, "depth": 1}
    sizes = {
        (stem, size, dense): MOBILENET.cost(RLNAS, **where, stem=stem, size=size, dense=dense).size
        for stem, size in (("cifar", 32), ("imagenet", 224))
        for dense in (False, True)
    }
    assert list(sizes.values()) == [8, 16, 7, 14]


def test_depth_repeats_the_blocks_that_keep_their_shape() -> None:
    once, twice = (MOBILENET.cost(RLNAS, **IMAGENET | {"depth": depth}).params for depth in (1, 2))
    firsts = write(tuple(op if block in FIRSTS else SKIP for block, op in enumerate(parse(RLNAS))))
    assert twice - once == once - MOBILENET.cost(firsts, **IMAGENET).params


def test_where_a_stage_skips_does_not_matter_but_the_order_of_its_blocks_does() -> None:
    first = RLNAS.replace("k5e3_k3e3_skip_k5e3", "k5e3_skip_k3e3_k5e3", 1)
    other = RLNAS.replace("k5e3_k3e3_skip_k5e3", "k5e3_k5e3_skip_k3e3", 1)
    assert MOBILENET.arch_id(first) == MOBILENET.arch_id(RLNAS) != MOBILENET.arch_id(other)
    assert MOBILENET.normal(first) == first
    nets = [MOBILENET.trunk(arch, in_channels=3, width=4, depth=1, stem="cifar").double() for arch in (first, RLNAS)]
    nets[1].load_state_dict(nets[0].state_dict())
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert torch.equal(nets[0](x), nets[1](x))


def literal(trunk: nn.Module, arch: str, x: Tensor) -> Tensor:
    """The network as the publications describe it, from its weights in order."""
    convs = iter([m for m in trunk.modules() if isinstance(m, nn.Conv2d)])
    norms = iter([m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)])

    def layer(x: Tensor, stride: int = 1, active: bool = True) -> Tensor:
        conv, norm = next(convs), next(norms)
        kernel, groups = conv.kernel_size[0], x.shape[1] // conv.weight.shape[1]
        out = F.conv2d(x, conv.weight, stride=stride, padding=kernel // 2, groups=groups)
        mean, var = out.mean((0, 2, 3), keepdim=True), out.var((0, 2, 3), correction=0, keepdim=True)
        out = (out - mean) / (var + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
        return out.clamp(0, 6) if active else out

    x = layer(layer(layer(x, 2)), active=False)
    for block, op in enumerate(parse(arch)):
        if op != SKIP:
            stride = 2 if block in (0, 4, 8, 16) else 1
            out = layer(layer(layer(x), stride), active=False)
            x = out if block in FIRSTS else x + out
    return layer(x)


@pytest.mark.parametrize("seed", [0, 1])
def test_output_and_gradients_are_those_of_a_literal_network(seed: int) -> None:
    torch.manual_seed(seed)
    arch = MOBILENET.sample(np.random.default_rng(seed))
    trunk = MOBILENET.trunk(arch, in_channels=3, width=4, depth=1, stem="imagenet").double()
    for p in trunk.parameters():
        if p.dim() == 1:  # weights and biases of BN, away from one and zero
            nn.init.uniform_(p, 0.5, 4)
    x = torch.randn(3, 3, 40, 40, dtype=torch.float64)
    found = []
    for forward in (trunk, lambda x: literal(trunk, arch, x)):
        trunk.zero_grad(set_to_none=True)
        out = forward(x)
        (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        found.append([out.detach(), *(p.grad for p in trunk.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (RLNAS.replace("k5e3", "k5e4", 1), r"block 0 .* is 'k5e4'; expected one of k3e3, k3e6, .*, k7e6$"),
        (RLNAS.replace("k5e3", "skip", 1), r"block 0 .* is 'skip'; expected"),
        (RLNAS.replace("skip", "none"), r"block 2 .* is 'none'; expected one of .*, skip$"),
        (RLNAS.replace("_skip", ""), r"stage 1 .* is 'k5e3_k3e3_k5e3'; expected 4 blocks, like `k3e3_k3e6_k5e3_k5e6`"),
        (RLNAS + "_k3e3", r"stage 6 .* is 'k5e3_k3e3'; expected 1 blocks"),
        (RLNAS + ":k3e3", r"not a valid MobileNet; expected 6 stages joined by `:`, with 4, 4, 4, 4, 4, 1 blocks"),
        (RLNAS + "\n", r"block 20 .* is 'k5e3\\n'"),
    ],
)
def test_malformed_text_is_explained(wrong: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MOBILENET.normal(wrong)


def test_encode_takes_the_numbers_of_the_release() -> None:
    assert MOBILENET.encode(ops=[2, 0, -1, 2, 2, 0, 2, 4, 0, 4, 4, 2, 4, 2, 4, 2, 0, 0, 0, 2, 2]) == RLNAS
    with pytest.raises(ValueError, match="has 21 blocks; got 20"):
        MOBILENET.encode(ops=[0] * 20)
    with pytest.raises(ValueError, match=r"block 4 of a MobileNet is -1; expected one of 0, 1, 2, 3, 4, 5$"):
        MOBILENET.encode(ops=[0] * 4 + [-1] + [0] * 16)
    with pytest.raises(ValueError, match="block 1 of a MobileNet is 6; expected one of -1, 0"):
        MOBILENET.encode(ops=[0, 6] + [0] * 19)


def test_blocks_are_drawn_uniformly_and_independently() -> None:
    rng = np.random.default_rng(0)
    drawn = [parse(MOBILENET.sample(rng)) for _ in range(3000)]
    for block in range(21):
        counts = Counter(ops[block] for ops in drawn)
        assert set(counts) == set(allowed(block))
        assert chisquare([counts[op] for op in allowed(block)]).pvalue > 1e-4
    pairs = Counter((ops[1], ops[2]) for ops in drawn)
    assert chisquare([pairs[a, b] for a in allowed(1) for b in allowed(2)]).pvalue > 1e-4


def test_the_graph_has_all_blocks_of_six_stages() -> None:
    cells = MOBILENET.graph(RLNAS)["cells"]
    assert [len(cell["edges"]) for cell in cells] == [4, 4, 4, 4, 4, 1]
    assert Counter(operations(cells)) == {"mb3_5x5": 9, "mb3_3x3": 6, "mb3_7x7": 5, SKIP: 1}
    assert len(OPS) == 6
