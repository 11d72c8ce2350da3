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
_BEAT_S = 0.5
_COMPACT_AT = 200  # loose attempts


class Pulse(threading.Thread):
    """The driver's heartbeat: renews the lease, sees a stop request, folds rows when many lie loose."""

    def __init__(self, store: RunStore, launch: str, work: Work) -> None:
        super().__init__(daemon=True, name="pulse")
        self._store, self._launch, self._work = store, launch, work
        self._end = threading.Event()
        self._folded = 0

    def run(self) -> None:
        renewed = time.monotonic()
        while not self._end.wait(_BEAT_S):
            try:
                if self._store.exists(STOP):
                    self._work.stopping.set()
                elif self._work.stopping.is_set():
                    self._store.write(b"", STOP)  # tells the workers: end after this epoch
                if time.monotonic() - renewed >= lease.LIFE_S / 4:
                    renewed = time.monotonic()
                    if not lease.renew(self._store, self._launch):
                        log.error("the run was taken over by another driver: stopping")
                        self._work.stopping.set()
                finished = self._work.counts.trained + self._work.counts.failed
                if finished - self._folded >= _COMPACT_AT:
                    self._folded = finished
                    self._store.compact()
            except OSError as error:
                log.warning("the run's folder does not answer (%s); asking again", error)

    def end(self) -> None:
        """Stop beating; returns when the last beat is over."""
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
