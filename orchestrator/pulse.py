"""A driver at work: its heartbeat, and what it does when it is asked to stop."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from orchestrator import lease
from orchestrator.store import STOP, RunStore
from orchestrator.terminal import show_cursor
from orchestrator.work import Work

log = logging.getLogger(__name__)
_BEAT_S = {True: 0.5, False: 2.0}  # on a disk, elsewhere: there each beat is a request that costs
_COMPACT_AT = 200  # loose attempts


class Pulse(threading.Thread):
    """The driver's heartbeat: renews the lease, sees a stop request, folds rows when many lie loose."""

    def __init__(self, store: RunStore, launch: str, work: Work) -> None:
        super().__init__(daemon=True, name="pulse")
        self._store, self._launch, self._work = store, launch, work
        self._end = threading.Event()
        self._renewed = time.monotonic()
        self._folder = threading.Thread(target=self._fold, daemon=True, name="fold")
        self._silent = False
        self.holds = True  # until another driver is seen to have the run

    def run(self) -> None:
        self._folder.start()  # beside the beat: a lease must not run out while many rows are folded
        while not self._end.wait(_BEAT_S[self._store.local]):
            try:
                self._beat()
                self._silent = False
            except OSError as error:
                if not self._silent:
                    log.warning("the run's folder does not answer (%s); asking again until it does", error)
                self._silent = True
            if self.holds and time.monotonic() - self._renewed > lease.LIFE_S:
                self._lose("the lease could not be renewed in time, another driver may have taken the run over")

    def _beat(self) -> None:
        if time.monotonic() - self._renewed >= lease.LIFE_S / 4:
            began = time.monotonic()
            if lease.renew(self._store, self._launch):
                self._renewed = began
            elif self.holds:
                self._lose("the lease is gone: another driver took the run over, or the run's folder was removed")
        if self._store.stop_asked():
            self._work.stopping.set()
        elif self._work.stopping.is_set() and self.holds:
            self._store.write(b"", STOP)  # tells the workers: end after this epoch

    def _lose(self, why: str) -> None:
        self.holds = False
        log.error("%s: stopping", why)
        self._work.stopping.set()

    def _fold(self) -> None:
        """Fold rows whenever so many have come since the last time."""
        folded, complained = 0, False
        while not self._end.wait(_BEAT_S[self._store.local]):
            finished = self._work.counts.trained + self._work.counts.failed
            if finished - folded < _COMPACT_AT or not self.holds:
                continue
            folded = finished
            try:
                self._store.compact()
            except (OSError, ValueError) as error:  # rows that are not folded are as safe, and as visible, as before
                if not complained:
                    log.warning("rows stay in attempts/ for now: %s", error)
                complained = True

    def end(self) -> None:
        """Stop beating; returns when the last beat is over."""
        self._end.set()
        self.join()
        self._folder.join()


@contextlib.contextmanager
def signals(work: Work) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM drains, the second ends at once with 130."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        if work.stopping.is_set() and number == signal.SIGINT:
            show_cursor()
            os._exit(130)  # the lease names a process that is gone, so the next driver takes over at once
        work.stopping.set()

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
