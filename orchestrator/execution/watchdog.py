"""Kills workers whose trial exceeds its timeout: a small process beside each worker receives every deadline.

A process that hangs cannot end itself: Python code does not run while native code holds the interpreter, and a
stopped process runs nothing at all.  At the deadline a C thread of the interpreter writes the stack to the trial's
log; the watchdog then stops the worker (SIGSTOP), publishes the log and the failed row, and kills it.  The watchdog
also publishes the log of a worker that dies during a trial.
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
_PUBLISH_S = 120.0  # a hung worker is killed after this time even if the store does not respond
_HEAD = "Timeout ("  # the beginning of the stack that the interpreter writes
_LOOK_S = 1.0  # between two checks whether the worker is alive

_process: "subprocess.Popen[bytes] | None" = None  # the process that forked the watchdog and ended; its pipe stays open


# --- in the worker ---


@contextlib.contextmanager
def guard(seconds: float, run_url: str, row: dict[str, Any], log_path: str) -> Iterator[None]:
    """Kill this process if it has not left the block after this many seconds.

    `row`: the columns of the attempt's row that are known; the watchdog publishes them with error class `timeout`.
    The stack is appended to the file at `log_path`, as is the stack of a crash in native code.
    """
    task = {"seconds": seconds, "run_url": run_url, "row": row, "log": log_path}
    with open(log_path, "a", encoding="utf-8") as stack:
        faulthandler.dump_traceback_later(seconds, file=stack)
        faulthandler.enable(stack)
        _send(task)
        try:
            yield
        finally:
            _send(None)
            faulthandler.cancel_dump_traceback_later()
            faulthandler.enable(sys.__stderr__ or 2)


def _send(task: dict[str, Any] | None) -> None:
    """Send the watchdog its task; a new watchdog is started if there is none."""
    global _process
    line = (json.dumps(task, default=datetime.isoformat) + "\n").encode()
    if _process is not None and _write(_process, line):
        return
    if task is not None:
        _process = _start()
        _write(_process, line)


def _write(process: "subprocess.Popen[bytes]", line: bytes) -> bool:
    """Write a line to the watchdog; False where it is dead."""
    process.poll()  # collects its exit status: no zombie stays
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
    """Start a watchdog of this process, in a session of its own: signals to the worker's process group do not reach it.

    It detaches from its parent (see `main`) and from the environment variable that marks workers of a raylet: Ray kills
    the children of a worker that it kills, and the watchdog must survive the worker.
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
    """Watch the process that started this one, until it has ended."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the driver handles stops; this process ends with its worker
    parent, buffer, task, deadline = int(sys.argv[1]), b"", None, float("inf")
    is_alive = _liveness_check(parent)
    if os.fork():
        os._exit(0)  # the watchdog itself has no parent
    while True:
        alive = is_alive()
        wait = max(0.0, min(_LOOK_S, deadline - time.monotonic())) if alive else 0.0
        if select.select([0], [], [], wait)[0]:
            new = os.read(0, 1 << 20)
            if not new:
                break  # the worker has ended, or is ending
            *lines, buffer = (buffer + new).split(b"\n")
            for line in lines:
                task = json.loads(line)
                deadline = time.monotonic() + task["seconds"] + _DUMP_S if task else float("inf")
        elif not alive:
            break  # dead, and its children hold the pipe open
        elif task and time.monotonic() >= deadline:
            _kill_worker(parent, task)
            return
    if task:
        _publish_log_of_dead_worker(task)


def _liveness_check(pid: int) -> Callable[[], bool]:
    """A function that says whether a process is alive; a zombie is not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return lambda: False
    except (AttributeError, OSError):  # older than Linux 5.3, or another system
        return lambda: _pid_exists(pid)
    return lambda: not select.select([descriptor], [], [], 0)[0]


def _pid_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _kill_worker(parent: int, task: dict[str, Any]) -> None:
    """Publish the log and the row of the trial, then kill the worker."""
    try:
        os.kill(parent, signal.SIGSTOP)  # from here on it neither finishes nor publishes
        with _time_limit(_PUBLISH_S):
            _publish_timeout(task)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(parent, signal.SIGKILL)
        _remove(task)


def _publish_timeout(task: dict[str, Any]) -> None:
    """Publish the log and the row of an attempt that exceeded its timeout."""
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


def _publish_log_of_dead_worker(task: dict[str, Any]) -> None:
    """Publish the log of a trial whose process died; the driver publishes the row, since only it knows the cause."""
    from orchestrator.store import trial_log
    from orchestrator.store.run_folder import RunStore

    with contextlib.suppress(OSError), _time_limit(_PUBLISH_S):
        with open(task["log"], "a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} the process of the trial died here\n")
        trial_log.publish(RunStore(task["run_url"]), task["row"]["trial_id"], task["log"])
    _remove(task)


def _remove(task: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.unlink(task["log"])


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where the block takes longer."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the store did not respond in {seconds:g} s")

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
