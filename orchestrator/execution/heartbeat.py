"""A driver at work: its heartbeat, and what it does when it is asked to stop."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from orchestrator.execution.stopped import Stopped
from orchestrator.execution.work_queue import Work
from orchestrator.store import lease
from orchestrator.store.run_folder import STOP, RunStore
from orchestrator.terminal import show_cursor

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


_ENDS = (signal.SIGTERM, signal.SIGHUP)  # a scheduler or `kill`; a terminal that is closed
_Handler = Callable[[int, FrameType | None], object]


def _install(handler: _Handler, numbers: Iterable[signal.Signals]) -> dict[signal.Signals, Any]:
    """Let a handler hear signals, except those that are ignored (SIGHUP under nohup); gives what heard them before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block by Stopped, until `signals` hears them for a launch at work."""

    def heard(number: int, frame: FrameType | None) -> None:
        raise Stopped(f"{signal.Signals(number).name} came before any trial had started")

    before = _install(heard, _ENDS)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in (before | {signal.SIGINT: interrupt}).items():
                signal.signal(number, handler)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """SIGTERM and SIGHUP wait for the end of the block, and processes that are started in it never hear them.

    Slurm, a container's end or a terminal send them to every process of a job at once.  The driver drains; a Ray of
    its own that heard them too would be gone before the first trial is at the end of its epoch.
    """
    came: list[int] = []
    before = _install(lambda number, frame: came.append(number), _ENDS)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # inherited by processes, unlike a handler
    try:
        yield
    finally:
        try:
            for number, handler in before.items():
                signal.signal(number, handler)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for missed in came:
            signal.raise_signal(missed)


@contextlib.contextmanager
def signals(work: Work) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or SIGHUP drains; the second Ctrl-C ends at once with 130.

    They are heard so until the end of `stoppable`: what comes while a launch is being closed changes nothing.
    """

    def heard(number: int, frame: FrameType | None) -> None:
        if work.stopping.is_set() and number == signal.SIGINT:
            show_cursor()
            os._exit(130)  # the lease names a process that is gone, so the next driver takes over at once
        work.stopping.set()

    _install(heard, _ENDS)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, heard)
    yield
