"""The lease of a run: a small file names the one driver that may work on it.

Where the holder's process is visible (same boot and same PID namespace: two containers on one machine see different
processes), the operating system says whether it is alive: pid, start time and boot identify a process.  The lease of a
dead holder is taken over at once.  Otherwise the lease is valid until it has not been renewed for LIFE_S.  Clocks of
two hosts differ, so the clock of the storage is compared too: if it contradicts the time that the holder wrote, the
driver that wants the run waits to see whether the lease is renewed.
"""

import json
import logging
import os
import platform
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from orchestrator.store.run_folder import RunStore
from workers import files

log = logging.getLogger(__name__)
NAME = "lease.json"
LIFE_S = 120.0  # a holder renews it every quarter of this
_LOOK_S = 1.0  # between two checks whether a lease was renewed


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
    pid_namespace: str = ""  # missing in leases of earlier versions

    @classmethod
    def mine(cls, launch: str) -> "Lease":
        """A lease of this process, starting now."""
        pid = os.getpid()
        return cls(
            launch, platform.node(), _boot(), pid, start_of(pid) or "", time.time() + LIFE_S, namespace_of_pids()
        )

    @property
    def holder(self) -> str:
        """The holder's name in messages."""
        return f"process {self.pid} on {self.host} (launch {self.launch})"

    def seen(self) -> bool | None:
        """Whether the holder's process is alive; None where it is not visible from this process."""
        if self.host != platform.node() or self.boot != _boot():
            return None
        if self.pid_namespace and self.pid_namespace != namespace_of_pids():
            return None
        start = start_of(self.pid)
        return start if start is None else start == self.process_start != ""

    def alive(self) -> bool:
        """Whether the holder may still be working, according to the processes and the clock of this machine."""
        seen = self.seen()
        return time.time() < self.expires if seen is None else seen


_READER = TypeAdapter(Lease)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def namespace_of_pids() -> str:
    """The PID namespace of this process; empty where the system has none."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def start_of(pid: int) -> str | None:
    """The start time of a process in clock ticks since boot; empty where it does not exist (or is a zombie), None where
    it exists but is hidden, as processes of other users may be.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        exists = _pid_exists(pid)
        return ("taken" if exists else "") if not Path("/proc/self/stat").exists() else None if exists else ""
    state, *rest = text.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]


def _pid_exists(pid: int) -> bool:
    """Whether a process has this number: all that systems without /proc can tell."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def current(store: RunStore) -> Lease | None:
    """The current lease of a run, None where there is none."""
    return _read(store.read(NAME))


def _read(data: bytes | None) -> Lease | None:
    if not data:
        return None
    try:
        return _READER.validate_json(data)
    except ValueError:
        return None  # an incomplete file after a crash: it does not count as a lease


def acquire(store: RunStore, launch: str) -> Lease:
    """Take the lease for this process, or raise Held naming its holder.

    If several drivers try at the same moment, one succeeds, on disks and on S3; on other object stores as far as
    `files.create` and `files.replace` are atomic there.  Where the clocks disagree on whether a lease has expired, this
    waits for at most LIFE_S.
    """
    url = store.at(NAME)
    there = store.read(NAME)
    if there is None:
        mine = Lease.mine(launch)
        taken = files.create(url, encoded(mine))
    else:
        found = _read(there)
        if found is not None and (found.seen() or (found.seen() is None and _renewed(store, there, found))):
            raise Held(_refusal(found))
        mine = Lease.mine(launch)
        taken = files.replace(url, encoded(mine), expected=there)
    if not taken:
        winner = current(store)
        raise Held(_refusal(winner) if winner else "another driver took the run in this moment")
    return mine


def _renewed(store: RunStore, there: bytes, found: Lease) -> bool:
    """Whether a lease whose holder is not visible is still valid."""
    age, unexpired = _age(store), time.time() < found.expires
    if unexpired if age is None else unexpired == (age < LIFE_S):
        return unexpired
    rest = LIFE_S - max(age, 0.0) if age is not None and age < LIFE_S else LIFE_S
    log.warning(
        "whether the lease of %s has expired cannot be determined from the clocks here, there and of the run's folder: "
        "waiting %.0f s to see whether it is renewed",
        found.holder,
        rest,
    )
    until = time.monotonic() + rest
    while time.monotonic() < until:
        time.sleep(min(_LOOK_S, rest))
        if store.read(NAME) != there:
            return True  # or it was released: then the next try succeeds
    return False


def _age(store: RunStore) -> float | None:
    """Seconds since the lease was written, by the clock of the storage; None where it has none."""
    probe = f"_clock-{uuid.uuid4().hex[:8]}"
    store.write(b"", probe)
    try:
        now, then = files.modified(store.at(probe)), files.modified(store.at(NAME))
    except FileNotFoundError:
        return None
    finally:
        store.remove(probe)
    return None if now is None or then is None else now - then


def _refusal(lease: Lease) -> str:
    if lease.seen():
        return f"the run is held by {lease.holder}, which is at work now"
    seconds = max(0, int(lease.expires - time.time()))
    return f"the run is held by {lease.holder}; should that be gone, its lease ends in {seconds} s"


def encoded(lease: Lease) -> bytes:
    """The bytes of a lease in its file: JSON."""
    return json.dumps(asdict(lease), indent=1).encode()


def held(store: RunStore, launch: str) -> bool:
    """Whether this launch holds the run."""
    found = current(store)
    return found is not None and found.launch == launch


def renew(store: RunStore, launch: str) -> bool:
    """Extend the lease of this launch; False where another driver has taken the run over."""
    there = store.read(NAME)
    found = _read(there)
    if there is None or found is None or found.launch != launch:
        return False
    return files.replace(store.at(NAME), encoded(Lease.mine(launch)), expected=there)


def release(store: RunStore, launch: str) -> None:
    """Remove the lease, if this launch still holds it."""
    if held(store, launch):
        store.remove(NAME)
