"""One driver a run: a small file names the holder.

On the holder's own host the operating system knows whether its process still lives (pid, start time and boot together
name a process for good), so a dead holder's lease is taken over at once.  Elsewhere nobody can know, and the lease
counts until it expires.
"""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from orchestrator.store import RunStore
from workers import files

NAME = "lease.json"
LIFE_S = 120.0  # a holder renews it every quarter of this


class Held(RuntimeError):
    """Another driver holds the run; the message names it."""


@dataclass(frozen=True)
class Lease:
    """Who holds a run, and until when (seconds since the epoch)."""

    launch: str
    host: str
    boot: str
    pid: int
    process_start: str
    expires: Annotated[float, Field(allow_inf_nan=False)]

    @classmethod
    def mine(cls, launch: str) -> "Lease":
        """A lease of this process from now on."""
        return cls(launch, platform.node(), _boot(), os.getpid(), _start(os.getpid()), time.time() + LIFE_S)

    @property
    def holder(self) -> str:
        """How a message names the holder."""
        return f"process {self.pid} on {self.host} (launch {self.launch})"

    def alive(self) -> bool:
        """Whether the holder may still be at work."""
        if self.host == platform.node() and self.boot == _boot():
            return _start(self.pid) == self.process_start != ""
        return time.time() < self.expires


_READER = TypeAdapter(Lease)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start(pid: int) -> str:
    """The start time of a process in clock ticks since boot; empty where it is gone (or is only a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _alive_without_proc(pid)
    state, *rest = text.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]


def _alive_without_proc(pid: int) -> str:
    """Systems without /proc tell only whether the pid is taken."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "taken"
    return "taken"


def current(store: RunStore) -> Lease | None:
    """The lease of a run as it stands, None where there is none."""
    return _read(store.read(NAME))


def _read(data: bytes | None) -> Lease | None:
    if not data:
        return None
    try:
        return _READER.validate_json(data)
    except ValueError:
        return None  # half a file of a crashed host: nobody can hold by it


def acquire(store: RunStore, launch: str) -> Lease:
    """Take the run for this process, or raise Held naming who has it.

    Of drivers that try in the same instant one succeeds, on disks and on S3; on other object stores as far as
    `files.create` and `files.replace` reach there.
    """
    mine, url = Lease.mine(launch), store.at(NAME)
    there = store.read(NAME)
    if there is None:
        taken = files.create(url, _bytes(mine))
    else:
        found = _read(there)
        if found is not None and found.alive():
            raise Held(_refusal(found))
        taken = files.replace(url, _bytes(mine), expected=there)
    if not taken:
        winner = current(store)
        raise Held(_refusal(winner) if winner else "another driver took the run in this moment")
    return mine


def _refusal(lease: Lease) -> str:
    if lease.host == platform.node():
        return f"the run is held by {lease.holder}, which is at work now"
    seconds = max(0, int(lease.expires - time.time()))
    return f"the run is held by {lease.holder}; should that be gone, its lease ends in {seconds} s"


def _bytes(lease: Lease) -> bytes:
    return json.dumps(asdict(lease), indent=1).encode()


def held(store: RunStore, launch: str) -> bool:
    """Whether this launch holds the run."""
    found = current(store)
    return found is not None and found.launch == launch


def renew(store: RunStore, launch: str) -> bool:
    """Hold on for another while; False when the run has been taken over."""
    there = store.read(NAME)
    found = _read(there)
    if there is None or found is None or found.launch != launch:
        return False
    return files.replace(store.at(NAME), _bytes(Lease.mine(launch)), expected=there)


def release(store: RunStore, launch: str) -> None:
    """Give the run back, if this launch still holds it."""
    if held(store, launch):
        store.remove(NAME)
