"""Memory stays flat while one process scores ten thousand architectures.  Run by `make soak`; minutes."""

import gc
import itertools
from pathlib import Path
from typing import Any

import pytest

import workers
from spaces.nasbench201.cell import OPS, write
from workers import memory

ARCHITECTURES = 10_000
MOST = 16 * 2**20  # bytes; a network of these has 0.3 MB of weights, its batch 12 MB of maps


def resident() -> int:
    """Bytes of this process that are resident, after a collection."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("proxy", "settings"), [("params", {}), ("synflow", {"width": 4, "depth": 1}), ("snip", {"width": 4, "depth": 1})]
)
def test_memory_is_flat_over_ten_thousand_architectures(proxy: str, settings: dict[str, Any], tmp_path: Path) -> None:
    recipe = workers.recipe(f"zero_cost/{proxy}", space="nasbench201", dataset="photos", task="cls")
    recipe = recipe.replace(**settings, batch=4)
    dataset_id = workers.datasets.identify("photos")
    memory.freeze_collector()
    seen = []
    for number, cell in enumerate(itertools.islice(itertools.product(OPS, repeat=6), 3_000, 3_000 + ARCHITECTURES)):
        if number % 1_000 == 0:
            seen.append(resident())
        trial = workers.Trial(
            space="nasbench201", arch=write(cell), dataset="photos", task="cls", recipe=recipe, dataset_id=dataset_id
        )
        assert workers.attempt(trial, cache_dir=tmp_path)["status"] == "ok"
    seen.append(resident())
    print(f"{proxy}: resident MB after every thousand: {', '.join(f'{byte / 2**20:.0f}' for byte in seen)}")
    assert seen[-1] - seen[1] < MOST  # the first thousand fill caches
