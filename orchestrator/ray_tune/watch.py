"""Detects that the Ray of a driver has died, and ends the launch.

Without its raylet a driver waits for workers that can never start.  Without its GCS most calls into Ray do not return,
signals are not handled, and after a minute Ray ends the process with an exit code that means something else here.  So a
thread checks every second; it interrupts the main thread, and if that does not help, ends the process.
"""

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import ray

from orchestrator.execution.stopped import Stopped

_LOOK_S = 1.0
_ASK_S = 2.0
_SILENCE_S = 25.0  # a GCS may be silent for this long, as when its host is busy or it is restarted
_LEAVE_S = 10.0  # for the main thread to return from Ray
_GIVE_BACK_S = 10.0
_SETTLE_S = 0.5  # a connection of a dying process ends a moment before the process does
_RAYS_PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"
_KEPT = "what is finished is kept: run the same command again"

_current: "Watch | None" = None


class Lost(Stopped):
    """Ray has died during a launch; the text says which process."""


class Watch(threading.Thread):
    """Checks that the connected Ray is alive; `end` must be called in the thread that created the object.

    own: this process started Ray, and stops all of it.  leave: releases the run where this process must be killed.
    """

    def __init__(self, own: bool, leave: Callable[[], None]) -> None:
        super().__init__(daemon=True, name="ray-watch")
        node = ray._private.worker._global_node
        self._own = {k: i[0].process for k, i in node.all_processes.items() if k in ("raylet", "gcs_server") and own}
        self._leave, self._address = leave, ray.get_runtime_context().gcs_address
        self._raylet = None if own else _raylet_of(ray.get_runtime_context().get_node_id())
        self._refused = 0
        self._answered = time.monotonic()
        self._over, self._lock = threading.Event(), threading.Lock()
        self._main = threading.current_thread()
        self._before: Any = None
        self.lost: str | None = None

    def begin(self) -> None:
        """Start checking."""
        global _current
        if self._main is threading.main_thread():
            self._before = signal.signal(signal.SIGUSR2, self._interrupted)
        _current = self
        threading.Thread(target=self._ask, daemon=True, name="ray-watch-ask").start()
        self.start()

    def end(self) -> None:
        """Stop checking; may be called twice."""
        global _current
        with self._lock:
            self._over.set()
        if _current is self:
            _current = None
            if self._main is threading.main_thread():
                signal.signal(signal.SIGUSR2, self._before or signal.SIG_DFL)

    def look(self) -> str | None:
        """Which part of Ray is dead, None where all are alive."""
        for name, process in self._own.items():
            if (code := process.poll()) is not None:
                how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
                return f"the Ray of this run has died (its {name} was ended {how})"
        if self._raylet is not None:
            self._refused = self._refused + 1 if _refuses_connections(self._raylet) else 0
            if self._refused > 1:
                return f"the raylet of this machine has died (of the Ray at {self._address})"
        if time.monotonic() - self._answered > _patience():
            return f"the Ray at {self._address} has not answered for {_patience():g} s"
        return None

    def verdict(self) -> bool:
        """Whether Ray has died; takes some time where its GCS does not respond at this moment."""
        end = time.monotonic() + _SETTLE_S
        while not (reason := self.lost or self.look()):
            if time.monotonic() > end and time.monotonic() - self._answered < 4 * _ASK_S:
                return False
            time.sleep(0.1)
        self.lost = reason
        return True

    def run(self) -> None:
        while not self._over.wait(_LOOK_S):
            if reason := self.look():
                self._lose(reason)
                return

    def _ask(self) -> None:
        """Send requests to the GCS repeatedly: a process that hangs still accepts connections."""
        client: Any = None
        while not self._over.wait(_ASK_S):
            try:
                client = client or ray._raylet.GcsClient(address=self._address)
                client.check_alive([], timeout=5)
            except ray.exceptions.RayError:
                continue
            except Exception:  # a Ray version with another client
                self._answered = float("inf")
                return
            self._answered = time.monotonic()

    def _lose(self, reason: str) -> None:
        with self._lock:
            if self._over.is_set():
                return
            self.lost = reason
            if self._main is threading.main_thread() and self._main.ident:
                signal.pthread_kill(self._main.ident, signal.SIGUSR2)
        self._kill_workers()  # otherwise they would continue until their trials end
        if self._over.wait(_LEAVE_S):
            return
        self._kill_own()
        giving_back = threading.Thread(target=self._leave, daemon=True)
        giving_back.start()
        giving_back.join(_GIVE_BACK_S)
        _end_process(f"stopped: {self.text}")

    @property
    def text(self) -> str:
        """The message for users: what has died, and what to do."""
        return f"{self.lost}; {_KEPT}"

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self.lost:
            raise Lost(self.text)

    def _kill_workers(self) -> None:
        if not self._own:
            return
        for pid in _workers_of(self._own["raylet"].pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _kill_own(self) -> None:
        """Kill the Ray that this process started; called after _LEAVE_S, since the main thread hangs without a GCS."""
        node = ray._private.worker._global_node
        for running in (node.all_processes if node and self._own else {}).values():
            for info in running:
                info.process.kill()


def _patience() -> float:
    """The seconds to wait for the GCS; less than Ray's own limit, after which Ray ends the process."""
    return min(_SILENCE_S, 0.4 * float(os.environ.get(_RAYS_PATIENCE) or 60))


def _raylet_of(node_id: str) -> tuple[str, int] | None:
    """The address at which the raylet of a node accepts connections."""
    places = [(n["NodeManagerAddress"], n["NodeManagerPort"]) for n in ray.nodes() if n["NodeID"] == node_id]
    return places[0] if places else None


def _refuses_connections(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=2.0).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False  # too busy, or too many open files here: unknown
    return False


def _workers_of(raylet: int) -> list[int]:
    """Processes started by a raylet, which outlive it: their environment contains its pid."""
    mark, found = f"RAY_RAYLET_PID={raylet}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _end_process(text: str) -> None:
    """Print the reason and end at once, with the exit code of a stopped launch; the console's locks may be held."""
    if sys.stdout is not None and sys.stdout.isatty():
        text = f"\x1b[?25h\n{text}"  # a live table hides the cursor
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))
    os._exit(3)


def check() -> None:
    """Raise Lost where the Ray of this process has died."""
    if _current is not None and _current.verdict():
        raise Lost(_current.text)


def lost() -> bool:
    """Whether the Ray of this process is known to have died."""
    return _current is not None and bool(_current.lost or _current.look())


@contextlib.contextmanager
def guarding(*, last: bool = False) -> Iterator[None]:
    """Raise Lost instead of errors that a dead Ray causes; with `last`, checking stops after the block."""
    watch = _current
    try:
        yield
    except Exception as error:
        if watch is not None and watch.verdict():
            raise Lost(watch.text) from error
        raise
    finally:
        if watch is not None and last:
            watch.end()


def shut_down() -> None:
    """Disconnect from a Ray that has died.  If that hangs, the process ends with exit code 3 at its exit."""
    leaving = threading.Thread(target=ray.shutdown, daemon=True, name="ray-shutdown")
    leaving.start()
    leaving.join(_LEAVE_S)
    if leaving.is_alive():
        atexit.register(_end_quietly)  # runs before Ray's own exit handler, which would hang too


def _end_quietly() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(3)
