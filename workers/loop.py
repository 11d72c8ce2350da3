"""The loop over the epochs of a run of any method: curves, log, checkpoints, stops.

A checkpoint contains the state of the run and its progress.  It is saved between two epochs or between two steps.  Only
checkpoints between steps have the keys `within` and `begun_s`; others have the format of earlier versions.
"""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from workers import checkpoint
from workers.methods._method import Epoch, Run
from workers.trial import Trial

log = logging.getLogger(__name__)
OnEpoch = Callable[[dict[str, float]], None]

STOP_CHECK_S = 1.0  # minimum seconds between two calls of `stop`, which may look up a file in an object store


class Interrupted(Exception):
    """A run ended early because `stop` returned true; the message says whether a checkpoint was saved."""


@dataclass
class Progress:
    """The results of a run so far; lists have one value per epoch."""

    train_loss: list[float] = field(default_factory=list)
    test_score: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    diverged: bool = False
    begun_s: float = 0.0  # seconds spent on the next epoch before the checkpoint from which the run resumed

    @property
    def epochs(self) -> int:
        return len(self.train_loss)

    @property
    def last(self) -> dict[str, float]:
        """The results of the last completed epoch, by the names that loggers use."""
        curves = {"train_loss": self.train_loss, "test_score": self.test_score, "seconds": self.seconds}
        return {"training_iteration": self.epochs} | {name: values[-1] for name, values in curves.items()}

    def add(self, epoch: Epoch, seconds: float) -> None:
        """Append the results of an epoch; `seconds` are those spent in this process."""
        self.train_loss.append(epoch.loss)
        self.test_score.append(epoch.score)
        self.seconds.append(self.begun_s + seconds)
        self.begun_s = 0.0
        # Divergence is a result, not a failure: excluding such architectures would bias the sample.
        self.diverged = epoch.diverged

    def kept(self, begun_s: float | None) -> dict[str, Any]:
        """The progress as stored in a checkpoint, `begun_s` seconds into the next epoch; None: between two epochs."""
        state = asdict(self)
        if begun_s is None:
            del state["begun_s"]
        else:
            state["begun_s"] += begun_s
        return state

    def columns(self) -> dict[str, Any]:
        """The columns of a row with scores, losses and times.

        `score_best` is the best finite evaluation, which UnNAS reports, and `score_final` the last one.  `best_epoch`
        is the first epoch with the best score.
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
    """Restore the run from its checkpoint, if there is a valid one; an invalid one leaves the run unchanged."""
    state = checkpoint.load(url, trial, device) if url else None
    if state is None:
        return Progress()
    fresh = copy.deepcopy(run.state())
    try:
        progress = _progress(state, run.epochs)
        run.load({key: value for key, value in state.items() if key != "progress"})
    except Exception as error:  # the checkpoint may be one of another version of the code
        log.warning(
            "the checkpoint at %s does not fit this training (%s); training from the start",
            url,
            " ".join(str(error).split()),
        )
        run.load(fresh)
        return Progress()
    inside = "within" in state
    log.info("resuming %s epoch %d", "within" if inside else "after", progress.epochs + inside)
    return progress


def _progress(state: dict[str, Any], epochs: int) -> Progress:
    """The progress stored in a checkpoint; raises any exception if it is not valid for a run of this many epochs."""
    progress = Progress(**state["progress"])
    within = "within" in state
    if within != ("begun_s" in state["progress"]):
        raise ValueError("the checkpoint has only one of `within` and `begun_s`, expected both or neither")
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
    on_epoch: OnEpoch | None = None,
) -> None:
    """Compute all remaining epochs and append them to `progress`.

    A checkpoint is saved after an epoch or between steps if `every_s` seconds have passed since the last one, and
    before a stop.  `stop` is called at the same places, at most once per `STOP_CHECK_S` seconds; when it returns true,
    Interrupted is raised.
    """
    keeper = _Keeper(run, trial, progress, url, every_s, stop)
    while progress.epochs < run.epochs and not progress.diverged:
        keeper.epoch_begins()
        epoch = run.epoch(progress.epochs, keeper.between_steps)
        progress.add(epoch, keeper.epoch_ends())
        log.info(
            "epoch %d/%d: loss %.4f, %s %.4f, %.1f s",
            progress.epochs,
            run.epochs,
            progress.train_loss[-1],
            trial.metric,
            progress.test_score[-1],
            progress.seconds[-1],
        )
        if on_epoch is not None:
            on_epoch(progress.last)
        if progress.epochs < run.epochs and not progress.diverged:
            keeper.between_epochs()


class _Keeper:
    """Saves checkpoints and calls `stop`, each at its intervals."""

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
        self._saved_at = self._stop_checked_at = time.monotonic()
        self._begun: float | None = None  # start of the current epoch in this process

    def epoch_begins(self) -> None:
        """Start the clock of an epoch."""
        self._begun = time.perf_counter()

    def epoch_ends(self) -> float:
        """Stop the clock; returns the seconds of the epoch."""
        seconds, self._begun = self._seconds(), None
        return seconds

    def between_steps(self) -> None:
        """The same between two steps.  Cheap: mostly it only reads a clock, and it does not wait for the device."""
        if time.monotonic() - self._stop_checked_at >= STOP_CHECK_S:
            self.between_epochs()

    def between_epochs(self) -> None:
        """Call `stop` and save a checkpoint, each if its interval has passed; Interrupted if the run is to stop."""
        now, stopping, kept = time.monotonic(), False, False
        if now - self._stop_checked_at >= STOP_CHECK_S:
            stopping = self._stop is not None and self._stop()
            self._stop_checked_at = time.monotonic()
        if self._url and (stopping or now - self._saved_at >= self._every_s):
            begun_s = None if self._begun is None else self._seconds()
            state = {**self._run.state(), "progress": self._progress.kept(begun_s)}
            kept = checkpoint.save(self._url, self._trial, state)
            self._saved_at = time.monotonic()
        if stopping:
            inside = self._begun is not None
            place = f"{'within' if inside else 'after'} epoch {self._progress.epochs + inside} of {self._run.epochs}"
            where = "its checkpoint was saved" if kept else "no checkpoint of it was saved"
            raise Interrupted(f"stopped {place}; {where}")

    def _seconds(self) -> float:
        return 0.0 if self._begun is None else time.perf_counter() - self._begun
