"""Take the result of a trial from a table of results: its score, its curves, and the time that it took there.

Nothing is trained and no image is opened.  The curve is reported epoch by epoch, so that early stopping can be
rehearsed, and `train_s` and `curve_seconds` are those of the table: a clock that counts what training would have cost.
What the table does not have is null.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Any

import spaces
from workers import score_table
from workers.methods._method import Epoch, Setting
from workers.recipes import Lookup as Recipe
from workers.score_table import VALUES, Cell
from workers.trial import Trial

_LISTS = tuple(name for name in VALUES if name.startswith("curve_"))


class LookupRun:
    """A result of a table, as a run with one epoch per value of its curve."""

    def __init__(self, found: Mapping[str, Any], source: str) -> None:
        self._found, self._source = found, source
        self._curve = found["curve_test_score"] or [_number(found["score_final"])]
        self.epochs = len(self._curve)

    def epoch(self, number: int, between: Callable[[], None]) -> Epoch:
        """The values of one epoch; the seconds are NaN where the table has none."""
        losses, seconds = self._found["curve_train_loss"], self._found["curve_seconds"]
        if not seconds:
            seconds = [_number(self._found["train_s"])] if self.epochs == 1 else None
        last = number == self.epochs - 1
        return Epoch(
            _at(losses, number) if losses else _number(self._found["train_loss"] if last else None),
            _at(self._curve, number),
            diverged=last and bool(self._found["diverged"]),
            seconds=_at(seconds, number),
        )

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Nothing to load."""

    def columns(self) -> dict[str, Any]:
        """The row of the table, and where it is from."""
        found = {name: self._found[name] for name in VALUES}
        for name in ("best_epoch", "epochs"):
            found[name] = None if found[name] is None else round(found[name])
        return {**found, "source": self._source, "repeats": self._found.get("repeats")}

    def weights(self) -> None:
        """None: nothing was trained here."""
        return

    def close(self) -> None:
        """Nothing to release."""


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _at(values: Sequence[float | None] | None, place: int) -> float:
    """A value of a curve, NaN where the table has none."""
    return _number(values[place]) if values and place < len(values) else math.nan


def mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of rows: of every number that all of them have, and of curves of one length."""
    found: dict[str, Any] = {"metric": rows[0]["metric"], "repeats": len(rows)}
    for name in VALUES:
        values = [row[name] for row in rows]
        if name in found:
            continue
        if any(value is None for value in values) or name == "best_epoch":
            found[name] = None
        elif name in _LISTS:
            alike = len({len(value) for value in values}) == 1
            found[name] = [fmean(map(_number, each)) for each in zip(*values, strict=True)] if alike else None
        else:
            found[name] = any(values) if name == "diverged" else fmean(values)
    return found


@lru_cache(maxsize=64)
def _cell(
    place: str, content: str, space: str, dataset: str, dataset_id: str | None, task: str, measured: str | None
) -> Cell:
    """A cell of a table with this content, read once per process; ValueError if the table has other rows now."""
    found = score_table.cell(place, space, dataset, dataset_id, task, measured)
    if found.content != content:
        raise ValueError(
            f"the rows of {place} are not those that were planned: content {found.content}, expected {content}; "
            "plan the study again for the table as it is now, or bring the old table back"
        )
    return found


def cell_of(trial: Trial, recipe: Recipe) -> Cell:
    """The cell of the table that a trial looks its result up in."""
    if recipe.table is None:
        raise ValueError('recipe lookup needs a table: override = { table = "runs/..." }')
    if recipe.content is None:
        raise ValueError("the content of the table is not known yet; see workers.run")
    return _cell(
        recipe.table, recipe.content, trial.space, trial.dataset, trial.dataset_id, trial.task, recipe.measured
    )


class Lookup:
    """The method `lookup`."""

    name = "lookup"

    def start(self, setting: Setting) -> LookupRun:
        """The result of a trial; LookupError where the table does not have it."""
        trial, recipe = setting.trial, setting.trial.recipe
        if not isinstance(recipe, Recipe):
            raise ValueError(f"a recipe of the method {recipe.method!r}; expected one of the method 'lookup'")
        cell = cell_of(trial, recipe)
        arch_id = spaces.get(trial.space).arch_id(trial.arch)
        rows = cell.find(trial.arch, arch_id, None if recipe.mean else trial.seed)
        if not rows:
            seeds = ", ".join(map(str, cell.seeds[:12]))
            what = "" if recipe.mean else f" with seed {trial.seed} (its seeds are {seeds})"
            raise LookupError(f"{cell.place} has no result of {trial.arch}{what}")
        if len(rows) > 1 and not recipe.mean:
            raise LookupError(
                f"{cell.place} has {len(rows)} results of {trial.arch} with seed {trial.seed}; expected one. "
                "`mean = true` takes their mean"
            )
        source = f"lookup:{cell.measured}#{recipe.content}"
        return LookupRun(mean(rows) if recipe.mean else rows[0] | {"repeats": None}, source)


METHOD = Lookup()
