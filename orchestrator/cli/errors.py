"""How errors are shown: one message where the user can fix them, a traceback in a file for all others.

A ValueError, LookupError or OSError is meant for the user if a `raise` statement of our own packages raised it.  Errors
raised by a library, or by Python itself in our code, are bugs, whatever their class.
"""

import dis
import errno
import os
import tempfile
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from orchestrator.terminal import printable

if TYPE_CHECKING:
    from orchestrator.store.run_folder import RunStore

_HOME = Path(__file__).resolve().parents[2]
_OURS = tuple(f"{_HOME / name}{os.sep}" for name in ("orchestrator", "workers", "spaces", "analysis"))
_FOLDER = "errors"  # of a run, for tracebacks
# Errors of the system whose reason is in the machine, its disks and its network.
_MACHINE = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
        *(errno.ENAMETOOLONG, errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EBUSY, errno.ETXTBSY),
        *(errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EPIPE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNREFUSED),
        *(errno.ECONNRESET, errno.ECONNABORTED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRINUSE),
    }
)


def is_users(error: BaseException) -> bool:
    """Whether the message alone says what the user must fix."""
    if isinstance(error, OSError) and error.errno in _MACHINE:
        return True
    if not (isinstance(error, ValueError | OSError) or type(error) is LookupError):
        return False
    if details := _details(error):
        return all(is_users(one) for one in details)
    return _raised_by_us(error.__traceback__)


def is_systems(error: BaseException) -> bool:
    """Whether the error is of the operating system, such as a missing file: a user's mistake or a bug."""
    return isinstance(error, OSError) and error.errno is not None


def message(error: BaseException) -> str:
    """The text of an error for the user."""
    if details := _details(error):
        return "\n".join(str(one) for one in details)
    if any(map(_names_no_file, (error, error.__cause__))) and _is_nowhere():
        return "the working directory was removed; change to an existing one"
    return str(error) or type(error).__name__


def _details(error: BaseException) -> list[BaseException]:
    """Our errors inside a ValidationError of pydantic; empty where it contains others too."""
    if type(error).__name__ != "ValidationError" or not hasattr(error, "errors"):
        return []
    found = [one.get("ctx", {}).get("error") for one in error.errors()]
    return found if all(isinstance(one, BaseException) for one in found) else []


def _raised_by_us(trace: TracebackType | None) -> bool:
    """Whether the innermost line is a `raise` statement in our packages."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    if not os.path.abspath(code.co_filename).startswith(_OURS):
        return False
    return dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"


def _names_no_file(error: BaseException | None) -> bool:
    """Whether the system reports that something does not exist, without its name."""
    return isinstance(error, OSError) and error.errno == errno.ENOENT and error.filename is None


def _is_nowhere() -> bool:
    """Whether the working directory was removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def keep(error: BaseException, store: "RunStore | None") -> str | None:
    """Write the traceback to a file in the run's folder, else in the temporary folder; the path of the file.

    Secrets are removed.  None where no file could be written.
    """
    text = printable("".join(traceback.format_exception(error)), most=None)
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}.txt"
    if store is not None:
        try:
            if store.exists("plan.parquet") or store.listing("rows"):
                store.write(text.encode(errors="backslashreplace"), _FOLDER, name)
                return store.at(_FOLDER, name)
        except Exception:
            pass  # perhaps the reason of the error itself
    try:
        number, path = tempfile.mkstemp(prefix="archsweep-error-", suffix=".txt")
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return None
    return path
