"""Classifies the death of a worker from Ray's errors: caused by the trial, by its machine, or by other processes."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import ray.cloudpickle as cloudpickle
import ray.exceptions
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.execution.tune_controller import TuneController

log = logging.getLogger(__name__)
_FULL = "killed due to the node running low on memory"
_GB = r"actual memory used=([\d.]+)GB"


class Killed(ray.exceptions.RayActorError):
    """A worker that Ray killed, as an error type that Tune handles."""

    def __init__(self, actor_id: str, cause: str, text: str) -> None:
        super().__init__(actor_id, text)
        self.cause_of_death, self.text = cause, text

    def __reduce__(self) -> Any:
        return Killed, (self.actor_id, self.cause_of_death, self.text)


def patch_tune_oom_handling() -> None:
    """Let Tune survive a worker that the memory monitor has killed.

    Ray reports it as an OutOfMemoryError, upon which Tune ends all trials with a RuntimeError (seen with 2.60).  This
    patch passes it on as the death of an actor.
    """
    original: Any = RayActorManager._actor_task_failed
    if getattr(original, "knows_killed", False):
        return

    def task_failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        known = ray.exceptions.RayActorError, ray.exceptions.RayTaskError
        if isinstance(exception, ray.exceptions.RayError) and not isinstance(exception, known):
            live = self._live_actors_to_ray_actors_resources.get(tracked_actor_task._tracked_actor)
            actor_id = live[0]._actor_id.hex() if live else ""
            exception = Killed(actor_id, type(exception).__name__, str(exception))
        original(self, tracked_actor_task, exception)

    task_failed.knows_killed = True  # type: ignore[attr-defined]
    RayActorManager._actor_task_failed = task_failed


def skip_cleanup_when_lost(is_lost: Callable[[], bool]) -> None:
    """Prevent Tune from stopping its actors one by one after Ray has died: each call would hang."""
    clean: Any = TuneController.cleanup
    if getattr(clean, "knows_lost", False):
        return

    def cleanup(self: Any) -> None:
        if not is_lost():
            clean(self)

    cleanup.knows_lost = True  # type: ignore[attr-defined]
    TuneController.cleanup = cleanup


def silence_ray_messages() -> None:
    """Prevent Ray from printing a paragraph for every dead worker: the row has the same information."""
    import ray._private.worker as driver

    if driver.print_to_stdstream is not _logged:
        driver.print_to_stdstream = _logged


def _logged(data: dict[str, Any], *_: Any, **__: Any) -> None:
    log.info("ray: %s", " ".join(data.get("lines", ())))


def error_of(trial: Any) -> Any:
    """The exception that ended a Tune trial, or its text where the exception could not be pickled.

    Read from the driver's disk: in the place where Tune reads it, the file appears only later.
    """
    for path, load in ((trial.pickled_error_file, cloudpickle.loads), (trial.error_file, _without_heading)):
        if path and Path(path).exists():
            return load(Path(path).read_bytes())
    return None


def _without_heading(text: bytes) -> str:
    """The content of Tune's error file without its heading."""
    return re.sub(r"\AFailure # \d+ \(occurred at [^)]*\)\n", "", text.decode(errors="replace"))


def cause(error: Any) -> tuple[str, str]:
    """The error class of a death, and a text for users whose first line says what happened."""
    text = str(error)
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause
        described = f"{type(cause).__name__}: {cause}"
        # Trials themselves never raise: either the store could not be written, or this program has a bug.
        return ("publish", described) if isinstance(cause, OSError) else ("error", text)
    if _FULL in text:  # for a worker that is still starting Ray gives the text alone
        actor_id = error.actor_id if isinstance(error, Killed) else ""
        return ("oom_victim" if _other_process_used_more(actor_id, text) else "oom_host"), _memory(actor_id, text)
    if isinstance(error, Killed) and error.cause_of_death == "NodeDiedError":
        return "node_died", text
    if _went_away(error, text):
        return "node_died", text
    return "worker_died", text


def _went_away(error: Any, text: str) -> bool:
    """Whether the cause was external: the node died, was preempted or lost, or the worker got a SIGTERM."""
    return (
        getattr(error, "preempted", False)
        or isinstance(error, ray.exceptions.ActorUnavailableError)
        or "its node has died" in text
        or "receives a SIGTERM" in text
    )


def _held(actor_id: str, text: str) -> float | None:
    """GB that the worker used according to Ray; None where several were killed and Ray does not tell them apart."""
    mine = re.findall(rf"Actor\({actor_id}\).*?{_GB}", text) if actor_id else []
    chosen = mine or re.findall(rf"Selected to kill: .*?{_GB}", text)
    return float(chosen[0]) if len(chosen) == 1 else None


def _memory(actor_id: str, text: str) -> str:
    """The figures of Ray's long message about a worker that was killed for memory, on one line."""
    held = _held(actor_id, text)
    node = re.search(r"was ([\d.]+)GB used / ([\d.]+)GB limit", text)
    limit = re.search(r"threshold of \d+B \(([\d.]+)%", text)
    figures = f"{float(node[1]):.1f} of {float(node[2]):.1f} GB" if node else ""
    figures += f"{', ' * bool(node)}limit {float(limit[1]):.0f} %" if limit else ""
    worker = f"the worker held {held:.1f} GB" if held is not None else "the worker was killed"
    return f"{worker} when its machine was full{f' ({figures})' * bool(figures)}"


def _other_process_used_more(actor_id: str, text: str) -> bool:
    """Whether another process of the node used more than twice the memory of this worker.

    The memory monitor kills the youngest workers, whichever process filled the memory, and reports the use of each.
    """
    mine = _held(actor_id, text)
    if mine is None:
        return False
    users = text.partition("Top 10 memory users")[2]
    held = [float(gb) for gb in re.findall(_GB, text) + re.findall(r"(?m)^\d+\t([\d.]+)\t", users)]
    return max(held) > 2 * mine
