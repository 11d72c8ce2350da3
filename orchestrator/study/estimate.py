"""Estimates of the time that the trials of a study take, before and while it runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any, NamedTuple

from orchestrator.store.run_folder import RunStore
from orchestrator.study.plan import own_of
from workers import datasets, tasks
from workers.recipes import AnyRecipe, Sgd, read

# First guess: multiply-adds per second that the training of wide networks reaches, on one core of a current server CPU
# and on one H200-class GPU in fp32.  Networks with fewer channels than WIDE reach proportionally less: networks of 4
# and 8 channels were measured at 2 to 4 and 8 to 17 G/s per core.  In addition, seconds per step (hundreds of small
# operations; a GPU runs them while it computes) and per trial: building the network, reading data, writing the row,
# moving to a device.  All are orders of magnitude; finished trials of the same study replace the guess.
GUESS = {"cpu": 25e9, "gpu": 15e12}
WIDE = {"cpu": 20, "gpu": 64}
STEP_S = {"cpu": 0.005, "gpu": 0.010}
TRIAL_S = {"cpu": 1.0, "gpu": 5.0}
# Of trials that train nothing; they open their data once per process.  Measured: 0.01 s for a lookup, in one process.
UNTRAINED_S = {"cpu": 0.03, "gpu": 0.2}


class Pace(NamedTuple):
    """Medians over the finished trials of a cell: seconds per multiply-add in training, other seconds per trial."""

    training: float
    besides: float


@dataclass(frozen=True)
class Estimate:
    """Seconds of one device for the trials that are left, and the basis of the estimate."""

    seconds: float
    device: str  # cpu or gpu
    count: int = 0  # trials
    measured: int = 0  # trials whose time follows from finished ones
    trained: int = 0  # trials that train

    @property
    def basis(self) -> str:
        """What the seconds were computed from."""
        if not self.count:
            return "nothing is left"
        if self.measured == self.count:
            return "from this study's finished trials"
        if self.measured:
            return f"{self.measured:,} of {self.count:,} from finished trials, the rest an order of magnitude"
        least = TRIAL_S if self.trained else UNTRAINED_S
        return (
            f"an order of magnitude, guessed: {least[self.device]:g} s per trial, {STEP_S[self.device] * 1000:g} ms "
            f"per step, up to {GUESS[self.device] / 1e9:,.0f} G multiply-adds/s per {self.device}"
        )


def total(parts: Iterable[Estimate], device: str) -> Estimate:
    """The sum of estimates for one device."""
    found = list(parts)
    counts = (sum(getattr(p, name) for p in found) for name in ("count", "measured", "trained"))
    return Estimate(sum(p.seconds for p in found), device, *counts)


def recipe_of(row: Mapping[str, Any]) -> AnyRecipe:
    """The recipe of a plan row or a result."""
    return _recipe(row["recipe_json"] or "")


def trains(recipe: AnyRecipe) -> bool:
    """Whether a trial trains a network: an architecture, or the supernet of a search."""
    return isinstance(recipe, Sgd)


@lru_cache(maxsize=1024)
def _recipe(text: str) -> AnyRecipe:
    return read("", text)


def multiply_adds(row: Mapping[str, Any], recipe: AnyRecipe) -> float:
    """Multiply-adds of a trial; of a training: forward and backward passes, batch norm statistics, evaluations."""
    return float(row["macs"]) * _passes(recipe, row["task"], row["dataset"], _own(row), *_images(row))


@lru_cache(maxsize=4_096)
def _passes(recipe: AnyRecipe, task: str, name: str, own: str | None, train: int, test: int) -> float:
    """Forward passes of one element of a batch that take as long as a trial; the same for all architectures."""
    found = tasks.get(task).configured(recipe)
    dataset = datasets.get(name) if own is None else own_of({"own": own})
    assert dataset is not None
    return float(found.views * recipe.passes(train, test * found.test_work(dataset)))


def _own(row: Mapping[str, Any]) -> str | None:
    """The facts of a custom dataset in a plan row, as text."""
    facts = row.get("own")
    return facts if isinstance(facts, str) else None


def _dataset(row: Mapping[str, Any]) -> datasets.Dataset:
    return own_of(row) or datasets.get(row["dataset"])


def _images(row: Mapping[str, Any]) -> tuple[int, int]:
    """Numbers of training and test images according to the plan, else those of the published dataset."""
    if row.get("train_images") and row.get("test_images"):
        return row["train_images"], row["test_images"]
    dataset = _dataset(row)
    return round(dataset.train_images * datasets.Form.of(row["dataset_id"]).fraction), dataset.test_images


def _guess(row: Mapping[str, Any], recipe: AnyRecipe, device: str) -> float:
    """Seconds of a trial, estimated from its size alone."""
    stepping = recipe.steps(_images(row)[0]) * STEP_S[device]
    computing = multiply_adds(row, recipe) / (GUESS[device] * min((recipe.width or WIDE[device]) / WIDE[device], 1.0))
    least = TRIAL_S if trains(recipe) else UNTRAINED_S
    return least[device] + (max(stepping, computing) if device == "gpu" else stepping + computing)


def rate_of(store: RunStore) -> dict[tuple[str, str, str], Pace]:
    """The pace of the finished trials, by space, task, and the method or the score that it computes."""
    columns = [
        "trial_id",
        "status",
        "space",
        "task",
        "dataset",
        "dataset_id",
        "macs",
        "train_s",
        "wall_s",
        "recipe_json",
        "diverged",
    ]
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    planned = store.plan()
    about = [] if planned is None else [c for c in ("own", "train_images", "test_images") if c in planned.column_names]
    known = {row["dataset_id"]: row for row in planned.select(["dataset_id", *about]).to_pylist()} if planned else {}
    for row in store.attempts(columns).to_pylist():
        row |= known.get(row["dataset_id"], {})
        if row["status"] != "ok" or row["diverged"] or not row["macs"]:
            continue
        try:
            recipe = recipe_of(row)
            work = multiply_adds(row, recipe)
        except (ValueError, LookupError):
            continue  # a dataset or recipe that this version does not know
        spent = 0.0 if recipe.rehearsed else row["train_s"]
        if spent is None or not (work or recipe.rehearsed):
            continue
        besides = max((row["wall_s"] or 0.0) - spent, 0.0)
        key = row["space"], row["task"], recipe.measures or recipe.method
        found.setdefault(key, []).append((spent / work if work else 0.0, besides))
    return {cell: Pace(*map(median, zip(*values, strict=True))) for cell, values in found.items()}


def estimate(rows: Iterable[Mapping[str, Any]], rates: Mapping[tuple[str, str, str], Pace], device: str) -> Estimate:
    """Device seconds for these plan rows; `device` is cpu or gpu."""
    seconds, measured, count, trained = 0.0, 0, 0, 0
    for row in rows:
        recipe = recipe_of(row)
        rate = rates.get((row["space"], row["task"], recipe.measures or recipe.method))
        count += 1
        trained += trains(recipe)
        measured += rate is not None
        if rate is None:
            seconds += _guess(row, recipe, device)
        else:
            seconds += rate.besides + rate.training * multiply_adds(row, recipe)
    return Estimate(seconds, device, count, measured, trained)
