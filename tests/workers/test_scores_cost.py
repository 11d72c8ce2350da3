"""Parameters and multiply-adds as scores: the closed forms of NAS-Bench-201, and scores without images."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

import workers
from spaces.nasbench201.cell import OPS, write
from workers import datasets

# Published FLOPs of the benchmark: a constant, then per 3x3 convolution, 1x1 convolution and pooling of the cell.
FLOPS = {
    "cifar10": (7_943_872, 35_819_520, 4_362_240, 1_290_240),
    "cifar100": (7_949_632, 35_819_520, 4_362_240, 1_290_240),
    "imagenet16_120": (1_993_792, 8_954_880, 1_090_560, 322_560),
}


def trial(arch: str, proxy: str, dataset: str = "cifar10", task: str = "cls", **changes: Any) -> workers.Trial:
    recipe = workers.recipe(f"zero_cost/{proxy}", space="nasbench201", dataset=dataset, task=task).replace(**changes)
    known = datasets.get(dataset).published_id or "unread"
    return workers.Trial(space="nasbench201", arch=arch, dataset=dataset, task=task, recipe=recipe, dataset_id=known)


def counted_besides(side: int, convolutions: int, pools: int) -> int:
    """What the benchmark counts as FLOPs that are no multiply-adds of convolutions and linear layers.

    Three per value of a batch norm; per value of a pooling the pixels of its window; per channel of the last feature
    map, twice its side and one.
    """
    maps = [(16 << stage) * (side >> stage) ** 2 for stage in range(3)]  # values of a feature map
    outside = 3 * (maps[0] + 2 * maps[1] + 2 * maps[2] + maps[2])  # stem, two reductions, last norm
    shortcuts = 4 * (maps[0] // 4 + maps[1] // 4)
    return outside + shortcuts + 64 * (side // 2 + 1) + 5 * sum(maps) * (3 * convolutions + 9 * pools)


@pytest.mark.parametrize("dataset", sorted(FLOPS))
def test_all_cells_of_nasbench201_have_the_published_parameters_and_flops(dataset: str) -> None:
    base, per3, per1, per_pool = FLOPS[dataset]
    facts = datasets.get(dataset)
    first = trial(write(("none",) * 6), "params", dataset)
    for cell in product(OPS, repeat=6):
        n3, n1, pools = (cell.count(op) for op in ("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"))
        params, macs = workers.cost(first.model_copy(update={"arch": write(cell)}))
        assert params == 73_306 + 65 * (facts.classes - 10) + 243_040 * n3 + 28_000 * n1, cell
        besides = counted_besides(facts.size, n3 + n1, pools)
        assert macs + besides == base + per3 * n3 + per1 * n1 + per_pool * pools, cell


def test_a_score_without_images_is_a_row_of_its_method_on_a_machine_without_data(tmp_path: Path) -> None:
    cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|avg_pool_3x3~2|"
    for proxy, value in (("params", 830_426), ("flops", 7_783_040 + 3 * 35_389_440 + 3_932_160)):
        t = trial(cell, proxy)
        row = workers.run(t, tmp_path / "nothing", cache_dir=tmp_path / "cache")
        assert (row["method"], row["metric"], row["recipe"]) == ("score", proxy, f"zero_cost/{proxy}")
        assert row["score_best"] == row["score_final"] == value == row["params" if proxy == "params" else "macs"]
        assert (row["status"], row["epochs"], row["best_epoch"], row["diverged"]) == ("ok", 1, 1, False)
        assert row["error_text"] is None
        assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("alias", "name"), [("jacob_cov", "jacov"), ("naswot", "nwot"), ("synflow", "synflow")])
def test_a_proxy_is_stored_under_one_name(alias: str, name: str) -> None:
    found = workers.recipe(f"zero_cost/{alias}", space="darts", dataset="cifar10", task="cls")
    assert found.name == f"zero_cost/{name}"
    assert found == workers.recipe(f"zero_cost/{name}", space="darts", dataset="cifar10", task="cls")


def test_an_override_of_the_batch_leaves_a_proxy_without_images_as_it_is() -> None:
    plain, reads = (
        workers.recipe(f"zero_cost/{name}", space="chain", dataset="photos", task="cls") for name in ("params", "snip")
    )
    assert plain.replace(batch=8).id == plain.id
    assert reads.replace(batch=8).id != reads.id
    assert workers.recipes.read(reads.name, reads.json_text) == reads
    with pytest.raises(ValueError, match=r"no 'epochs'; it has .*batch"):
        reads.replace(epochs=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zero_cost/nothing", r"params, flops.*jacob_cov for jacov"),
        ("zero_cost", "needs a variant, as in zero_cost/params"),
        ("demo/x", "demo has no variants"),
    ],
)
def test_a_wrong_variant_is_answered_with_the_known_ones(text: str, said: str) -> None:
    with pytest.raises(LookupError, match=said):
        workers.recipe(text, space="chain", dataset="photos", task="cls")
