"""Trains one network on several devices of this machine: one process per device, which this one starts and watches.

This process takes no part in the training.  It never waits for a sum, so it notices at once if one of the others dies:
then it ends them all and raises.  Devices on several machines are the business of Ray Train, which this is not.
"""

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from workers import loop
from workers.data.loader import cores
from workers.trial import Trial

log = logging.getLogger(__name__)

GRACE_S = 3.0  # wait for the cause, after an error that may be its consequence: a sum without one of the processes
ENDING_S = 10.0  # wait for a process to end by itself


@dataclass
class Rank:
    """One of the processes, and the pipe to it."""

    number: int
    device: str
    process: subprocess.Popen[bytes]
    pipe: Connection
    result: Any = None
    silent: bool = False  # its end of the pipe is closed

    @property
    def died(self) -> str | None:
        """How it died; None while it lives, and after it ended with code 0."""
        code = self.process.poll()
        if code in (None, 0):
            return None
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"the process of device {self.device} (number {self.number}) ended {how}"


def run(
    trial: Trial,
    devices: Sequence[str],
    options: Mapping[str, Any],
    stop: Callable[[], bool] | None = None,
    on_epoch: loop.OnEpoch | None = None,
) -> dict[str, Any]:
    """The row of a trial that is trained on these devices; `options`: those of `workers.run.run_part`.

    Raises what the first process to fail has raised, RuntimeError if one of them dies, and Interrupted.
    """
    if trial.recipe.method != "train":
        raise ValueError(f"the method {trial.recipe.method!r} runs on one device; {len(devices)} are given")
    check_batch(trial.recipe.step_images, len(devices))
    share = max(1, (options.get("cpus") or cores()) // len(devices))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="archsweep-ranks-") as folder, contextlib.ExitStack() as stack:
        about = {
            "trial": trial.model_dump_json(),
            "world": len(devices),
            "meeting": str(Path(folder) / "meeting"),
            "options": {**options, "cpus": share},
            "stop_check_s": loop.STOP_CHECK_S,
        }
        ranks = [stack.enter_context(_started(k, device, about)) for k, device in enumerate(devices)]
        _attend(ranks, stop, on_epoch)
        row: dict[str, Any] = ranks[0].result
    return row | {"wall_s": time.perf_counter() - began}


def check_batch(batch: int, world: int) -> None:
    """ValueError unless a batch can be divided equally."""
    if batch % world:
        raise ValueError(
            f"a batch of {batch} images cannot be divided among {world} devices; override batch with a multiple of "
            "them, or use another number of devices"
        )


@contextlib.contextmanager
def _started(number: int, device: str, about: Mapping[str, Any]) -> Iterator[Rank]:
    """A process, which is ended with the block."""
    ours, theirs = Pipe()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")  # a machine may not resolve its own name
    process = subprocess.Popen(
        # -P: a folder `workers` in the current directory is not this package.
        [sys.executable, "-P", "-m", "workers.rank", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the driver, which asks for a stop
    )
    theirs.close()
    try:
        with contextlib.suppress(BrokenPipeError):  # it has died; `_attend` says how
            ours.send({**about, "rank": number, "device": device})
        yield Rank(number, device, process, ours)
    finally:
        ours.close()
        if process.poll() is None:
            process.kill()
        process.wait()


def _attend(ranks: list[Rank], stop: Callable[[], bool] | None, on_epoch: loop.OnEpoch | None) -> None:
    """Receive messages until all processes have ended well."""
    asked = time.monotonic()
    while left := [rank for rank in ranks if not rank.silent]:
        for pipe in wait([rank.pipe for rank in left], timeout=loop.STOP_CHECK_S or 0.05):
            rank = next(rank for rank in left if rank.pipe is pipe)
            try:
                kind, content = rank.pipe.recv()
            except (EOFError, OSError):
                _check_end(rank)
                continue
            if kind == "epoch" and on_epoch is not None:
                on_epoch(content)
            elif kind == "log":
                logging.getLogger(content.name).handle(content)
            elif kind == "row":
                rank.result = content
            elif kind == "interrupted":
                raise loop.Interrupted(content)
            elif kind == "error":
                _raise(rank, content, ranks)
        if stop is not None and time.monotonic() - asked >= loop.STOP_CHECK_S:
            if stop():
                stop = None
                with contextlib.suppress(OSError):
                    ranks[0].pipe.send("stop")
            asked = time.monotonic()


def _check_end(rank: Rank) -> None:
    """RuntimeError unless a process that sends nothing more has ended well, with a row."""
    rank.silent = True
    try:
        rank.process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"the process of device {rank.device} (number {rank.number}) does not end") from None
    if rank.died or rank.result is None:
        raise RuntimeError(rank.died or f"the process of device {rank.device} (number {rank.number}) gave no row")


def _raise(rank: Rank, content: tuple[bytes, str], ranks: list[Rank]) -> None:
    """Raise the error of a process, or say which other one has died before."""
    packed, trace = content
    until = time.monotonic() + GRACE_S
    others = [other for other in ranks if other is not rank]
    while time.monotonic() < until:
        if died := next((other.died for other in others if other.died), None):
            raise RuntimeError(died)
        time.sleep(0.05)
    try:
        error = pickle.loads(packed)
    except Exception:  # an error of a plug-in may not be one that can be unpacked
        error = RuntimeError(trace.strip().splitlines()[-1])
    error.add_note(f"in the process of device {rank.device} (number {rank.number}):\n{trace}")
    raise error
