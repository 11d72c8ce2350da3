"""Commands in processes that are forked from one which has imported everything (tests/forks.py).

`start` gives a command any streams, environment and limits; `Command` keeps what it prints in files, `Screen` is a
terminal in front of one.
"""

import atexit
import contextlib
import fcntl
import io
import os
import pty
import re
import select
import shutil
import signal
import struct
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Any

from tests.forks import Forked

PATIENCE_S = 120.0  # for a machine that has other things to do
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def start(words: list[object], **given: Any) -> Forked:
    """`archsweep WORDS` as a process.

    `stdin`, `stdout`, `stderr`: the path of a file or terminal, "closed", or "broken" (a pipe that nobody reads); by
    default the null device.  `env` is the whole environment, `cwd`, `cpus` and `ignored` (signals) as they say;
    `first` is Python that it runs before.
    """
    environment = given.pop("env", dict(os.environ))
    return Forked(_command, [str(word) for word in words], environment, given)


def code_of(process: Forked) -> int:
    """The exit code of a process that ends by itself."""
    process.join(PATIENCE_S)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(f"the command had not ended after {PATIENCE_S:g} s")
    assert process.exitcode is not None
    return process.exitcode


def _command(words: list[str], env: dict[str, str], given: dict[str, Any]) -> None:
    """Become the command: a new session with these streams and this environment, then its `main`."""
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    if "cwd" in given:
        os.chdir(given["cwd"])
    if "cpus" in given:
        os.sched_setaffinity(0, given["cpus"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in given.get("ignored", ()):
        signal.signal(number, signal.SIG_IGN)
    tempfile.tempdir = None  # TMPDIR is read again
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _connect(number, given.get(name, os.devnull))
    # As Python itself makes them when it starts.
    encoding = env.get("PYTHONIOENCODING", "utf-8")
    sys.stdout, sys.stderr = _text(1, encoding, "strict"), _text(2, encoding, "backslashreplace")
    sys.argv = ["archsweep", *words]
    from ray._raylet import Config

    from orchestrator.__main__ import main
    from orchestrator.cli import main as cli

    Config.initialize("")  # Ray reads its environment variables when it is imported; that was another environment
    # What importing does, for the streams and the environment of this moment.
    cli.forget_zero_sizes()
    cli.out.__init__()  # type: ignore[misc]
    cli.err.__init__(stderr=True)  # type: ignore[misc]
    code: object = 0
    try:
        exec(given.get("first", ""), {})
        main()
    except SystemExit as ended:
        code = ended.code or 0
    with contextlib.suppress(AttributeError):
        try:
            sys.stdout.flush()
        except OSError:
            code = 120  # as of a Python that cannot flush while it ends
    os._exit(code if isinstance(code, int) else 1)


def _connect(number: int, place: str) -> None:
    if place == "closed":
        with contextlib.suppress(OSError):
            os.close(number)
        return
    if place == "broken":
        reader, opened = os.pipe()
        os.close(reader)
    else:
        opened = os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        if number == 0 and os.isatty(opened):
            fcntl.ioctl(opened, termios.TIOCSCTTY, 0)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def _text(number: int, encoding: str, errors: str) -> Any:
    try:
        os.fstat(number)
    except OSError:
        return None
    buffer = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(buffer, encoding, errors, line_buffering=os.isatty(number))


class Command:
    """A command whose output goes to files, with the methods of a Popen that tests use."""

    def __init__(self, *words: object, **given: Any) -> None:
        folder = tempfile.mkdtemp(prefix="command-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)  # not with this object: a failed test may keep it
        self._files = Path(folder, "out"), Path(folder, "err")
        out, err = map(str, self._files)
        self.process = start(list(words), stdout=out, stderr=err, **given)
        self.pid: int = self.process.pid
        while not self._files[1].exists() and self.process.is_alive():
            time.sleep(0.005)  # from here on signals find it in its own session, and with its own handlers

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return kept(self._files[0])

    @property
    def err(self) -> str:
        """What it has printed on standard error so far."""
        return kept(self._files[1])

    @property
    def returncode(self) -> int | None:
        """How it ended, as Popen says it; None while it runs."""
        return self.process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended; TimeoutError where it has not after so many seconds."""
        self.process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"the command had not ended after {timeout} s:\n{self.out}{self.err}")
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, and none to its children."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()


class Screen:
    """A terminal of so many columns and rows with a command on it."""

    def __init__(self, *words: object, columns: int = 100, rows: int = 30, **given: Any) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(columns, rows)
        self._said = bytearray()
        self._open = True
        env = {**os.environ, "TERM": "xterm"} | given.pop("env", {})
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            env.pop(name, None)
        name = os.ttyname(self._slave)
        self.process = start(list(words), stdin=name, stdout=name, stderr=name, env=env, **given)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while self._open:
            ready, _, _ = select.select([self._master], [], [], 0.05)
            if ready:
                self._said += os.read(self._master, 65536)

    @property
    def raw(self) -> str:
        """Everything that was written so far."""
        return self._said.decode(errors="replace")

    @property
    def text(self) -> str:
        """The same without colours and movements of the cursor; what was drawn again begins on a new line."""
        return _CONTROL.sub("", self.raw).replace("\r\n", "\n").replace("\r", "\n")

    def wait_for(self, text: str) -> None:
        """Until the text was shown."""
        end = time.monotonic() + PATIENCE_S
        while text not in self.text:
            if time.monotonic() > end or (not self.process.is_alive() and text not in self.text):
                self.process.kill()
                raise AssertionError(f"{text!r} was not shown, but:\n{self.text[-3000:]}")
            time.sleep(0.02)

    def resize(self, columns: int, rows: int) -> None:
        """Give it another size, which the command is told by a signal."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._master, b"\x03")

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does."""
        self._open = False
        self._reader.join()
        os.close(self._slave)
        os.close(self._master)

    def code(self) -> int:
        """The exit code, once the command has ended."""
        found = code_of(self.process)
        if self._open:
            time.sleep(0.1)
            self.hang_up()
        return found


def kept(file: Path) -> str:
    """What a command wrote to a file, "" where there is none."""
    return file.read_text(errors="replace") if file.is_file() else ""
