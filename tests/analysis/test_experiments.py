"""Random experiments with a proxy: the procedure of the paper, and the limit of infinitely many repeats."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import population, row

import analysis
from analysis.drawing.experiment_curves import curves

SCORES = st.integers(0, 4).map(float)  # few values: ties are the hard part


def two_cells(proxy: list[float], target: list[float], **more: Any) -> pd.DataFrame:
    """Architectures whose texts are in the order given, on two datasets."""
    rows = []
    for k, (p, t) in enumerate(zip(proxy, target, strict=True)):
        rows.append(row(arch=f"a{k:04d}", dataset="cifar10", task="rot", score_best=p, **more))
        rows.append(row(arch=f"a{k:04d}", dataset="imagenet", task="cls", score_best=t, **more))
    return pd.DataFrame(rows)


@settings(max_examples=12)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=6), st.randoms())
def test_the_limit_is_the_mean_over_all_orders_of_drawing(pairs: list[tuple[float, float]], shuffle: Any) -> None:
    proxy, target = map(list, zip(*pairs, strict=True))
    n = len(pairs)
    rows = two_cells(proxy, target).sample(frac=1, random_state=shuffle.randint(0, 99))
    found = analysis.random_experiment(rows, sizes=range(1, n + 1)).set_index("m")
    for m in range(1, n + 1):
        bests = [
            target[max(order, key=lambda k: proxy[k])]  # max keeps the first drawn of equal ones
            for order in itertools.permutations(range(n), m)
        ]
        assert found.loc[m, "expected"] == pytest.approx(np.mean(bests))
        assert found.loc[m, "expected_std"] == pytest.approx(np.std(bests), abs=1e-7)


@settings(max_examples=12)
@given(st.integers(1, 40), st.integers(0, 5), st.sampled_from([None, 3]))
def test_draws_are_those_of_the_paper(n: int, seed: int, repeats: int | None) -> None:
    draw = np.random.default_rng(n)
    proxy, target = draw.integers(0, 6, n).astype(float), draw.normal(size=n)
    df = two_cells(list(proxy), list(target))
    found = analysis.random_experiment(df, seed=seed, repeats=repeats)
    names = sorted(set(df["arch"]))
    np.random.seed(seed)  # noqa: NPY002  (as the release did)
    wanted = []
    for m in [2**k for k in range(9) if 2**k <= n]:
        bests = []
        for _ in range(repeats or math.ceil(500 / m)):
            drawn = np.random.choice(names, m, replace=False)  # noqa: NPY002
            best = max(drawn, key=lambda name: proxy[names.index(name)])
            bests.append(target[names.index(best)])
        wanted.append((m, len(bests), np.mean(bests), np.std(bests)))
    assert found["m"].tolist() == [w[0] for w in wanted]
    assert found["repeats"].tolist() == [w[1] for w in wanted]
    assert found[["mean", "std"]].to_numpy() == pytest.approx(np.array([w[2:] for w in wanted]))


def test_more_repeats_come_nearer_to_the_limit() -> None:
    df = pd.DataFrame(population(60, datasets=("cifar10", "imagenet"), tasks=("cls",)))
    found = analysis.random_experiment(df, target={"dataset": "imagenet"}, repeats=1000)
    error = (found["mean"] - found["expected"]).abs()
    assert (error < 5 * found["expected_std"] / math.sqrt(1000) + 1e-12).all()
    assert found["expected"].is_monotonic_increasing


def test_a_proxy_that_agrees_finds_the_best_and_one_that_is_constant_finds_nothing() -> None:
    scores = [float(k) for k in range(100)]
    same = analysis.random_experiment(two_cells(scores, scores), sizes=[10, 100])
    assert same["expected"].tolist() == pytest.approx([(100 + 1) * 10 / 11 - 1, 99])  # maximum of 10 of 1..100
    flat = analysis.random_experiment(two_cells([0.5] * 100, scores), sizes=[1, 10, 100])
    assert flat["expected"].tolist() == pytest.approx([49.5] * 3)


def test_by_default_every_task_of_another_dataset_is_a_proxy_for_classification() -> None:
    rows = population(12, datasets=("cifar10",)) + population(12, datasets=("imagenet",), tasks=("cls",), rng=1)
    found = analysis.random_experiment(pd.DataFrame(rows))
    to_imagenet = found[found["target_dataset"] == "imagenet"]
    assert set(to_imagenet["proxy_task"]) == {"cls", "rot", "col", "jig"}
    assert set(to_imagenet["proxy_dataset"]) == {"cifar10"}
    assert set(found.loc[found["target_dataset"] == "cifar10", "proxy_dataset"]) == {"imagenet"}
    assert (found["target_task"] == "cls").all()
    chosen = analysis.random_experiment(
        pd.DataFrame(rows), proxy={"task": "rot"}, target={"dataset": "cifar10", "task": "cls"}
    )
    assert set(chosen["proxy_dataset"]) == {"cifar10"}, "a proxy asked for may lie on the target's dataset"
    with pytest.raises(LookupError, match=r"no cell is .*'svhn'"):
        analysis.random_experiment(pd.DataFrame(rows), target={"dataset": "svhn"})
    with pytest.raises(LookupError, match="has no tasks; it has dataset, task"):
        analysis.random_experiment(pd.DataFrame(rows), target={"tasks": "cls"})


def test_each_pair_uses_its_own_architectures_and_counts_the_others() -> None:
    rows = population(10, datasets=("cifar10", "imagenet"), tasks=("cls", "rot"))
    rows = [r for r in rows if not (r["task"] == "rot" and r["arch"] in ("darts0001", "darts0002"))]
    next(r for r in rows if r["dataset"] == "imagenet" and r["task"] == "cls")["score_best"] = math.nan
    found = analysis.random_experiment(pd.DataFrame(rows), target={"dataset": "imagenet", "task": "cls"})
    counts = found.drop_duplicates("proxy_task").set_index("proxy_task")
    assert counts.loc["cls", ["n", "n_dropped"]].tolist() == [9, 1], "a target that diverged has no score to find"
    assert counts.loc["rot", ["n", "n_dropped"]].tolist() == [7, 3]


def test_nothing_to_compare_is_an_empty_table() -> None:
    one = analysis.random_experiment(pd.DataFrame(population(5)))
    assert one.empty
    assert list(one) == list(analysis.random_experiment(pd.DataFrame(population(5, datasets=("a", "b")))))
    assert curves(one) == []


@pytest.mark.figures
def test_a_panel_a_space_and_a_line_a_proxy(tmp_path: Path) -> None:
    rows = population(30, spaces=("darts", "my $space"), datasets=("cifar10",))
    rows += population(30, spaces=("darts", "my $space"), datasets=("imagenet",), tasks=("cls",), rng=1)
    experiments = analysis.random_experiment(pd.DataFrame(rows))
    drawn = {one.name: one for one in curves(experiments)}
    assert set(drawn) == {"experiment-cifar10-imagenet", "experiment-imagenet-cifar10"}
    one = drawn["experiment-cifar10-imagenet"]
    assert len(one.figure.axes) == 2
    for ax, space in zip(one.figure.axes, ("darts", "my $space"), strict=True):
        texts = [t.get_text() for t in ax.get_legend().get_texts()]
        assert sorted(texts) == ["classification", "colorization", "jigsaw", "rotation"]
        lines = experiments[(experiments["space"] == space) & (experiments["target_dataset"] == "imagenet")]
        shown = {tuple(line.get_ydata()) for line in ax.lines}
        for _, group in lines.groupby("proxy_task"):
            assert tuple(group["expected"] * 100) in shown
            assert tuple(group["mean"] * 100) in shown
        assert ax.get_ylabel().replace("\n", " ") == "ImageNet classification (%)"
    analysis.figures.save(one.figure, tmp_path, one.name)
    assert (tmp_path / f"{one.name}.png").read_bytes().startswith(b"\x89PNG")


def test_percent_is_shown_as_it_is_and_called_so() -> None:
    scores = [float(k) for k in range(20)]
    df = two_cells(scores, scores, metric="top1_percent")
    (one,) = curves(analysis.random_experiment(df))
    (ax,) = one.figure.axes
    assert ax.get_ylabel().replace("\n", " ") == "ImageNet classification (%)"
    assert ax.lines[0].get_ydata()[0] == pytest.approx(9.5)
