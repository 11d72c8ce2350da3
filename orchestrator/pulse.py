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
from orchestrator.work import Work

log = logging.getLogger(__name__)
_BEAT_S = {True: 0.5, False: 2.0}  # on a disk, elsewhere: there each beat is a request that costs
_COMPACT_AT = 200  # loose attempts


class Pulse(threading.Thread):
    """The driver's heartbeat, from the moment it has the lease until it gives it back.

    It renews the lease; while there is work (`attend` to `leave`) it also sees a stop request, and folds rows when many
    lie loose.
    """

    def __init__(self, store: RunStore, launch: str) -> None:
        super().__init__(daemon=True, name="pulse")
        self._store, self._launch = store, launch
        self._work: Work | None = None
        self._end = threading.Event()
        self._renewed = time.monotonic()
        self._folding: tuple[threading.Thread, threading.Event] | None = None
        self._silent = False
        self.holds = True  # until another driver is seen to have the run

    def attend(self, work: Work) -> None:
        """Look after this work too.  It stops at once where the run was lost while it was prepared."""
        self._work = work
        if not self.holds:
            work.stopping.set()
        # Beside the beat: a lease must not run out while many rows are folded.
        left = threading.Event()
        thread = threading.Thread(target=self._fold, args=(work, left), daemon=True, name="fold")
        self._folding = thread, left
        thread.start()

    def leave(self) -> None:
        """Look after no work any more; returns when nothing is being folded."""
        self._work = None
        if self._folding is not None:
            thread, left = self._folding
            left.set()
            thread.join()
            self._folding = None

    def run(self) -> None:
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
        work = self._work
        if work is None:
            return
        if self._store.stop_asked():
            work.stopping.set()
        elif work.stopping.is_set() and self.holds:
            self._store.write(b"", STOP)  # tells the workers: end after this epoch

    def _lose(self, why: str) -> None:
        self.holds = False
        log.error("%s: stopping", why)
        if self._work is not None:
            self._work.stopping.set()

    def _fold(self, work: Work, left: threading.Event) -> None:
        """Fold rows whenever so many have come since the last time."""
        folded, complained = 0, False
        while not left.wait(_BEAT_S[self._store.local]):
            finished = work.counts.trained + work.counts.failed
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
        self.leave()
        self._end.set()
        self.join()


@contextlib.contextmanager
def signals(work: Work) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM drains, the second ends at once with 130."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        if work.stopping.is_set() and number == signal.SIGINT:
            os._exit(130)  # the lease names a process that is gone, so the next driver takes over at once
        work.stopping.set()

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
