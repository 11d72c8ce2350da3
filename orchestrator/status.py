"""Where a run stands, from its files alone."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from orchestrator import lease
from orchestrator.ledger import Ledger
from orchestrator.store import STOP, RunStore

CELL = ("space", "dataset", "task", "recipe")
STATES = ("done", "left", "failed", "quarantined")


@dataclass(frozen=True)
class Status:
    """Counts by cell and state, failures by their last traceback line, and who is at work."""

    url: str
    cells: dict[tuple[str, ...], Counter[str]]
    failures: dict[str, list[str]]  # last traceback line -> trial ids that fail so now
    holder: str | None
    stopping: bool

    def count(self, state: str | None = None) -> int:
        """Trials in a state, or all."""
        return sum(c[state] if state else c.total() for c in self.cells.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {
            "run": self.url,
            "total": self.count(),
            **{state: self.count(state) for state in STATES},
            "cells": [
                {**dict(zip(CELL, cell, strict=True)), **{s: counts[s] for s in STATES}}
                for cell, counts in self.cells.items()
            ],
            "failures": self.failures,
            "driver": self.holder,
            "stopping": self.stopping,
        }


def status(store: RunStore) -> Status:
    """The state of every planned trial of a run; FileNotFoundError where there is no run."""
    plan = store.plan(["trial_id", *CELL])
    if plan is None:
        raise FileNotFoundError(f"{store.url} is no run: it holds no plan.parquet; `archsweep run` makes one")
    ledger = Ledger.of(store)
    cells: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    failures: dict[str, list[str]] = defaultdict(list)
    trial_ids = plan["trial_id"].to_pylist()
    states = [ledger.state(t) for t in trial_ids]
    for *cell, state in zip(*(plan[k].to_pylist() for k in CELL), states, strict=True):
        cells[tuple(cell)][state] += 1
    for trial_id, state in zip(trial_ids, states, strict=True):
        if state in ("failed", "quarantined"):
            failures[_last_line(ledger.counting(trial_id)[-1])].append(trial_id)
    held = lease.current(store)
    holder = held.holder if held is not None and held.alive() else None
    return Status(store.url, dict(cells), dict(failures), holder, store.exists(STOP))


def _last_line(failure: Any) -> str:
    lines = [line for line in (failure.traceback or failure.text).splitlines() if line.strip()]
    return f"{failure.kind}: {lines[-1].strip() if lines else failure.text}"
