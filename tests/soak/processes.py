"""The child processes of this process, and no other processes."""

import ctypes
import os
import signal
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SUBREAPER = 36  # of prctl(2)


def adopt() -> None:
    """What loses its parent becomes a child of this process: orphans of a killed driver stay in sight."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this process cannot adopt orphans")


def _parents() -> dict[int, int]:
    """The parent of every living process, zombies left out."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state != "Z":
            found[int(folder.name)] = int(parent)
    return found


def below(ancestor: int) -> list[int]:
    """All living descendants of a process."""
    parents = _parents()

    def descends(pid: int) -> bool:
        while pid := parents.get(pid, 0):
            if pid == ancestor:
                return True
        return False

    return sorted(pid for pid in parents if descends(pid))


def title(pid: int) -> str:
    """The command line of a process, empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def titled(text: str, ancestor: int | None = None) -> list[int]:
    """Descendants (of this process, or of one of them) with a text in their command line."""
    return [pid for pid in below(ancestor or os.getpid()) if text in title(pid)]


def training(ancestor: int | None = None) -> list[int]:
    """Ray's workers that train at this moment: Ray titles them by the method they run."""
    return titled("SweepTrial.train", ancestor)


def kill(pid: int) -> bool:
    """kill -9; False where the process is gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def end_all(seconds: float = 20) -> None:
    """End every descendant of this process."""
    end = time.monotonic() + seconds
    while (rest := below(os.getpid())) and time.monotonic() < end:
        for pid in rest:
            kill(pid)
        time.sleep(0.1)
