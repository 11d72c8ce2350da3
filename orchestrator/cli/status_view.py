"""The output of `archsweep status`: the state of runs as text."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from orchestrator.cli import cell_names
from orchestrator.cli.score_lines import tables
from orchestrator.store.left_out import left_out
from orchestrator.store.run_folder import RunStore
from orchestrator.store.status import CELL, STATES, Status, status
from orchestrator.terminal import printable


def show(runs: list[str], stores: list[RunStore], as_json: bool, out: Console) -> None:
    """Print the status of each run once; `runs` are the arguments that named the stores."""
    found = [look(store) for store in stores]
    if as_json and all(found):
        values = [one.as_json() for one in found if one]
        out.print_json(json.dumps(values if len(runs) > 1 else values[0]), ensure_ascii=True)
        return
    for run, store, one in zip(runs, stores, found, strict=True):
        if one is None:
            out.print(f"{_nothing(store)}; `archsweep plan {run}` shows what there is to do")
            continue
        if len(runs) > 1:
            out.print(store.url, soft_wrap=True)
        for part in _cells(one, out.width):
            out.print(part, markup=False)
        show_scores(one, out)
        out.print(_summary(one), soft_wrap=True)
        for text, style in failures(one):
            out.print(text, style=style, soft_wrap=True)
        if one.left_out and (others := left_out(store)) is not None:
            out.print(str(others), style="dim", markup=False, soft_wrap=True)


def show_scores(found: Status, out: Console) -> None:
    """Print one line per cell that has finished trials: the range of its scores, beside that of guessing."""
    for part in tables(found.scores, out.width):
        out.print(part, markup=False)


def look(store: RunStore) -> Status | None:
    """The status of a run; None where there is no run yet."""
    return status(store) if store.exists("plan.parquet") or store.listing("rows") else None


def screen(lines: list[str], found: list[Status | None], width: int) -> Group:
    """The most important lines first: a terminal cuts off the rest.  `width`: columns of the terminal."""
    parts: list[Any] = []
    for line, one in zip(lines, found, strict=True):
        parts.append(line)
        if one is not None:
            parts += [Text(printable(text), style) for text, style in failures(one)]
            parts += [*_cells(one, width), *tables(one.scores, width), ""]
    return Group(*parts)


def line(store: RunStore, found: Status | None, several: bool) -> str:
    return f"{store.url}: " * several + (_nothing(store) if found is None else _summary(found))


def _nothing(store: RunStore) -> str:
    return f"no run yet at {store.url}"


def _summary(found: Status) -> str:
    """Trials done and failed, and the driver at work, on one line."""
    done = f"{found.count('done'):,} of {found.count():,} trials done"
    if not found.planned:
        return f"{done}; imported, there is no plan"
    wrong = "".join(f", {found.count(s):,} {s}" for s in ("failed", "quarantined") if found.count(s))
    if found.waiting:
        wrong += f"; {found.waiting.text}"
    who = f"driven by {found.holder}" if found.holder else "no driver at work"
    return f"{done}{wrong}; {who}{'; stopping' * found.stopping}"


def _cells(found: Status, width: int) -> list[Table | str]:
    """Counts by cell and state, and before them what all cells share and for which there is no room."""
    grouped: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for cell, line in cell_names.families(found.cells).items():
        grouped[line] += found.cells[cell]
    columns = {s: [f"{counts[s]:,}" if counts[s] else "-" for counts in grouped.values()] for s in STATES}
    if not found.waiting:
        del columns["waiting"]
    columns["of"] = [f"{counts.total():,}" for counts in grouped.values()]
    cells = list(grouped)
    for state in reversed(STATES):  # columns without a trial, where there is not room for all
        room = width - cell_names.width(columns)
        if not cell_names.fits(cells, range(len(CELL)), room) and state != "done" and not found.count(state):
            columns.pop(state, None)
    places, same = cell_names.shown(cells, width - cell_names.width(columns), recipe=True)
    table = Table(box=None, pad_edge=False)
    for k in places:
        table.add_column(CELL[k], no_wrap=CELL[k] != "recipe")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for cell, *texts in zip(cells, *columns.values(), strict=True):
        table.add_row(*(cell[k] for k in places), *texts)
    return [*([f"all of {same}"] if same else []), table]


def failures(found: Status) -> Iterator[tuple[str, str]]:
    """The failures of trials without an ok row, and what others wait for in vain, as lines and their styles."""
    for kind, groups in groupby(found.failures, key=lambda group: group.error_class):
        alike = list(groups)
        n = sum(len(group.trial_ids) for group in alike)
        yield f"{kind}: {n:,} trial{'s' * (n > 1)}", "red"
        for group in alike:
            line = group.line if len(group.line) <= 200 else group.line[:199] + "…"
            yield f"  {len(group.trial_ids):,} x {line}  (e.g. {group.trial_ids[0]})", ""
    for sentence in found.stuck:
        yield sentence, "red"
