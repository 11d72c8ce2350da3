"""Supernets: the network of an architecture among all, published sizes, gradients of the architecture weights."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import spaces
from spaces._edges import Mixed, Operation, Partial, Sampled, Zero, cost
from spaces.darts.genotype import OPS as CODES
from spaces.darts.genotype import parse as cells_of
from spaces.nasbench201.cell import EDGES, OPS, parse

DARTS = spaces.searchable("darts")
NB201 = spaces.searchable("nasbench201")
TINY: dict[str, Any] = {"in_channels": 3, "width": 2, "stem": "cifar"}
MIXED_OPS = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
ONLY_ZEROS = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|skip_connect~1|none~2|"
NO_POOLS = "s3.0+s5.1_d3.0+d5.2_sk.1+sk.3_s3.4+sk.0:s3.1+s5.0_d3.1+d5.0_sk.0+sk.1_s5.4+d3.0"
WITH_POOL = NO_POOLS.replace("d3.0+d5.2", "mp.0+d5.2")


def tensors(weights: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(rows) for name, rows in weights.items()}


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).double()


def norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d) and m.affine]


def scramble(net: nn.Module) -> None:
    """Scales and biases that are not 1 and 0, as after a training."""
    generator = torch.Generator().manual_seed(5)
    for norm in norms(net):
        for p in (norm.weight, norm.bias):
            p.data = torch.rand(p.shape, generator=generator).to(p) + 0.5


def take(alone: nn.Module, shared: nn.Module) -> None:
    """Give a network the weights of the supernet's part, which may lack scales and biases."""
    missing, unexpected = alone.load_state_dict(shared.state_dict(), strict=False)
    assert not unexpected
    assert all(name.endswith(("weight", "bias")) for name in missing)


def nasbench201_pair(arch: str, **options: Any) -> tuple[nn.Module, Any]:
    net, alone = NB201.supernet(**TINY, depth=1, **options).double(), NB201.trunk(arch, **TINY, depth=1).double()
    scramble(net)
    for mine, theirs in zip(alone.layers, net.layers, strict=True):
        if not hasattr(theirs, "dag"):
            take(mine, theirs)
            continue
        for k, ((source, node), op) in enumerate(zip(EDGES, parse(arch), strict=True)):
            if f"{source}{node}" in mine.convs:
                take(mine.convs[f"{source}{node}"], theirs.dag.edges[k].ops[OPS.index(op)])
    return alone, net


def darts_pair(arch: str, **options: Any) -> tuple[nn.Module, Any]:
    net, alone = DARTS.supernet(**TINY, depth=3, **options).double(), DARTS.trunk(arch, **TINY, depth=3).double()
    scramble(net)
    take(alone.stem, net.stack.stem)
    genotype = cells_of(arch)
    for mine, theirs in zip(alone.cells, net.stack.cells, strict=True):
        take(mine.before_last, theirs.before_last)
        take(mine.last, theirs.last)
        ops = iter(mine.ops)
        for node, pair in enumerate(genotype.reduce if mine.reduces else genotype.normal, start=2):
            for code, source in pair:
                edge = theirs.dag.edges[theirs.dag.pairs.index((source, node))]
                shared, own = edge.ops[list(CODES).index(code)], next(ops)
                if code not in ("mp", "ap"):
                    take(own, shared)
    return alone, net


@pytest.mark.parametrize("kind", ["mixed", "sampled"])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("arch", [MIXED_OPS, ONLY_ZEROS])
def test_one_hot_weights_give_the_network_of_the_cell(arch: str, affine: bool, kind: str) -> None:
    """With scales and biases of BN too, if the supernet has them: also of a convolution of zeros."""
    alone, net = nasbench201_pair(arch, affine=affine, edge=kind)
    net.use(tensors(NB201.one_hot(arch)))
    torch.testing.assert_close(net(image()), alone(image()), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("affine", "kind"), [(False, "mixed"), (True, "sampled")])
def test_one_hot_weights_give_the_network_of_two_cells(affine: bool, kind: str) -> None:
    alone, net = darts_pair(NO_POOLS, affine=affine, edge=kind)
    net.use(tensors(DARTS.one_hot(NO_POOLS)))
    torch.testing.assert_close(net(image()), alone(image()), rtol=1e-9, atol=1e-12)


def test_pooling_of_darts_has_batch_norm_in_the_supernet_alone() -> None:
    alone, net = darts_pair(WITH_POOL)
    net.use(tensors(DARTS.one_hot(WITH_POOL)))
    assert not torch.allclose(net(image()), alone(image()))


@pytest.mark.parametrize("space", [DARTS, NB201], ids=["darts", "nasbench201"])
@pytest.mark.parametrize("kind", ["mixed", "partial"])
def test_gradients_of_the_weights_are_those_of_finite_differences(space: spaces.Searchable, kind: Any) -> None:
    torch.manual_seed(1)
    net: Any = space.supernet(in_channels=3, width=4, depth=1, stem="cifar", edge=kind).double()
    weights = {name: torch.rand(cell.shape).double().requires_grad_() for name, cell in net.choices.items()}
    factors = {name: torch.rand(len(cell.edges)).double().requires_grad_() for name, cell in net.choices.items()}
    used = [name for name in weights if name in ("cell", "reduce")]  # one DARTS cell is a reduction cell

    def value() -> torch.Tensor:
        net.use(weights, factors if kind == "partial" else None)
        return (net(image()) ** 2).mean()

    changed = [weights[name] for name in used] + [factors[name] for name in used if kind == "partial"]
    gradients = torch.autograd.grad(value(), changed)
    for tensor, gradient in zip(changed, gradients, strict=True):
        direction = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2)).double()
        sides = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                tensor += step * direction
                sides.append(value().item())
                tensor -= step * direction
        assert (sides[0] - sides[1]) / 2e-6 == pytest.approx((gradient * direction).sum().item(), rel=1e-5)


def test_a_sampled_edge_computes_one_operation_and_passes_on_all_gradients() -> None:
    """Straight through: the output is that of the choice; the gradient of h is that of `one_hot - h.detach() + h`."""
    calls = []

    class Scale(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(self.factor)
            return self.factor * x

    edge = Sampled([Operation(Zero(), False), Operation(Scale(2.0), False), Operation(Scale(3.0), True)])
    x = torch.tensor([-1.0, 5.0]).double().reshape(1, 1, 1, 2)
    h = torch.tensor([0.2, 0.5, 0.3]).double().requires_grad_()
    row = F.one_hot(torch.tensor(1), 3).double() - h.detach() + h
    out = edge(x, x.relu(), row, 1)
    assert out.flatten().tolist() == pytest.approx([-2.0, 10.0])
    assert calls == [2.0]
    out.sum().backward()
    assert h.grad is not None
    assert h.grad.tolist() == pytest.approx([2.0, 8.0, 2.0])  # two pixels; 2 * (5 - 1) of the choice
    none = edge(x, x.relu(), F.one_hot(torch.tensor(0), 3).double(), 0)
    assert none.tolist() == torch.zeros_like(x).tolist()


@pytest.mark.parametrize("stride", [1, 2])
def test_partial_edges_pass_three_quarters_of_the_channels_by_and_shuffle(stride: int) -> None:
    """Channel c of the concatenation becomes channel (c % 2) * 4 + c // 2 of 8 with 4 groups of two."""
    x = torch.arange(8.0).reshape(1, 8, 1, 1).expand(1, 8, 3, 3).contiguous()
    pool = nn.MaxPool2d(1, stride)
    edge = Partial([Operation(Zero(stride), False), Operation(pool, False), Operation(pool, True)], stride, 4)
    out = edge(x + 1, x + 101, torch.tensor([0.5, 0.25, 0.25]), None)
    side = 3 if stride == 1 else 2
    assert out.shape == (1, 8, side, side)
    mixed = [0.25 * (c + 1) + 0.25 * (c + 101) for c in (0, 1)]
    parts = [*mixed, *(float(c + 1) for c in range(2, 8))]
    assert out[0, :, 0, 0].tolist() == [parts[c] for c in (0, 2, 4, 6, 1, 3, 5, 7)]


def test_a_further_skip_connection_is_added_to_the_mixed_edge_until_it_has_faded() -> None:
    trunk: Any = NB201.supernet(**TINY, depth=1, edge="auxiliary").double()
    plain: Any = NB201.supernet(**TINY, depth=1).double()
    plain.load_state_dict(trunk.state_dict())  # skip connections of this space have no weights
    rows = torch.full((6, 5), 0.2).double()
    skipping = rows.clone()
    skipping[:, OPS.index("skip_connect")] += 0.7
    for net, weights in ((trunk, rows), (plain, skipping)):
        net.use({"cell": weights})
    trunk.fade(0.7)
    torch.testing.assert_close(trunk(image()), plain(image()))
    trunk.fade(0.0)
    plain.use({"cell": rows})
    torch.testing.assert_close(trunk(image()), plain(image()))


def test_a_pruned_supernet_computes_what_the_kept_operations_give() -> None:
    whole: Any = NB201.supernet(**TINY, depth=1).double()
    pruned: Any = NB201.supernet(**TINY, depth=1).double()
    pruned.load_state_dict(whole.state_dict())
    kept = [[True, k % 2 == 0, True, False, False] for k in range(6)]
    pruned.prune({"cell": kept})
    weights = torch.rand(6, 5, generator=torch.Generator().manual_seed(3)).double()
    pruned.use({"cell": weights})
    whole.use({"cell": weights * torch.tensor(kept)})
    torch.testing.assert_close(pruned(image()), whole(image()))
    assert sum(p.numel() for p in pruned.parameters()) < sum(p.numel() for p in whole.parameters())
    with pytest.raises(ValueError, match="keeps no operation but none"):
        pruned.prune({"cell": [[True] + 4 * [False]] * 6})


def test_dropout_of_identities_is_active_in_training_alone() -> None:
    edge = Mixed([Operation(nn.Identity(), False), Operation(nn.MaxPool2d(1), False)])
    edge.dropout = 0.5
    x, row = torch.ones(1, 1, 40, 50), torch.tensor([1.0, 10.0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        out = edge(x, x, row, None)
    assert set(out.unique().tolist()) == {10.0, 12.0}
    assert (out == 10.0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert edge.eval()(x, x, row, None).unique().tolist() == [11.0]


def test_an_edge_without_other_operations_than_none_is_refused() -> None:
    x = torch.zeros(1, 1, 1, 1)
    with pytest.raises(ValueError, match="only operation is none"):
        Mixed([Operation(Zero(), False)])(x, x, torch.ones(1), None)


def parameters(**options: Any) -> int:
    with torch.device("meta"):
        net = DARTS.supernet(in_channels=3, width=16, stem="cifar", **options)
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("options", "classes", "published"),
    [
        ({"depth": 8}, 10, 1_930_618),
        ({"depth": 8}, 100, 1_953_748),
        ({"depth": 8, "edge": "partial"}, 10, 299_578),
        ({"depth": 8, "edge": "partial"}, 100, 322_708),
        # The first stage of P-DARTS, whose release counts the 2 x 14 x 8 architecture weights too.
        ({"depth": 5}, 10, 1_276_058 - 224),
    ],
)
def test_search_networks_have_the_published_number_of_parameters(options: Any, classes: int, published: int) -> None:
    assert parameters(**options) + (256 + 1) * classes == published


def test_the_cost_of_a_supernet_is_that_of_its_operations() -> None:
    """The fixed part, and six edges of two convolutions in every cell; sampled, one operation of the five."""
    cells = [f"|{op}~0|+|{op}~0|{op}~1|+|{op}~0|{op}~1|{op}~2|" for op in ("none", "nor_conv_1x1", "nor_conv_3x3")]
    fixed, *convs = (NB201.cost(cell, **TINY, depth=1, size=8) for cell in cells)
    together = sum(c.macs - fixed.macs for c in convs)
    mixed = cost(lambda: NB201.supernet(**TINY, depth=1), 3, 8)
    sampled = cost(lambda: NB201.supernet(**TINY, depth=1, edge="sampled"), 3, 8)
    assert mixed.macs == fixed.macs + together
    assert sampled.macs == fixed.macs + together // 5
    assert (mixed.params, mixed.channels, mixed.size) == (sampled.params, fixed.channels, fixed.size)
    affine = cost(lambda: NB201.supernet(**TINY, depth=1, affine=True), 3, 8)
    assert affine.params - mixed.params == 6 * 2 * 2 * (2 + 4 + 8)  # edges, convolutions, scale and bias, channels


@pytest.mark.parametrize(
    ("stem", "size", "dense", "kind"), [("imagenet", 65, True, "mixed"), ("cifar", 9, False, "partial")]
)
@pytest.mark.parametrize("space", ["darts", "nasbench201"])
def test_supernets_have_the_shapes_of_trunks(space: str, stem: Any, size: int, dense: bool, kind: Any) -> None:
    of = spaces.searchable(space)
    where: dict[str, Any] = {"in_channels": 1, "width": 4, "depth": 3, "stem": stem, "dense": dense}
    arch = spaces.sample(of, 1, 0).archs[0]
    alone = of.cost(arch, **where, size=size)
    whole = cost(lambda: of.supernet(**where, edge=kind), 1, size)  # type: ignore[arg-type, return-value]
    assert (whole.channels, whole.size) == (alone.channels, alone.size)


def test_weights_of_another_space_and_widths_that_cannot_be_divided_are_refused() -> None:
    net: Any = NB201.supernet(**TINY, depth=1)
    with pytest.raises(ValueError, match=r"weights of shapes \{'normal': \(14, 8\).*expected \{'cell': \(6, 5\)\}"):
        net.use({name: torch.zeros(14, 8) for name in ("normal", "reduce")})
    with pytest.raises(ValueError, match="1/4 of 6 channels; expected a width that 4 divides"):
        NB201.supernet(in_channels=3, width=6, depth=1, stem="cifar", edge="partial")


@pytest.mark.parametrize("name", ["chain", "nasbench101"])
def test_spaces_without_a_supernet_say_so(name: str) -> None:
    with pytest.raises(LookupError, match=f"space '{name}' has no supernet, so it cannot be searched"):
        spaces.searchable(name)
    with pytest.raises(LookupError, match="no search space 'nowhere'"):
        spaces.searchable("nowhere")
