"""Standard output and standard error whose failures do not end a command: closed, disk full, limited encoding.

The work of a command is done in any case; output that could not be written is reported at the end.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

# Errors after which no write will succeed; a full disk may have space again.
_GONE = (errno.EPIPE, errno.EBADF, errno.ESHUTDOWN, errno.ECONNRESET)


class Stream:
    """A text stream whose writes do not raise; `lost` is the first error of a write."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._terminal = _is_terminal(stream)
        self.lost: Exception | None = None

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:  # a stream that could not be reconfigured to escape them
            self.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Send on what was written."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    def writelines(self, lines: Any) -> None:
        """Write lines that have their line ends."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)  # writers that find it bypass this class
        return getattr(self._stream, name)

    @property
    def reader_left(self) -> bool:
        """Whether the reader has closed the pipe."""
        return isinstance(self.lost, BrokenPipeError)

    def _lose(self, error: Exception) -> None:
        self.lost = self.lost or error
        number = getattr(error, "errno", None)
        if number in _GONE or (number == errno.EIO and self._terminal):
            self.discard()

    def discard(self) -> None:
        """Send further output, and what is buffered, to the null device."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(null, self._stream.fileno())
            finally:
                os.close(null)
            self._stream.flush()

    def settle(self) -> None:
        """Flush for the last time; output that cannot be written must not raise again when Python exits."""
        self.flush()
        if self.lost is not None:
            self.discard()


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False


def open_missing() -> None:
    """Open the null device for each of standard input, output and error that is closed.

    Otherwise the next file that is opened gets its number, and output of libraries is written into that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, that is this one
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115


@contextlib.contextmanager
def guarded() -> Iterator[tuple[Stream, Stream]]:
    """Standard output and standard error as streams that do not raise, during the block."""
    open_missing()
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")
    streams = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = streams
    try:
        yield streams
    finally:
        for stream in streams:
            stream.settle()
        sys.stdout, sys.stderr = before
