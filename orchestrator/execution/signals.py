"""What a driver does on SIGINT (Ctrl-C), SIGTERM and SIGHUP: before, during and after the training of a launch."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from orchestrator.execution.stopped import Stopped
from orchestrator.execution.work_queue import Work
from orchestrator.terminal import show_cursor

_ENDS = (signal.SIGTERM, signal.SIGHUP)  # sent by a scheduler or `kill`; by a terminal that is closed
_Handler = Callable[[int, FrameType | None], object]


def _install(handler: _Handler, numbers: Iterable[signal.Signals]) -> dict[signal.Signals, Any]:
    """Install a handler, except for signals that are ignored (SIGHUP under nohup); returns the previous handlers."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in handled}


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise Stopped in the block, until `draining` handles them."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise Stopped(f"{signal.Signals(number).name} came before any trial had started")

    before = _install(handler, _ENDS)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, previous in (before | {signal.SIGINT: interrupt}).items():
                signal.signal(number, previous)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """SIGTERM and SIGHUP are handled after the block; processes started in the block ignore them.

    Slurm, container runtimes and terminals send them to every process of a job at once.  The driver then drains: a
    local Ray that ended at once would be gone before the running trials reach the end of their epochs.
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
def draining(work: Work) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or SIGHUP lets running trials drain; the second Ctrl-C exits at once with code 130.

    The handlers stay until the end of `stoppable`: a signal while a launch is being closed changes nothing.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        if work.stopping.is_set() and number == signal.SIGINT:
            show_cursor()
            os._exit(130)  # the lease then names a dead process, so the next driver takes over at once
        work.stopping.set()

    _install(handler, _ENDS)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)
    yield
