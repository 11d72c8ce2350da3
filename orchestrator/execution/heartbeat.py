"""The heartbeat of a driver: renews the lease of the run, notices a stop request, compacts rows."""

import logging
import threading
import time

from orchestrator.execution.work_queue import Work
from orchestrator.store import lease
from orchestrator.store.run_folder import STOP, RunStore

log = logging.getLogger(__name__)
_BEAT_S = {True: 0.5, False: 2.0}  # on a disk; in an object store, where each beat is a request that costs money
_COMPACT_AT = 200  # new attempts


class Heartbeat(threading.Thread):
    """A thread that runs while the driver has the lease.

    It renews the lease.  While trials are trained (`attend` to `leave`) it also notices a stop request, and compacts
    the rows when there are many new ones.
    """

    def __init__(self, store: RunStore, launch: str) -> None:
        super().__init__(daemon=True, name="heartbeat")
        self._store, self._launch = store, launch
        self._work: Work | None = None
        self._end = threading.Event()
        self._renewed = time.monotonic()
        self._folding: tuple[threading.Thread, threading.Event] | None = None
        self._silent = False
        self.holds = True  # False once another driver has taken the run over

    def attend(self, work: Work) -> None:
        """Serve this work from now on.  The work is stopped at once if the lease was lost during the preparation."""
        self._work = work
        if not self.holds:
            work.stopping.set()
        # In a thread of its own: the lease must not expire while many rows are compacted.
        left = threading.Event()
        thread = threading.Thread(target=self._fold, args=(work, left), daemon=True, name="fold")
        self._folding = thread, left
        thread.start()

    def leave(self) -> None:
        """Stop serving the work; returns when no compaction is running."""
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
                    log.warning("the run's folder does not respond (%s); retrying until it does", error)
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
            self._store.write(b"", STOP)  # workers read it and end after the current epoch

    def _lose(self, why: str) -> None:
        self.holds = False
        log.error("%s: stopping", why)
        if self._work is not None:
            self._work.stopping.set()

    def _fold(self, work: Work, left: threading.Event) -> None:
        """Compact the rows whenever _COMPACT_AT attempts have ended since the last time."""
        folded, complained = 0, False
        while not left.wait(_BEAT_S[self._store.local]):
            finished = work.counts.trained + work.counts.failed
            if finished - folded < _COMPACT_AT or not self.holds:
                continue
            folded = finished
            try:
                self._store.compact()
            except (OSError, ValueError) as error:  # rows that are not compacted are as safe and as visible as before
                if not complained:
                    log.warning("rows stay in attempts/ for now: %s", error)
                complained = True

    def end(self) -> None:
        """End the thread; returns when its last beat is over."""
        self.leave()
        self._end.set()
        self.join()
