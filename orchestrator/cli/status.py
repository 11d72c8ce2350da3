"""The verb status: where runs stand, once or for as long as a driver is at work."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from orchestrator.store import lease
from orchestrator.store.left_out import left_out
from orchestrator.store.run_folder import RunStore
from orchestrator.store.status import CELL, STATES, Status
from orchestrator.store.status import status as read
from orchestrator.terminal import live, printable
from workers import files

T = TypeVar("T")
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="runs' folders (or URLs), studies or presets")]


def add_to(app: typer.Typer, store_of: Callable[[str], RunStore], out: Console) -> None:
    """Add the verb to the command line; `store_of` finds the run that an argument names."""

    @app.command(rich_help_panel="Sweeps")
    def status(
        runs: Runs,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
        watch: Annotated[
            bool, typer.Option("--watch", help="until all is done or no driver is at work; exits 0, 1, 3 as run does")
        ] = False,
        every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="between two looks of --watch")] = 10.0,
    ) -> None:
        """Where runs stand, read from their files."""
        stores = [store_of(run) for run in runs]
        if watch:
            if as_json:
                raise ValueError("--watch is for people, --json for programs: give one of them")
            raise typer.Exit(_watch(stores, every, out))
        found = [_look(store) for store in stores]
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
            out.print(_cells(one))
            out.print(_summary(one), soft_wrap=True)
            for text, style in _failures(one):
                out.print(text, style=style, soft_wrap=True)
            if one.left_out and (others := left_out(store)) is not None:
                out.print(str(others), style="dim", markup=False, soft_wrap=True)


def _look(store: RunStore) -> Status | None:
    """Where a run stands; None where there is none yet."""
    return read(store) if store.exists("plan.parquet") or store.listing("rows") else None


def _watch(stores: list[RunStore], every: float, out: Console) -> int:
    """Show the runs until each is over; 0 all done, 1 trials wait for `retry`, 3 work is left and nobody does it."""
    said: list[str] = []
    drivers = [_Driver(store) for store in stores]
    view = live(out, "", auto_refresh=False) if out.is_terminal else None
    with view or contextlib.nullcontext():
        while True:
            # First who is at work, then what is done: what a driver does before it goes is seen.
            busy = [_patiently(watched.busy, watched.store) for watched in drivers]
            found = [_patiently(_look, store) for store in stores]
            lines = [_line(s, one, len(stores) > 1) for s, one in zip(stores, found, strict=True)]
            if view:
                view.update(_screen(lines, found), refresh=True)
            else:
                for line in lines:
                    if line not in said:
                        out.print(line, soft_wrap=True)
            said = lines
            codes = [_code(one) for one in found]
            if not any(at_work and code for at_work, code in zip(busy, codes, strict=True)):
                break
            if getattr(out.file, "reader_left", False):
                break  # nobody looks on any more
            time.sleep(every)
    if not view:
        for text, style in (told for one in found if one for told in _failures(one)):
            out.print(text, style=style, soft_wrap=True)
    return max(codes)


def _patiently(ask: Callable[[RunStore], T], store: RunStore) -> T:
    """The answer of a store that may be away, or replace a file just now, in a moment of a long watch."""
    return files.with_retries(lambda: ask(store), f"{store.url} cannot be read", (OSError, ValueError))


class _Driver:
    """Whether a driver is at work, watched for some time: clocks differ, so a lease that is renewed counts."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._seen: lease.Lease | None = None
        self._changed = 0.0

    def busy(self, store: RunStore) -> bool:
        """Whether one is at work, or may be: a lease that looks expired could not yet be seen to be renewed."""
        held = lease.current(store)
        if held != self._seen:
            self._seen, self._changed = held, time.monotonic()
        if held is None or held.alive() or held.seen() is not None:
            return held is not None and held.alive()
        return time.monotonic() - self._changed < lease.LIFE_S / 2  # a holder renews it every quarter


def _code(found: Status | None) -> int:
    """What `run` would have ended with here."""
    if found is None or found.count("left") or found.count("failed"):
        return 3
    return 1 if found.count("quarantined") else 0


def _screen(lines: list[str], found: list[Status | None]) -> Group:
    """What matters most on top: a terminal shows no more than its height."""
    parts: list[Any] = []
    for line, one in zip(lines, found, strict=True):
        parts.append(line)
        if one is not None:
            parts += [Text(printable(text), style) for text, style in _failures(one)]
            parts += [_cells(one), ""]
    return Group(*parts)


def _line(store: RunStore, found: Status | None, several: bool) -> str:
    return f"{store.url}: " * several + (_nothing(store) if found is None else _summary(found))


def _nothing(store: RunStore) -> str:
    return f"nothing was run yet at {store.url}"


def _summary(found: Status) -> str:
    """How much is done, what went wrong, and who is at work."""
    done = f"{found.count('done'):,} of {found.count():,} trials done"
    if not found.planned:
        return f"{done}; imported, there is no plan"
    wrong = "".join(f", {found.count(s):,} {s}" for s in ("failed", "quarantined") if found.count(s))
    who = f"driven by {found.holder}" if found.holder else "no driver at work"
    return f"{done}{wrong}; {who}{'; stopping' * found.stopping}"


def _cells(found: Status) -> Table:
    """Counts by cell and state."""
    table = Table(box=None, pad_edge=False)
    for name in CELL:
        table.add_column(name, no_wrap=True)
    for name in (*STATES, "of"):
        table.add_column(name, justify="right")
    for cell, counts in found.cells.items():
        table.add_row(*cell, *(f"{counts[s]:,}" if counts[s] else "-" for s in STATES), f"{counts.total():,}")
    return table


def _failures(found: Status) -> Iterator[tuple[str, str]]:
    """What trials without a row failed of, as lines and their styles."""
    for kind, groups in groupby(found.failures, key=lambda group: group.error_class):
        alike = list(groups)
        n = sum(len(group.trial_ids) for group in alike)
        yield f"{kind}: {n:,} trial{'s' * (n > 1)}", "red"
        for group in alike:
            line = group.line if len(group.line) <= 200 else group.line[:199] + "…"
            yield f"  {len(group.trial_ids):,} x {line}  (e.g. {group.trial_ids[0]})", ""
