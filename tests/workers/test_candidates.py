"""Random search and evolution on a zero-cost proxy: what is proposed, what is found, stops."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import spaces
import workers
from workers import recipes
from workers.methods._candidates import Scored
from workers.methods.evolution import proposing

NB201 = spaces.searchable("nasbench201")


def search(method: str, space: str = "nasbench201", seed: int = 1, **changes: Any) -> workers.Trial:
    recipe = workers.recipe(f"{method}/params", space=space, dataset="scenes", task="cls")
    recipe = recipe.replace(**{"candidates": 12, "generation": 5} | changes)
    fields: dict[str, Any] = {"dataset": "scenes", "dataset_id": workers.datasets.get("scenes").published_id}
    return workers.Trial(space=space, arch="*", task="cls", seed=seed, recipe=recipe, **fields)


def params(arch: str, trial: workers.Trial) -> int:
    recipe = trial.recipe
    assert isinstance(recipe, recipes.RandomSearch | recipes.Evolution)
    return workers.cost(trial.model_copy(update={"arch": arch, "recipe": recipe.scored}))[0]


@pytest.mark.parametrize("space", ["nasbench201", "nasbench101", "chain"])
def test_random_search_finds_the_best_of_its_draws_in_any_space(space: str) -> None:
    trial = search("random_search", space)
    row = workers.run(trial)
    assert (row["arch"], row["method"], row["metric"], row["epochs"]) == ("*", "random_search", "params", 3)
    assert row["score_best"] == row["score_final"] == params(row["found"], trial)
    assert row["found_arch_id"] == spaces.get(space).arch_id(row["found"])
    assert [json.loads(graph) for graph in row["curve_graph"]] == list(map(spaces.get(space).graph, row["curve_found"]))
    best = [params(arch, trial) for arch in row["curve_found"]]
    assert best == sorted(best) == row["curve_test_score"]
    assert workers.run(search("random_search", space, candidates=5))["curve_found"] == row["curve_found"][:1]
    assert row["train_loss"] is None
    assert row["params"] > 0


def test_the_seed_decides_what_is_drawn() -> None:
    found = {workers.run(search("random_search", seed=seed, candidates=1))["found"] for seed in range(1, 6)}
    assert len(found) > 1


def test_evolution_mutates_the_best_of_a_tournament_among_the_newest() -> None:
    rng = np.random.default_rng(0)
    archs = spaces.sample(NB201, 6, 0).archs
    scored = [Scored(arch, score) for arch, score in zip(archs, (9.0, 1.0, 2.0, float("nan"), 4.0, 3.0), strict=True)]
    propose = proposing(NB201, population=4, tournament=4)
    parents = Counter(
        min(archs, key=lambda arch, child=propose(scored, rng): difference(arch, child))  # type: ignore[misc]
        for _ in range(20)
    )
    assert set(parents) == {archs[4]}  # the first two have left, though one of them is the best
    drawn = proposing(NB201, population=7, tournament=1)(scored, np.random.default_rng(3))
    assert drawn == NB201.sample(np.random.default_rng(3))  # still in the random part
    any_parent = {parent(archs[2:], proposing(NB201, 4, 1)(scored, rng)) for _ in range(60)}
    assert any_parent == set(archs[2:])


@pytest.mark.parametrize("method", ["random_search", "evolution"])
def test_candidates_keep_the_limits_of_size_and_the_best_ones_are_named(method: str) -> None:
    changes: dict[str, Any] = {"candidates": 30, "generation": 10} | (
        {"population": 6, "tournament": 3} if method == "evolution" else {}
    )
    free = workers.run(search(method, **changes))
    trial = search(method, **changes)
    sizes = [params(arch, trial) for arch in free["found_top"]]
    assert free["found"] == free["found_top"][0]
    assert len(set(free["found_top"])) == len(sizes) == 10
    assert sizes == sorted(sizes, reverse=True)
    limit = sizes[-1] - 1
    trial = search(method, **changes, most_params=limit)
    found = workers.run(trial)
    assert trial.recipe.id != search(method, **changes).recipe.id
    assert all(params(arch, trial) <= limit for arch in found["found_top"])
    macs = workers.cost(trial.model_copy(update={"arch": found["found"], "recipe": trial.recipe.scored}))[1]
    lighter = workers.run(search(method, **changes, most_macs=macs - 1))
    assert found["found"] not in lighter["found_top"]
    with pytest.raises(ValueError, match="none of 1,000 proposed architectures has at most 1 parameters"):
        workers.run(search(method, **changes, most_params=1))


def looked_up(method: str, table: Path, seed: int = 1, **changes: Any) -> workers.Trial:
    recipe = workers.recipe(f"{method}/lookup", space="nasbench201", dataset="scenes", task="cls")
    sizes = {"candidates": 200, "generation": 50, "table": str(table), "measured": "long"}
    where: dict[str, Any] = {"dataset": "scenes", "dataset_id": workers.datasets.get("scenes").published_id}
    recipe = recipe.replace(**sizes | changes)
    return workers.Trial(space="nasbench201", arch="*", task="cls", seed=seed, recipe=recipe, **where)


@pytest.mark.parametrize("method", ["random_search", "evolution"])
def test_scores_of_a_table_lead_to_its_best_architecture(method: str, tmp_path: Path) -> None:
    """A score with one optimum: the cells that have no pooling; it counts the 3x3 convolutions, the mean over seeds."""
    archs = [arch for arch in spaces.enumerable("nasbench201").archs() if "pool" not in arch and "none" not in arch]
    rows = [
        {"arch": arch, "recipe": name, "seed": seed, "score_best": arch.count("conv_3x3") + (2 * seed - 3) / 10}
        for arch in archs
        for name in ("long", "short")
        for seed in (1, 2)
    ]
    table = pd.DataFrame(rows).assign(space="nasbench201", dataset="scenes", task="cls")
    table.to_parquet(tmp_path / "table.parquet")
    sizes = {"candidates": 600, "population": 30, "tournament": 10} if method == "evolution" else {}
    trial = looked_up(method, tmp_path / "table.parquet", **sizes)
    row = workers.run(trial)
    assert set(row["found_top"]) <= set(archs)
    best = [arch.count("conv_3x3") for arch in row["found_top"]]
    assert best == sorted(best, reverse=True)
    assert row["score_best"] == best[0]
    if method == "evolution":
        assert best[0] == 6
        assert best[1] == 5
    (tmp_path / "moved").mkdir()
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "moved/other.parquet")
    moved = workers.run(looked_up(method, tmp_path / "moved/other.parquet", **sizes))
    assert (moved["trial_id"], moved["found"]) == (row["trial_id"], row["found"])
    table.assign(score_best=table["score_best"] + 1).to_parquet(tmp_path / "table.parquet")
    assert workers.run(trial)["trial_id"] != row["trial_id"]


def test_searches_that_look_up_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"recipe evolution/lookup needs a table: override = \{ table"):
        workers.run(
            looked_up("evolution", tmp_path).model_copy(
                update={"recipe": workers.recipe("evolution/lookup", space="nasbench201", dataset="scenes", task="cls")}
            )
        )
    with pytest.raises(ValueError, match="table, measured: settings of lookup, and the score is params"):
        search("evolution", table="runs/x", measured="long")
    few = pd.DataFrame({"arch": ["none"], "recipe": "long", "score_best": 1.0})
    few.assign(space="nasbench201", dataset="scenes", task="cls").to_parquet(tmp_path / "few.parquet")
    with pytest.raises(ValueError, match=r"none of 1,000 proposed architectures is in the table .*few\.parquet$"):
        workers.run(looked_up("random_search", tmp_path / "few.parquet"))


def difference(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one.split("|"), other.split("|"), strict=True))


def parent(archs: tuple[str, ...], child: str) -> str:
    return min(archs, key=lambda arch: difference(arch, child))


def test_evolution_is_better_than_random_search_with_as_many_candidates() -> None:
    """Of the largest network, which has six 3x3 convolutions."""
    sizes: dict[str, Any] = {"candidates": 150, "generation": 50}
    found = workers.run(search("evolution", population=20, tournament=5, **sizes))["score_best"]
    assert found > workers.run(search("random_search", **sizes))["score_best"]
    assert found == 1_531_546


def test_a_search_stopped_after_every_candidate_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = search("evolution", population=4, tournament=2)
    whole = workers.run(trial)
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)
    stops = 0
    while True:
        try:
            row = workers.run(trial, checkpoint_url=str(tmp_path / "c.pt"), stop=lambda: True)
            break
        except workers.Interrupted:
            stops += 1
    assert stops == 12 + 2  # after every candidate and between epochs
    for name in ("found", "curve_found", "curve_test_score", "score_best", "best_epoch"):
        assert row[name] == whole[name]


def test_recipes_are_read_back_and_impossible_ones_refused() -> None:
    trial = search("evolution")
    assert recipes.read("x", trial.recipe.json_text).facts == trial.recipe.facts
    with pytest.raises(ValueError, match="tournament = 25 is more than population = 10"):
        search("evolution", population=10)
    with pytest.raises(LookupError, match="no proxy 'accuracy'"):
        workers.recipe("random_search/accuracy", space="chain", dataset="scenes", task="cls")
    with pytest.raises(LookupError, match="space 'chain' has no supernet"):
        search("evolution", space="chain")
