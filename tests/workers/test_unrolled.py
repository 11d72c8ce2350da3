"""Gradients of architecture weights in float64: finite differences, a quadratic problem, double backward."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import spaces
from spaces._edges import part_of
from workers.methods import _unrolled
from workers.methods._architecture import shares
from workers.methods._unrolled import unrolled
from workers.tasks._heads import Pooled


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def test_the_second_order_is_exact_for_a_quadratic_problem() -> None:
    """L_train = w'Aw/2 + w'Ba and L_held = |w - c|^2/2 + a'Da/2 have a closed gradient through one step of SGD."""
    a, w = drawn(3, seed=1).requires_grad_(), drawn(5, seed=2).requires_grad_()
    root, b, c, d = drawn(5, 5, seed=3), drawn(5, 3, seed=4), drawn(5, seed=5), drawn(3, 3, seed=6)
    matrix, rate, decay, buffer = root @ root.T, 0.1, 0.03, 0.9 * drawn(5, seed=7)
    before = w.detach().clone()
    (found,) = unrolled(
        [w],
        [a],
        lambda: w @ matrix @ w / 2 + w @ b @ a,
        lambda: ((w - c) ** 2).sum() / 2 + a @ d @ a / 2,
        rate=rate,
        momentum={w: buffer},
        decay=decay,
    )
    with torch.no_grad():
        ahead = w - rate * (buffer + matrix @ w + b @ a + decay * w)
        exact = (d + d.T) @ a / 2 - rate * b.T @ (ahead - c)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-9)
    assert torch.equal(w, before)


class Problem:
    """A tiny supernet with a head, in float64, and two batches."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            trunk = spaces.searchable("nasbench201").supernet(in_channels=3, width=2, depth=1, stem="cifar")
            self.net = Pooled(trunk, 3).double()
        self.supernet = part_of(self.net)
        self.table = drawn(6, 5, seed=8).requires_grad_()
        self.weights = list(self.net.parameters())
        self.train, self.held = ((drawn(4, 3, 8, 8, seed=s), torch.tensor([0, 1, 2, 1])) for s in (9, 10))

    def loss(self, batch: tuple[Tensor, Tensor], weights: dict[str, Tensor] | None = None) -> Tensor:
        self.supernet.use({"cell": self.table.softmax(1)})
        out = functional_call(self.net, weights or {}, (batch[0],))
        return torch.nn.functional.cross_entropy(out, batch[1])

    def gradient(self, rate: float, **more: Any) -> Tensor:
        held, train = (lambda: self.loss(self.held)), (lambda: self.loss(self.train))
        options: dict[str, Any] = {"momentum": {}, "decay": 0.0} | more
        (found,) = unrolled(self.weights, [self.table], train, held, rate=rate, **options)
        return found

    def exact(self, rate: float) -> Tensor:
        """By the graph of the step itself."""
        named = dict(self.net.named_parameters())
        steps = torch.autograd.grad(self.loss(self.train), list(named.values()), create_graph=True)
        ahead = {name: w - rate * g for (name, w), g in zip(named.items(), steps, strict=True)}
        (found,) = torch.autograd.grad(self.loss(self.held, ahead), self.table)
        return found


def test_the_first_order_is_the_finite_difference_of_the_held_out_loss() -> None:
    problem = Problem()
    gradient = problem.gradient(rate=0.0)
    direction = drawn(6, 5, seed=11)
    sides = []
    with torch.no_grad():
        for step in (1e-6, -2e-6):
            problem.table += step * direction
            sides.append(problem.loss(problem.held).item())
    assert (sides[0] - sides[1]) / 2e-6 == pytest.approx((gradient * direction).sum().item(), rel=1e-5)


def test_the_second_order_is_the_gradient_through_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_unrolled, "RADIUS", 1e-5)  # in float64 rounding allows a smaller one
    problem, rate = Problem(), 0.5
    exact, first = problem.exact(rate), problem.gradient(0.0)
    found = problem.gradient(rate)
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-7)
    assert (exact - first).norm() > 0.01 * exact.norm()  # the orders differ


def test_weights_and_statistics_are_as_before_bit_for_bit() -> None:
    problem = Problem()
    buffers = list(problem.net.buffers())
    kept = [x.detach().clone() for x in (*problem.weights, *buffers)]
    problem.gradient(0.1, buffers=buffers, decay=1e-3)
    assert all(torch.equal(x, y) for x, y in zip((*problem.weights, *buffers), kept, strict=True))


def test_a_held_out_loss_without_a_gradient_gives_the_direct_one() -> None:
    w, a = drawn(2, seed=1).requires_grad_(), drawn(2, seed=2).requires_grad_()
    (found,) = unrolled([w], [a], lambda: (w * a).sum(), lambda: (a**2).sum(), rate=0.1, momentum={}, decay=0.0)
    torch.testing.assert_close(found, 2 * a.detach())


def test_edges_into_one_node_share_a_weight_of_one() -> None:
    edges = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    found = shares(torch.tensor([0.0, 0.0, 1.0, 1.0, 2.0]), edges)
    assert found[:2].tolist() == [0.5, 0.5]
    assert found[2:].tolist() == pytest.approx(torch.tensor([1.0, 1.0, 2.0]).softmax(0).tolist())
