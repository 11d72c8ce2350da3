"""The loop over the epochs of a run, whatever its method: curves, log, checkpoints, stops.

A checkpoint holds the state of the run and its progress.  It is saved between two epochs or between two steps; a
checkpoint between two epochs has the form that it had before there were others (no key `within`, no `begun_s`).
"""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from workers import checkpoint, tasks
from workers.methods._method import Epoch, Run
from workers.trial import Trial

log = logging.getLogger(__name__)
Told = Callable[[dict[str, float]], None]

ASK_S = 1.0  # least seconds between two questions whether to stop: an answer may be a file in an object store


class Interrupted(Exception):
    """A run stopped because it was asked to; the message says whether a checkpoint was kept."""


@dataclass
class Progress:
    """What a run has shown so far; a list has one value per epoch."""

    train_loss: list[float] = field(default_factory=list)
    test_score: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    diverged: bool = False
    begun_s: float = 0.0  # seconds spent on the next epoch before the checkpoint that the run went on from

    @property
    def epochs(self) -> int:
        return len(self.train_loss)

    @property
    def last(self) -> dict[str, float]:
        """The epoch that ended last, by the names that loggers know."""
        curves = {"train_loss": self.train_loss, "test_score": self.test_score, "seconds": self.seconds}
        return {"training_iteration": self.epochs} | {name: values[-1] for name, values in curves.items()}

    def add(self, epoch: Epoch, seconds: float) -> None:
        """Append an epoch; its seconds are those of this process."""
        self.train_loss.append(epoch.loss)
        self.test_score.append(epoch.score)
        self.seconds.append(self.begun_s + seconds)
        self.begun_s = 0.0
        # Divergence is a result, not a failure: leaving such architectures out would bias the sample.
        self.diverged = epoch.diverged

    def kept(self, begun_s: float | None) -> dict[str, Any]:
        """As a checkpoint holds it, after `begun_s` seconds of the next epoch; None: between two epochs."""
        state = asdict(self)
        if begun_s is None:
            del state["begun_s"]
        else:
            state["begun_s"] += begun_s
        return state

    def columns(self) -> dict[str, Any]:
        """The columns of a row that tell how the run went.

        Best and last finite evaluation are both kept; UnNAS reports the best.  The first of equal ones is best.
        """
        finite = [s for s in self.test_score if math.isfinite(s)]
        best = max(finite, default=math.nan)
        return {
            "score_best": best,
            "score_final": self.test_score[-1] if self.test_score else math.nan,
            "best_epoch": self.test_score.index(best) + 1 if finite else None,
            "epochs": self.epochs,
            "train_loss": self.train_loss[-1] if self.train_loss else math.nan,
            "diverged": self.diverged,
            "curve_train_loss": self.train_loss,
            "curve_test_score": self.test_score,
            "curve_seconds": self.seconds,
            "train_s": math.fsum(self.seconds),
        }


def resume(run: Run, trial: Trial, url: str | None, device: torch.device) -> Progress:
    """Go on from a checkpoint where there is one that fits; one that does not leaves no trace in the run."""
    state = checkpoint.load(url, trial, device) if url else None
    if state is None:
        return Progress()
    fresh = copy.deepcopy(run.state())
    try:
        progress = _progress(state, run.epochs)
        run.load({key: value for key, value in state.items() if key != "progress"})
    except Exception as error:  # whatever another version of the code may have left
        log.warning(
            "the checkpoint at %s does not fit this training (%s): training from the start",
            url,
            " ".join(str(error).split()),
        )
        run.load(fresh)
        return Progress()
    inside = "within" in state
    log.info("going on %s epoch %d", "within" if inside else "after", progress.epochs + inside)
    return progress


def _progress(state: dict[str, Any], epochs: int) -> Progress:
    """The progress that a checkpoint holds; an error of any kind where it cannot be that of a run of so many epochs."""
    progress = Progress(**state["progress"])
    within = "within" in state
    if within != ("begun_s" in state["progress"]):
        raise ValueError("the checkpoint has either a position in an epoch or seconds of one, expected both or neither")
    least, most = (0, epochs - 1) if within else (1, epochs)
    lengths = {len(progress.train_loss), len(progress.test_score), len(progress.seconds)}
    if len(lengths) != 1 or not least <= progress.epochs <= most:
        raise ValueError(f"curves of {sorted(lengths)} epochs, expected one number from {least} to {most}")
    return progress


def drive(
    run: Run,
    trial: Trial,
    progress: Progress,
    url: str | None = None,
    every_s: float = 60.0,
    stop: Callable[[], bool] | None = None,
    told: Told | None = None,
) -> None:
    """Compute every epoch that is left; `progress` grows by them.

    A checkpoint is saved now and then: at the end of an epoch and between steps, where `every_s` seconds have passed
    since the last one, and before a stop.  `stop` is asked at the same places, at most once per `ASK_S` seconds.  When
    it says so, Interrupted is raised.
    """
    keeper = _Keeper(run, trial, progress, url, every_s, stop)
    metric = tasks.get(trial.task).metric
    while progress.epochs < run.epochs and not progress.diverged:
        keeper.epoch_begins()
        epoch = run.epoch(progress.epochs, keeper.between_steps)
        progress.add(epoch, keeper.epoch_ends())
        log.info(
            "epoch %d/%d: loss %.4f, %s %.4f, %.1f s",
            progress.epochs,
            run.epochs,
            progress.train_loss[-1],
            metric,
            progress.test_score[-1],
            progress.seconds[-1],
        )
        if told is not None:
            told(progress.last)
        if progress.epochs < run.epochs and not progress.diverged:
            keeper.between_epochs()


class _Keeper:
    """Saves checkpoints and asks whether to stop, each when it is time."""

    def __init__(
        self,
        run: Run,
        trial: Trial,
        progress: Progress,
        url: str | None,
        every_s: float,
        stop: Callable[[], bool] | None,
    ) -> None:
        self._run, self._trial, self._progress = run, trial, progress
        self._url, self._every_s, self._stop = url, every_s, stop
        self._saved = self._asked = time.monotonic()
        self._begun: float | None = None  # when the epoch that is under way began here

    def epoch_begins(self) -> None:
        """Start the clock of an epoch."""
        self._begun = time.perf_counter()

    def epoch_ends(self) -> float:
        """Stop it; the seconds."""
        seconds, self._begun = self._seconds(), None
        return seconds

    def between_steps(self) -> None:
        """Nothing most of the time: a clock is read, the device is not."""
        if time.monotonic() - self._asked >= ASK_S:
            self.between_epochs()

    def between_epochs(self) -> None:
        """Ask whether to stop and save a checkpoint, where it is time; Interrupted where the run is to stop."""
        now, stopping, kept = time.monotonic(), False, False
        if now - self._asked >= ASK_S:
            stopping = self._stop is not None and self._stop()
            self._asked = time.monotonic()
        if self._url and (stopping or now - self._saved >= self._every_s):
            begun_s = None if self._begun is None else self._seconds()
            state = {**self._run.state(), "progress": self._progress.kept(begun_s)}
            kept = checkpoint.save(self._url, self._trial, state)
            self._saved = time.monotonic()
        if stopping:
            inside = self._begun is not None
            place = f"{'within' if inside else 'after'} epoch {self._progress.epochs + inside} of {self._run.epochs}"
            where = "its checkpoint is kept" if kept else "no checkpoint of it was kept"
            raise Interrupted(f"stopped {place}; {where}")

    def _seconds(self) -> float:
        return 0.0 if self._begun is None else time.perf_counter() - self._begun
