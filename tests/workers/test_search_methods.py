"""What each method of searching does by itself: second order, sampling, fading, stages."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import workers
from spaces._edges import Auxiliary, Dag, Zero
from workers.methods._unrolled import unrolled
from workers.methods.gdas import Sampled
from workers.methods.p_darts import StagedRun, narrowed
from workers.methods.snas import Soft
from workers.training.epoch import learning_rate
from workers.training.steps import Training

from .searching import METHODS, Make, Places, started
from .searching import cache as cache  # a fixture
from .searching import places as places  # a fixture
from .searching import search as search  # a fixture


def test_the_second_order_goes_through_the_step_that_the_optimiser_would_make(
    search: Make, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Momentum of the first step, weight decay and rate included: the step itself is made by SGD on a copy."""
    step_of: dict[str, Any] = {"lr": 0.02, "lr_end": 0.0, "weight_decay": 0.05, "momentum": 0.8, "nesterov": False}
    trial = search("darts", order=2, width=2, clip=None, **step_of)
    run = started(trial, places)
    # In float64 and with a radius so small that no ReLU changes its side.
    monkeypatch.setattr("workers.methods._unrolled.RADIUS", 1e-8)
    plain = Training.batch
    monkeypatch.setattr(
        Training, "batch", lambda t, split, part: (lambda x, y: (x.double(), y))(*plain(t, split, part))
    )
    run.t.net.double()
    for w, kept in run.t.optimizer.state.items():
        kept["momentum_buffer"] = kept["momentum_buffer"].to(w)
    for values in run.architecture.tables.values():
        values.data = values.data.double()
    seen: list[float] = []

    def compare(weights: Any, tables: Any, train_loss: Any, held_out_loss: Any, **options: Any) -> Any:
        def after_a_step() -> float:
            """The held-out loss after a step at the present architecture weights."""
            kept = [w.detach().clone() for w in weights]
            copy = torch.optim.SGD(weights, lr=0.02, momentum=0.8, weight_decay=0.05)
            for w in weights:
                if "momentum_buffer" in run.t.optimizer.state[w]:
                    copy.state[w]["momentum_buffer"] = run.t.optimizer.state[w]["momentum_buffer"].clone()
                w.grad = None
            train_loss().backward()
            copy.step()
            value: float = held_out_loss().item()
            with torch.no_grad():
                for w, before in zip(weights, kept, strict=True):
                    w.copy_(before)
            return value

        found = unrolled(weights, tables, train_loss, held_out_loss, **options)
        (table,), (gradient,) = tables, found
        direction = gradient / gradient.norm()
        sides = []
        for step in (1e-7, -2e-7):
            with torch.no_grad():
                table += step * direction
            sides.append(after_a_step())
        with torch.no_grad():
            table += 1e-7 * direction
        seen.append((sides[0] - sides[1]) / 2e-7 / gradient.norm().item())
        return found

    monkeypatch.setattr("workers.methods._bilevel.unrolled", compare)
    run.epoch(0)
    assert seen == pytest.approx([1.0, 1.0], rel=1e-3)


def test_sampled_operations_follow_the_softmax_and_gradients_are_those_of_h() -> None:
    alphas = {"cell": torch.tensor([[0.0, 1.0, 2.0]]).requires_grad_()}
    relaxation = Sampled((10.0, 0.1), epochs=3)
    assert [relaxation.temperature(epoch) for epoch in range(3)] == pytest.approx([10.0, 5.05, 0.1])
    counts = torch.zeros(3)
    for seed in range(2000):
        drawn = relaxation.drawn(alphas, 0, torch.Generator().manual_seed(seed))["cell"]
        counts += drawn[0].detach().round()
    assert (counts / 2000).tolist() == pytest.approx(alphas["cell"][0].softmax(0).tolist(), abs=0.03)
    one = relaxation.drawn(alphas, 2, torch.Generator().manual_seed(0))["cell"]
    noise = -torch.empty(1, 3).exponential_(generator=torch.Generator().manual_seed(0)).log()
    h = ((alphas["cell"].log_softmax(1) + noise) / 0.1).softmax(1)
    assert sorted(one[0].tolist()) == pytest.approx([0.0, 0.0, 1.0])
    (found,) = torch.autograd.grad(one[0, 1], alphas["cell"])
    (wanted,) = torch.autograd.grad(h[0, 1], alphas["cell"])
    torch.testing.assert_close(found, wanted)
    assert relaxation.settled(alphas)["cell"].tolist() == [[0.0, 0.0, 1.0]]


def test_weights_of_snas_are_soft_and_sharpen_exponentially() -> None:
    alphas = {"cell": torch.tensor([[0.0, 1.0, 2.0]])}
    relaxation = Soft((4.0, 0.25), epochs=3)
    assert [relaxation.temperature(epoch) for epoch in range(3)] == pytest.approx([4.0, 1.0, 0.25])
    drawn = [relaxation.drawn(alphas, epoch, torch.Generator().manual_seed(0))["cell"] for epoch in range(3)]
    assert [h.sum().item() for h in drawn] == pytest.approx([1.0] * 3)
    assert 1 / 3 < drawn[0].max().item() < drawn[1].max().item() < drawn[2].max().item() <= 1.0
    assert torch.equal(relaxation.settled(alphas)["cell"], alphas["cell"].softmax(1))


@pytest.mark.parametrize(("fading", "factors"), [("linear", [1.0, 0.75, 0.5, 0.25, 0.0]), ("cosine", None)])
def test_further_skip_connections_fade_out(
    fading: str, factors: list[float] | None, search: Make, places: Places
) -> None:
    run = started(search("darts_minus", fading=fading, epochs=5), places)
    found = [run.relaxation.auxiliary(epoch) for epoch in range(5)]
    assert found == pytest.approx(factors or [1.0, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5, 0.0])
    run.epoch(2)
    edges = [module for module in run.supernet.modules() if isinstance(module, Auxiliary)]
    assert len(edges) == 3 * 6
    assert {edge.factor for edge in edges} == {found[2]}


def staged(search: Make, **changes: Any) -> workers.Trial:
    return search("p_darts", **METHODS["p_darts"] | {"epochs": 4} | changes)


def test_a_stage_of_p_darts_has_a_deeper_network_of_fewer_operations(search: Make, places: Places) -> None:
    run = started(staged(search), places)
    assert isinstance(run, StagedRun)
    run.epoch(0)
    run.epoch(1)
    first, weights, tables = run.t.net, run.architecture.probabilities(), run.architecture.tables
    run.epoch(2)
    assert run.t.net is not first
    dags = [module for module in run.supernet.modules() if isinstance(module, Dag)]
    assert len(dags) == 2
    for dag in dags:
        for row, flags, edge in zip(weights[dag.name], run.kept[dag.name], dag.edges, strict=True):
            assert sorted(row[flags].tolist()) == sorted(row.tolist())[-3:]
            assert [isinstance(op, Zero) for op in edge.ops[1:]] == [not flag for flag in flags[1:]]
    assert not torch.equal(run.architecture.tables["normal"], tables["normal"])
    again = run.architecture.probabilities()["normal"]
    assert ((again > 0) == torch.tensor(run.kept["normal"])).all()
    assert again.sum(1).tolist() == pytest.approx([1.0] * 14)
    values = np.array(run.columns()["curve_arch"][-1])
    assert np.isneginf(values).sum() == 2 * 14 * 5


def test_stages_have_their_own_cosine_and_dropout(search: Make, places: Places) -> None:
    run = started(staged(search, epochs=20, frozen_epochs=4, dropout=(0.4, 0.8)), places)
    places_of = [run.schedule(epoch) for epoch in (0, 9, 10, 19)]
    assert places_of == [(0, 10), (9, 10), (0, 10), (9, 10)]
    rates = [learning_rate(run.recipe, *run.schedule(epoch)) for epoch in range(20)]
    assert rates[:10] == rates[10:]
    assert rates[0] == run.recipe.lr
    found = [run.relaxation.dropout(epoch) for epoch in (0, 3, 4, 9, 10, 14)]
    assert found == pytest.approx([0.4 * 0.9, 0.4 * 0.6, 0.4, 0.4 * math.exp(-1), 0.8 * 0.9, 0.8])


def test_the_strongest_operations_of_those_that_are_left_stay() -> None:
    kept = {"cell": [[True, True, True, False], [True, False, True, True]]}
    weights = {"cell": torch.tensor([[0.1, 0.5, 0.4, 0.9], [0.3, 0.9, 0.3, 0.3]])}
    assert narrowed(kept, weights, 2) == {"cell": [[False, True, True, False], [True, False, True, False]]}


@pytest.mark.parametrize("method", ["darts", "gdas"])
def test_operations_that_an_edge_does_not_have_are_never_weighed(method: str, search: Make, places: Places) -> None:
    """In mobilenet the first block of a stage cannot be skipped."""
    trial = search(method, epochs=1, width=1, arch_lr=0.5).model_copy(update={"space": "mobilenet"})
    run = started(trial, places)
    space = run.architecture.space
    assert {name: list(values.shape) for name, values in run.architecture.tables.items()} == {
        f"stage {k}": [1 if k == 6 else 4, 7] for k in range(1, 7)
    }
    run.epoch(0)
    assert space.normal(run.architecture.found()) == run.architecture.found()
    for values in run.architecture.probabilities().values():
        assert values[0, 6] == 0
        assert (values[1:] > 0).all()
    assert [value for value in run.architecture.curve[0] if value == -math.inf] == [-math.inf] * 6
    run.close()


def test_stages_begin_with_the_operations_that_there_are(search: Make, places: Places) -> None:
    trial = search(**METHODS["p_darts"] | {"method": "p_darts", "width": 2}).model_copy(update={"space": "mobilenet"})
    run = started(trial, places)
    assert isinstance(run, StagedRun)
    kept = narrowed(run.kept, run.architecture.probabilities(), 3)
    assert all(sum(row) == 3 for rows in kept.values() for row in rows)
    run.enter(1, kept)
    run.supernet.use(run.relaxation.settled(run.architecture.alphas))
    assert run.t.net(torch.randn(2, 3, 16, 16)).isfinite().all()
    run.close()
