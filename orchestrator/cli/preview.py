"""`archsweep plan`: the trials of a study and their estimated cost, before anything is trained."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import spaces
from orchestrator.cli import cell_names
from orchestrator.cli.packing import Room, room
from orchestrator.execution import cores, devices
from orchestrator.ray_tune import address
from orchestrator.store.left_out import LeftOut, left_out
from orchestrator.store.recipe_names import named
from orchestrator.store.status import CELL
from orchestrator.store.trial_states import Ledger
from orchestrator.store.waiting import Readiness, Waits, awaited, check_weights
from orchestrator.study import searches
from orchestrator.study.estimate import Estimate, estimate, rate_of, recipe_of, total, trains
from orchestrator.study.frozen import open_run
from orchestrator.study.plan import plan, too_large_batches
from orchestrator.study.schema import Study
from workers.quantities import duration

_MACS = "MACs, M p10 50 90"
_TRAINING_BYTES, _OTHER_BYTES = 3_000, 300  # of one compacted row with curves, and without
_STATE_COPIES = 2  # a checkpoint contains weights and momentum


@dataclass(frozen=True)
class Cell:
    """The trials of one (space, dataset, task, recipe)."""

    states: Counter[str]
    macs: tuple[float, float, float]  # p10, median, p90 of the trials
    params: tuple[float, float, float]
    left: Estimate


@dataclass(frozen=True)
class Preview:
    """The cells and totals of a study, and how its architectures were drawn."""

    study: Study
    cells: dict[tuple[str, ...], Cell]
    samples: dict[str, spaces.Sample]
    dataset_ids: list[str]
    left: Estimate
    device: str
    row_bytes: int  # of all rows
    checkpoint_bytes: int  # of the largest network that is trained
    room: Room | None  # on a GPU, if trials are left that train on one
    unused: dict[str, str]  # by dataset_id: images and files that are not used
    left_out: LeftOut | None  # trials of the run that are not in this study
    notes: tuple[str, ...] = ()  # warnings
    waiting: Waits = field(default_factory=Waits)
    stuck: tuple[str, ...] = ()  # a sentence for each trial that others wait for in vain
    weights: tuple[int, int] = (0, 0)  # trials whose weights are kept, and their bytes

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {
            "study": self.study.name,
            "run": self.study.path,
            "dataset_ids": self.dataset_ids,
            "unused": self.unused,
            "total": sum(c.states.total() for c in self.cells.values()),
            "done": sum(c.states["done"] for c in self.cells.values()),
            "left_out": self.left_out.count if self.left_out else 0,
            "waiting": self.waiting.total,
            "waiting_for": self.waiting.searches,
            "waiting_for_weights": self.waiting.weights,
            "device": self.device,
            "device_seconds_left": self.left.seconds,
            "basis": self.left.basis,
            "gpu_bytes_a_trial": self.room and self.room.trial,
            "gpus_per_trial_with_room": self.room and self.room.share,
            "samples": {
                k: {"kept": len(s.archs), "drawn": s.drawn, "rejected": s.rejected} for k, s in self.samples.items()
            },
            "cells": [
                {
                    **dict(zip(CELL, key, strict=True)),
                    "total": cell.states.total(),
                    "done": cell.states["done"],
                    "waiting": cell.states["waiting"],
                    "macs_p10_p50_p90": cell.macs,
                    "params_p10_p50_p90": cell.params,
                    "device_seconds_left": cell.left.seconds,
                }
                for key, cell in self.cells.items()
            ],
        }


def preview(study: Study) -> Preview:
    """Plan a study and compare it with the rows of its run; writes nothing.

    LookupError where trials need weights of finished ones that were not kept.
    """
    planned = plan(study, searches.found(study))
    store = open_run(study)
    ledger, rates = Ledger.of(store), rate_of(store)
    wish = study.execution.gpus_per_trial
    device = "gpu" if wish or (wish is None and not _small(study)) else "cpu"
    rows = planned.table.drop_columns(["graph"]).to_pylist()
    ready = Readiness.of(store, ledger, rows)
    check_weights(rows, ready)
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    called = named(rows)
    for row in rows:
        groups[(row["space"], row["dataset"], row["task"], called[row["recipe_id"]])].append(row)
    cells = {}
    for key, members in groups.items():
        state_of = [ready.state(row) for row in members]
        states = Counter(state_of)
        missing = [r for r, state in zip(members, state_of, strict=True) if state != "done"]
        cells[key] = Cell(
            states,
            _quantiles([r["macs"] for r in members]),
            _quantiles([r["params"] for r in members]),
            estimate(missing, rates, device),
        )
    left = total((cell.left for cell in cells.values()), device)
    trained = [members for members in groups.values() if trains(recipe_of(members[0]))]
    largest = max((r["params"] for members in trained for r in members), default=0)
    known = [[r for r in members if not awaited(r)] for members in trained]
    most_work = [max(members, key=lambda r: r["macs"]) for members in known if members]
    rows_of_trainings = sum(map(len, trained))
    return Preview(
        study,
        cells,
        planned.samples,
        sorted({r["dataset_id"] for r in rows}),
        left,
        device,
        rows_of_trainings * _TRAINING_BYTES + (len(rows) - rows_of_trainings) * _OTHER_BYTES,
        largest * 4 * _STATE_COPIES,
        room(store, most_work) if device == "gpu" and left.count and most_work else None,
        planned.unused,
        left_out(store, planned.table, ledger.done),
        (*planned.notes, *too_large_batches(rows), *devices.check(rows, wish)),
        waits := Waits.of(rows, ready),
        tuple(waits.lines(ready, all_of_them=False)),
        _weights(rows),
    )


def _weights(rows: list[dict[str, Any]]) -> tuple[int, int]:
    """The number of trials whose weights others use, and the size of all these weights in bytes."""
    bases = {row["base"] for row in rows}
    kept = [row["params"] for row in rows if row["trial_id"] in bases]
    return len(kept), 4 * sum(kept)


def _small(study: Study) -> bool:
    """Whether no trial needs a GPU: each is as small as the demo's, or trains nothing."""
    named = ((sweep, task, name) for sweep in study.sweeps for task in sweep.tasks for name in sweep.recipe)
    return all(name == "demo" or not trains(sweep.resolved(task, name)) for sweep, task, name in named)


def at_once_here(study: Study) -> int:
    """The number of trials that `run` trains at a time on this machine's cores; 1 where RAY_ADDRESS names a cluster,
    which is not contacted here."""
    execution = study.execution
    if execution.engine == "inline" or address.named():
        return 1
    room = int(cores.usable() / execution.cpus_per_trial)
    return max(1, min(room, execution.max_concurrent or room))


def _quantiles(values: list[int]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return float(low), float(middle), float(high)


def _millions(values: tuple[float, float, float]) -> str:
    digits = 2 if values[0] < 1e7 else 0
    return " ".join(f"{v / 1e6:,.{digits}f}" for v in values)


def show(found: Preview, console: Console) -> None:
    """Print a table of the cells and the totals, at most 80 columns wide."""
    grouped = defaultdict(list)
    for key, line in cell_names.families(found.cells).items():
        grouped[line].append(found.cells[key])
    columns: dict[str, list[str]] = {name: [] for name in ("trials", "done", "left", _MACS, "time left")}
    for several in grouped.values():
        done, trials = (sum(n) for n in zip(*((c.states["done"], c.states.total()) for c in several), strict=True))
        left_s = sum(cell.left.seconds for cell in several)
        macs = {_millions(cell.macs) for cell in several}
        size = macs.pop() if len(macs) == 1 else ""
        numbers = (f"{trials:,}", f"{done:,}", f"{trials - done:,}", size, duration(left_s))
        for lines, number in zip(columns.values(), numbers, strict=True):
            lines.append(number)
    keys = list(grouped)
    for optional in ("", _MACS, "done"):  # left out, in this order, where a terminal is too narrow for all
        columns.pop(optional, None)
        room = console.width - cell_names.width(columns)
        places, same = cell_names.shown(keys, room)
        if cell_names.fits(keys, places, room):
            break
    if same:
        console.print(f"all of {same}", markup=False)
    table = Table(box=None, pad_edge=False)
    for k in places:  # where room is short, a recipe takes two lines
        table.add_column(CELL[k], no_wrap=CELL[k] != "recipe")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for key, *texts in zip(keys, *columns.values(), strict=True):
        table.add_row(*(key[k] for k in places), *texts)
    console.print(table)
    trials = sum(c.states.total() for c in found.cells.values())
    done = sum(c.states["done"] for c in found.cells.values())
    console.print(f"{trials:,} trials, {done:,} done, {trials - done:,} left; data {', '.join(found.dataset_ids)}")
    if found.waiting:
        at_most = ", at most: what several searches find is trained once" * bool(found.waiting.searches)
        console.print(f"{found.waiting.text}{at_most}", soft_wrap=True)
    for sentence in found.stuck:
        console.print(sentence, markup=False, soft_wrap=True)
    for unused in found.unused.values():
        console.print(unused, markup=False, soft_wrap=True)
    if found.left_out is not None:
        console.print(str(found.left_out), markup=False, soft_wrap=True)
    for label, sample in found.samples.items():
        why = ", ".join(f"{n:,} {reason}" for reason, n in sample.rejected.items() if n) or "none rejected"
        console.print(f"{label}: {len(sample.archs):,} of {sample.drawn:,} drawn architectures kept ({why})")
    console.print(f"time left: about {duration(found.left.seconds)} of one {found.device} ({found.left.basis})")
    if (workers := at_once_here(found.study)) > 1 and found.device == "cpu" and found.left.seconds:
        console.print(f"on this machine about {duration(found.left.seconds / workers)}: {workers} trials at a time")
    if found.room is not None:
        console.print(found.room.text())
    for note in found.notes:
        console.print(note, markup=False)
    console.print(f"disk: rows about {found.row_bytes / 1e6:,.1f} MB{_checkpoints(found)}")
    if found.weights[0]:
        kept, size_kept = found.weights
        console.print(f"      weights about {size_kept / 1e6:,.1f} MB of {kept:,} trials, which others use; they stay")


def _checkpoints(found: Preview) -> str:
    """The size of checkpoints, as the end of a sentence; "" where nothing is trained."""
    at_once = found.study.execution.max_concurrent or "the"
    size = f"{found.checkpoint_bytes / 1e6:,.1f} MB"
    return f"; checkpoints at most {size} for each of {at_once} running trials, removed on success" * bool(
        found.checkpoint_bytes
    )
