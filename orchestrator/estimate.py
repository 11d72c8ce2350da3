"""How long and how large a study will be, before and while it runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

from orchestrator.plan import own_of
from orchestrator.store import RunStore
from workers import datasets, tasks
from workers.recipes import Recipe

# Multiply-adds a second that a training of these networks reaches, for a first guess: one core of a current server
# CPU, and one H200-class GPU in fp32.  A step's hundreds of small kernels take a GPU some time whatever their size.
# Rows of the same study replace the guess.
GUESS = {"cpu": 25e9, "gpu": 15e12}
LEAST_STEP_S = {"cpu": 0.0, "gpu": 0.010}


@dataclass(frozen=True)
class Estimate:
    """Seconds of one device for the trials that are left, and where the figure comes from."""

    seconds: float
    basis: str


def recipe_of(row: Mapping[str, Any]) -> Recipe:
    """The recipe of a plan row or a result."""
    return _recipe(row["recipe_json"] or "")


@lru_cache(maxsize=1024)
def _recipe(text: str) -> Recipe:
    return Recipe.read("", text)


def multiply_adds(row: Mapping[str, Any], recipe: Recipe) -> float:
    """Of a whole training: forward and backward over the training split, statistics, and the evaluations."""
    dataset, task = _dataset(row), tasks.get(row["task"]).configured(recipe)
    train, test = _images(row)
    a_step = 3 * train + recipe.precise_bn + test * task.test_work(dataset)
    return float(row["macs"]) * task.views * a_step * recipe.epochs


def _dataset(row: Mapping[str, Any]) -> datasets.Dataset:
    return own_of(row) or datasets.get(row["dataset"])


def _images(row: Mapping[str, Any]) -> tuple[int, int]:
    """Training and test images that the plan saw; those of the published set where it does not say."""
    if row.get("train_images") and row.get("test_images"):
        return row["train_images"], row["test_images"]
    dataset = _dataset(row)
    return round(dataset.train_images * datasets.Choice.of(row["dataset_id"]).fraction), dataset.test_images


def _guess(row: Mapping[str, Any], recipe: Recipe, device: str) -> float:
    """Seconds of a training that nothing is known of but its size."""
    steps = recipe.epochs * _images(row)[0] // recipe.batch
    return max(multiply_adds(row, recipe) / GUESS[device], steps * LEAST_STEP_S[device])


def rate_of(store: RunStore) -> dict[tuple[str, str], float]:
    """Median seconds per multiply-add of the finished trials, by (space, task)."""
    columns = [
        "trial_id",
        "status",
        "space",
        "task",
        "dataset",
        "dataset_id",
        "macs",
        "train_s",
        "recipe_json",
        "diverged",
    ]
    found: dict[tuple[str, str], list[float]] = {}
    planned = store.plan()
    about = [] if planned is None else [c for c in ("own", "train_images", "test_images") if c in planned.column_names]
    known = {row["dataset_id"]: row for row in planned.select(["dataset_id", *about]).to_pylist()} if planned else {}
    for row in store.attempts(columns).to_pylist():
        row |= known.get(row["dataset_id"], {})
        if row["status"] != "ok" or row["diverged"] or not row["train_s"] or not row["macs"]:
            continue
        try:
            work = multiply_adds(row, recipe_of(row))
        except (ValueError, LookupError):
            continue  # of a dataset or recipe that this version does not know: says nothing about what is left
        found.setdefault((row["space"], row["task"]), []).append(row["train_s"] / work)
    return {cell: median(values) for cell, values in found.items()}


def estimate(rows: Iterable[Mapping[str, Any]], rates: Mapping[tuple[str, str], float], device: str) -> Estimate:
    """Device seconds for these plan rows; `device` is cpu or gpu."""
    total, measured, count = 0.0, 0, 0
    for row in rows:
        recipe = recipe_of(row)
        rate = rates.get((row["space"], row["task"]))
        count += 1
        measured += rate is not None
        total += _guess(row, recipe, device) if rate is None else multiply_adds(row, recipe) * rate
    if not count:
        basis = "nothing is left"
    elif measured == count:
        basis = "from this study's finished trials"
    elif measured:
        basis = f"{measured} of {count} from finished trials, the rest guessed from multiply-adds"
    else:
        basis = f"guessed: multiply-adds at {GUESS[device] / 1e9:,.0f} G/s a {device}"
    return Estimate(total, basis)


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 12 min, 3.4 h, 1,200 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 100 else f"{hours:,.0f} h"
