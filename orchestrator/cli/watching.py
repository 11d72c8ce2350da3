"""`archsweep status --watch`: follows runs until each is over."""

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console

from orchestrator.cli import status_view
from orchestrator.store import lease
from orchestrator.store.run_folder import RunStore
from orchestrator.store.status import Status
from orchestrator.terminal import live
from workers import files

T = TypeVar("T")


def watch(stores: list[RunStore], every: float, out: Console) -> int:
    """Show the runs until each has ended; 0: all done, 1: quarantined trials, 3: trials left and no driver at work."""
    printed: list[str] = []
    drivers = [_Driver(store) for store in stores]
    view = live(out, "", auto_refresh=False) if out.is_terminal else None
    with view or contextlib.nullcontext():
        while True:
            # First the drivers, then the states: the last rows of a driver that ends in between are included.
            busy = [_patiently(watched.busy, watched.store) for watched in drivers]
            found = [_patiently(status_view.look, store) for store in stores]
            lines = [status_view.line(s, one, len(stores) > 1) for s, one in zip(stores, found, strict=True)]
            if view:
                view.update(status_view.screen(lines, found, out.width), refresh=True)
            else:
                for line in lines:
                    if line not in printed:
                        out.print(line, soft_wrap=True)
            printed = lines
            codes = [_code(one) for one in found]
            if not any(at_work and code for at_work, code in zip(busy, codes, strict=True)):
                break
            if getattr(out.file, "reader_left", False):
                break  # the reader has closed the pipe
            time.sleep(every)
    if not view:
        for one in filter(None, found):
            status_view.show_scores(one, out)
            for text, style in status_view.failures(one):
                out.print(text, style=style, soft_wrap=True)
    return max(codes)


def _patiently(ask: Callable[[RunStore], T], store: RunStore) -> T:
    """The result of `ask`, with retries: a store may not respond, or be replacing a file, at some moment."""
    return files.with_retries(lambda: ask(store), f"{store.url} cannot be read", (OSError, ValueError))


class _Driver:
    """Whether a driver is at work, observed over time: clocks differ, but a lease that is renewed is valid."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._seen: lease.Lease | None = None
        self._changed = 0.0

    def busy(self, store: RunStore) -> bool:
        """Whether a driver is or may be at work: a lease that looks expired may still be renewed."""
        held = lease.current(store)
        if held != self._seen:
            self._seen, self._changed = held, time.monotonic()
        if held is None or held.alive() or held.seen() is not None:
            return held is not None and held.alive()
        return time.monotonic() - self._changed < lease.LIFE_S / 2  # a holder renews it every quarter


def _code(found: Status | None) -> int:
    """The exit code that `run` would have in this state."""
    if found is None or found.count("left") or found.count("failed"):
        return 3
    return 1 if found.count("quarantined") or found.waiting else 0
