"""The state of a run, read from its files alone."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestrator.store import lease, scores, trial_states
from orchestrator.store.recipe_names import COLUMNS, named
from orchestrator.store.run_folder import RunStore
from orchestrator.store.scores import Scores
from orchestrator.store.trial_states import Ledger
from orchestrator.store.waiting import Readiness, Waits

CELL = ("space", "dataset", "task", "recipe")
STATES = ("done", "left", "waiting", "failed", "quarantined")


@dataclass(frozen=True)
class Group:
    """Trials whose last attempts failed in the same way: error class, last line of the traceback, trial ids."""

    error_class: str
    line: str
    trial_ids: list[str]


@dataclass(frozen=True)
class Status:
    """Counts by cell and state, failures by class and last line of the traceback, the driver at work, and the scores of
    cells with finished trials."""

    url: str
    cells: dict[tuple[str, ...], Counter[str]]
    failures: list[Group]  # of trials that have no row yet; the largest group of the largest class first
    holder: str | None
    stopping: bool
    planned: bool = True  # else imported
    left_out: int = 0  # trials with an ok row that the plan does not hold
    scores: dict[tuple[str, ...], Scores] = field(default_factory=dict)
    waiting: Waits = field(default_factory=Waits)
    stuck: list[str] = field(default_factory=list)  # a sentence for each trial that others wait for in vain

    def count(self, state: str | None = None) -> int:
        """Trials in a state, or all."""
        return sum(c[state] if state else c.total() for c in self.cells.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {
            "run": self.url,
            "total": self.count(),
            **{state: self.count(state) for state in STATES},
            "left_out": self.left_out,
            "waiting_for": self.waiting.searches,
            "waiting_for_weights": self.waiting.weights,
            "cells": [
                {
                    **dict(zip(CELL, cell, strict=True)),
                    **{s: counts[s] for s in STATES},
                    "scores": self.scores[cell].as_json() if cell in self.scores else None,
                }
                for cell, counts in self.cells.items()
            ],
            "failures": [asdict(group) | {"count": len(group.trial_ids)} for group in self.failures],
            "driver": self.holder,
            "stopping": self.stopping,
        }


def status(store: RunStore) -> Status:
    """The state of every planned trial of a run; without a plan, of every trial that has rows (they were imported).

    FileNotFoundError where there is neither.
    """
    wanted = ["trial_id", "arch", *COLUMNS, "base"]
    for columns in (wanted, wanted[:-1], ["trial_id", *CELL]):  # plans of earlier versions have fewer
        try:
            plan = store.plan(columns)
            break
        except ValueError:
            if len(columns) == 1 + len(CELL):
                raise
    planned = plan is not None
    if plan is None and store.listing("rows"):
        plan = store.attempts(columns).group_by(columns).aggregate([])
        plan = plan.sort_by([(name, "ascending") for name in CELL])
    if plan is None:
        raise FileNotFoundError(f"{store.url} is not a run: it has no plan.parquet; `archsweep run` creates one")
    attempts = store.attempts([*trial_states.COLUMNS, *scores.COLUMNS])
    ledger = Ledger.of(store, attempts)
    cells: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    failures: dict[tuple[str, str], list[str]] = defaultdict(list)
    trial_ids = plan["trial_id"].to_pylist()
    rows = plan.to_pylist()
    ready = Readiness.of(store, ledger, rows)
    states = [ready.state(row) for row in rows]
    called = named(rows) if "recipe_id" in columns else {}
    of_trials: list[tuple[str, ...]] = []
    for row, state in zip(rows, states, strict=True):
        recipe = called.get(row.get("recipe_id", ""), row["recipe"])
        of_trials.append((row["space"], row["dataset"], row["task"], recipe))
        cells[of_trials[-1]][state] += 1
    for trial_id, state in zip(trial_ids, states, strict=True):
        if state in ("failed", "quarantined"):
            last = ledger.counting(trial_id)[-1]
            failures[last.kind, last.last_line].append(trial_id)
    held = lease.current(store)
    holder = held.holder if held is not None and held.alive() else None
    groups = [Group(*what, trial_ids) for what, trial_ids in failures.items()]
    left_out = len(ledger.done - set(trial_ids))
    found = scores.by_cell(attempts, trial_ids, of_trials)
    waits = Waits.of(rows, ready)
    stuck = waits.lines(ready, all_of_them=False)
    return Status(
        store.url, dict(cells), _by_size(groups), holder, store.stop_asked(), planned, left_out, found, waits, stuck
    )


def _by_size(groups: list[Group]) -> list[Group]:
    """The largest class first, and within a class the largest group."""
    totals = Counter[str]()
    for group in groups:
        totals[group.error_class] += len(group.trial_ids)
    return sorted(groups, key=lambda g: (-totals[g.error_class], g.error_class, -len(g.trial_ids)))
