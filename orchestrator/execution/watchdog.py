"""Ends a trial that does not end: a small process beside each worker that is told every deadline.

A process that hangs cannot be trusted with its own end: Python may never run again where native code holds the
interpreter, and a frozen process runs nothing at all.  At the deadline the interpreter's C thread writes the stack
into the trial's log; the watchdog then freezes the worker, publishes that log and the failed row, and kills it.  A
worker that dies during a trial, by its own fault or another's, has its log published too.
"""

import contextlib
import faulthandler
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import FrameType
from typing import IO, Any

_DUMP_S = 1.0  # for the stack to be written after the deadline
_PUBLISH_S = 120.0  # a store that does not answer for so long does not keep a hung worker alive
_HEAD = "Timeout ("  # how the interpreter begins the stack
_LOOK_S = 1.0  # between two looks at whether the worker lives

_process: "subprocess.Popen[bytes] | None" = None  # the one that started the watchdog, gone at once; its pipe stays


# --- in the worker ---


@contextlib.contextmanager
def guard(seconds: float, run_url: str, row: dict[str, Any], log_path: str) -> Iterator[None]:
    """End this process if it has not left the block in so many seconds.

    `row` is what is known of the attempt's row: with it the watchdog publishes a failed one of class `timeout`.
    The stack goes to the end of the file at `log_path`, as does that of a crash in native code.
    """
    task = {"seconds": seconds, "run_url": run_url, "row": row, "log": log_path}
    with open(log_path, "a", encoding="utf-8") as stack:
        faulthandler.dump_traceback_later(seconds, file=stack)
        faulthandler.enable(stack)
        _say(task)
        try:
            yield
        finally:
            _say(None)
            faulthandler.cancel_dump_traceback_later()
            faulthandler.enable(sys.__stderr__ or 2)


def _say(task: dict[str, Any] | None) -> None:
    """Tell the watchdog what to watch now; a new one is started where none lives."""
    global _process
    line = (json.dumps(task, default=datetime.isoformat) + "\n").encode()
    if _process is not None and _write(_process, line):
        return
    if task is not None:
        _process = _start()
        _write(_process, line)


def _write(process: "subprocess.Popen[bytes]", line: bytes) -> bool:
    """Whether a watchdog lives to read the line."""
    process.poll()  # so that it does not stay as a zombie
    pipe: IO[bytes] = process.stdin  # type: ignore[assignment]
    try:
        pipe.write(line)
        pipe.flush()
    except BrokenPipeError:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        return False
    return True


def _start() -> "subprocess.Popen[bytes]":
    """A watchdog of this process, in a session of its own: what is sent to the worker's group does not reach it.

    It gives up its parent (see `main`) and the sign by which workers of a raylet are known: Ray kills the children of a
    worker that it kills, and the watchdog is to outlive it.
    """
    environment = {key: value for key, value in os.environ.items() if key != "RAY_RAYLET_PID"}
    return subprocess.Popen(
        [sys.executable, "-c", "from orchestrator.execution.watchdog import main; main()", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env={**environment, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
    )


# --- in the watchdog ---


def main() -> None:
    """Watch the process that started this one, until it is gone."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a stop is for the driver; this process ends with its worker
    parent, said, task, deadline = int(sys.argv[1]), b"", None, float("inf")
    lives = _life_of(parent)
    if os.fork():
        os._exit(0)  # the watchdog itself is nobody's child
    while True:
        alive = lives()
        wait = max(0.0, min(_LOOK_S, deadline - time.monotonic())) if alive else 0.0
        if select.select([0], [], [], wait)[0]:
            new = os.read(0, 1 << 20)
            if not new:
                break  # the worker is gone, or is going
            *lines, said = (said + new).split(b"\n")
            for line in lines:
                task = json.loads(line)
                deadline = time.monotonic() + task["seconds"] + _DUMP_S if task else float("inf")
        elif not alive:
            break  # its children may hold the pipe open
        elif task and time.monotonic() >= deadline:
            _end(parent, task)
            return
    if task:
        _bury(task)


def _life_of(pid: int) -> Callable[[], bool]:
    """Whether a process lives, to be asked again and again; a zombie does not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return lambda: False
    except (AttributeError, OSError):  # neither Linux 5.3 nor newer
        return lambda: _taken(pid)
    return lambda: not select.select([descriptor], [], [], 0)[0]


def _taken(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _end(parent: int, task: dict[str, Any]) -> None:
    """Kill the worker, after the log and the row of its trial are safe."""
    try:
        os.kill(parent, signal.SIGSTOP)  # from here on it neither finishes nor publishes
        with _at_most(_PUBLISH_S):
            _book(task)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(parent, signal.SIGKILL)
        _remove(task)


def _book(task: dict[str, Any]) -> None:
    """Publish log and row of an attempt that did not end in time."""
    from orchestrator.store import trial_log
    from orchestrator.store.run_folder import RunStore

    store, row = RunStore(task["run_url"]), task["row"]
    text = f"the attempt did not end in {task['seconds']:g} s"
    with open(task["log"], encoding="utf-8", errors="replace") as file:
        _, found, stack = file.read().rpartition(_HEAD)
    with open(task["log"], "a", encoding="utf-8") as file:
        file.write(f"{text}: killed{'' if found else ', without a stack, as nothing in the process answered'}\n")
    now, began = datetime.now(UTC), datetime.fromisoformat(row["started_at"])
    if store.attempt(row["trial_id"], row["launch"], row["attempt"]) is None:
        trial_log.publish(store, row["trial_id"], task["log"])
        store.publish_attempt(
            {
                **row,
                "status": "failed",
                "error_class": "timeout",
                "error_text": text,
                "traceback": f"{found + stack}\n{text}" if found else text,
                "diverged": False,
                "started_at": began,
                "finished_at": now,
                "wall_s": (now - began).total_seconds(),
            }
        )


def _bury(task: dict[str, Any]) -> None:
    """Publish the log of a trial whose process died; the driver books the row, it alone knows of what."""
    from orchestrator.store import trial_log
    from orchestrator.store.run_folder import RunStore

    with contextlib.suppress(OSError), _at_most(_PUBLISH_S):
        with open(task["log"], "a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} the process of the trial died here\n")
        trial_log.publish(RunStore(task["run_url"]), task["row"]["trial_id"], task["log"])
    _remove(task)


def _remove(task: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.unlink(task["log"])


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """A TimeoutError where the block takes longer."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the store did not answer in {seconds:g} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
