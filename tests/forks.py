"""Processes forked from one that has imported everything: a start costs hundredths of a second, not several seconds.

One server serves all test processes of a session. The first that needs it starts it, and it ends when the last of them
has ended. `Forked` runs a function in a process of its own, `program` Python code.
"""

import atexit
import contextlib
import fcntl
import gc
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from subprocess import DEVNULL, CompletedProcess, Popen

ROOT = Path(__file__).resolve().parents[1]
# What commands and workers import before they begin.
LOADED = [
    "analysis",
    "matplotlib.pyplot",
    "orchestrator.__main__",
    "orchestrator.cli.main",
    "orchestrator.cli.doctor",
    "orchestrator.importing.rows",
    "orchestrator.cli.listing",
    "orchestrator.cli.preview",
    "orchestrator.cli.progress",
    "orchestrator.cli.watching",
    "orchestrator.ray_tune.cluster",
    "orchestrator.ray_tune.engine",
    "orchestrator.ray_tune.worker",
    "orchestrator.runner",
    "torch",
    "torch._dynamo",  # by the first step of an optimiser
    "torchvision",
    "workers.bench.packing",
    "workers.run",
]
PATIENCE_S = 240.0  # for a machine that has other things to do


class Forked:
    """A process that runs `function(*arguments)`, with the methods of a `multiprocessing.Process` that tests use.

    Open files come to the function as its first arguments, under numbers of their own.
    """

    def __init__(self, function: Callable[..., object], *arguments: object, files: Sequence[int] = ()) -> None:
        self.pid = _server().fork(function, arguments, files)

    @property
    def exitcode(self) -> int | None:
        """Its exit code, the negative signal that ended it, or None while it runs."""
        return _server().codes(0).get(self.pid)

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.exitcode is None

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most so many seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.is_alive() and (end is None or time.monotonic() < end):
            _server().codes(0.05 if end is None else max(0.0, min(0.05, end - time.monotonic())))

    def kill(self) -> None:
        """End it at once."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def program(code: str, *words: object) -> CompletedProcess[str]:
    """`python -c CODE WORDS` with everything imported already."""
    with tempfile.TemporaryDirectory(prefix="program-") as folder:
        files = Path(folder, "out"), Path(folder, "err")
        process = Forked(_program, code, [str(word) for word in words], [str(file) for file in files])
        process.join(PATIENCE_S)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"the program had not ended after {PATIENCE_S:g} s")
        out, err = (file.read_text() if file.exists() else "" for file in files)
        return CompletedProcess(["-c", *map(str, words)], process.exitcode or 0, out, err)


def _program(code: str, words: list[str], files: list[str]) -> None:
    for number, file in zip((1, 2), files, strict=True):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.argv = ["-c", *words]
    main = type(sys)("__main__")
    sys.modules["__main__"] = main
    exec(compile(code, "<string>", "exec"), main.__dict__)


class _Server:
    """The connection of this process to the server; it ends the server if it is the last."""

    def __init__(self, connection: Connection) -> None:
        self.owner = os.getpid()
        self._connection = connection
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}

    def fork(self, function: Callable[..., object], arguments: tuple[object, ...], files: Sequence[int]) -> int:
        """The id of a new process."""
        work = pickle.dumps((function, arguments))
        with self._lock:
            self._connection.send((work, dict(os.environ), sys.path, os.getcwd(), len(files)))
            if files:
                with socket.socket(fileno=os.dup(self._connection.fileno())) as stream:
                    socket.send_fds(stream, [b"."], files)
            while (answer := self._connection.recv())[0] != "started":
                self._codes[answer[1]] = answer[2]
            self._codes.pop(answer[1], None)  # of an earlier process with this id
            return int(answer[1])

    def codes(self, seconds: float) -> dict[int, int]:
        """The exit codes of the processes that have ended; waits so long for one more."""
        with self._lock:
            while self._connection.poll(seconds):
                _, pid, code = self._connection.recv()
                self._codes[pid] = code
                seconds = 0
            return self._codes


_connected: list[_Server] = []
_started: list[Popen[bytes]] = []  # kept, as a Popen that is dropped warns


def _server() -> _Server:
    """The server, started where there is none; a forked process of the tests connects by itself."""
    if not _connected or _connected[-1].owner != os.getpid():
        _connected.append(_Server(_connection()))
    return _connected[-1]


def _connection() -> Connection:
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    place = Path(tempfile.gettempdir(), f"archsweep-tests-{os.getuid()}-{session[:12]}")
    with open(f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            return _connect(place)
        place.unlink(missing_ok=True)
        # In a session of its own, as it may outlive this process; xdist speaks on standard output.
        server = Popen(
            [sys.executable, "-c", "import sys; from tests import forks; forks.serve(sys.argv[1])", str(place)],
            cwd=ROOT,
            start_new_session=True,
            stdin=DEVNULL,
            stdout=DEVNULL,
        )
        _started.append(server)
        end = time.monotonic() + PATIENCE_S
        while server.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError):
                return _connect(place)
            time.sleep(0.02)
        raise RuntimeError(f"the server of processes did not start: exit code {server.poll()}")


def _connect(place: Path) -> Connection:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))
        return Connection(client.detach())


def serve(place: str) -> None:
    """Be the server at this place, until no test process is connected any more."""
    for name in LOADED:
        import_module(name)
    gc.freeze()  # a collection in a forked process would copy the pages of all that was imported
    ended, noted = os.pipe()
    os.set_blocking(noted, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(noted)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    clients: dict[Connection, set[int]] = {}
    while True:
        ready = wait([listener, ended, *clients], None if clients else PATIENCE_S)
        if listener in ready:
            clients[Connection(listener.accept()[0].detach())] = set()
        if ended in ready:
            os.read(ended, 1024)
            _report(clients)
        for client in [c for c in clients if c in ready]:
            try:
                *request, count = client.recv()
                files = _files(client, count)
            except (EOFError, OSError):
                for pid in clients.pop(client):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                continue
            if pid := os.fork():
                clients[client].add(pid)
                for file in files:
                    os.close(file)
                with contextlib.suppress(OSError):
                    client.send(("started", pid))
            else:
                for other in (listener, *clients):
                    other.close()
                os.close(ended), os.close(noted)
                _become(*request, files)
        if not clients:
            for file in (place, f"{place}.lock"):
                with contextlib.suppress(OSError):
                    os.unlink(file)
            return


def _files(client: Connection, count: int) -> list[int]:
    """The open files that come after a request."""
    if not count:
        return []
    with socket.socket(fileno=os.dup(client.fileno())) as stream:
        return socket.recv_fds(stream, 1, count)[1]


def _report(clients: dict[Connection, set[int]]) -> None:
    """Tell each test process which of its processes have ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        for client, its in clients.items():
            if pid in its:
                its.remove(pid)
                with contextlib.suppress(OSError):
                    client.send(("ended", pid, os.waitstatus_to_exitcode(status)))


def _become(work: bytes, environment: dict[str, str], path: list[str], folder: str, files: list[int]) -> None:
    """In the new process: do the work in the environment of the test, and end as Python ends."""
    code: object = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        function, arguments = pickle.loads(work)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = path
        os.chdir(folder)
        function(*files, *arguments)
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    for end in (threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):  # type: ignore[attr-defined]
        with contextlib.suppress(Exception):
            end()
    os._exit(code if isinstance(code, int) else 1)
