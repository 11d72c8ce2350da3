"""What Ray Tune runs in a worker process: one trial after the other.

Workers import this module to find `SweepTrial`.  It loads no more than a trial needs, so that a machine with other
versions of our packages can still report them.
"""

import os
from typing import Any

import torch
from ray import tune

from orchestrator.execution import node_check
from orchestrator.execution.job import Job, Outcome, perform
from orchestrator.ray_tune.epoch_stream import EpochStream
from workers import memory
from workers.cuda_graphs import capture_failed


class SweepTrial(tune.Trainable):
    """One trial a step, or where loggers listen one epoch; the process stays for the next trial that wants as much
    room."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([config["room"]])

    _epochs: EpochStream | None

    def setup(self, config: dict[str, Any]) -> None:
        self._job, self._epochs = Job.from_json(config["job"]), None
        self._tells, self._cpus = config["tells"], _cores(config["room"])
        self._refusal = node_check.refusal(node_check.Environment.read(config["driver"]))
        share = self._job.settings.gpus
        if not share:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves it unset, and a CPU trial would see every GPU
        elif share < 1 and torch.cuda.is_available():
            # Ray keeps the books, nothing more: a trial that outgrows its share fails alone, not its neighbours.
            torch.cuda.set_per_process_memory_fraction(share)
        if not self._refusal:
            memory.settle()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job, self._epochs = Job.from_json(new_config["job"]), None
        self._cpus = _cores(new_config["room"])
        return True

    def step(self) -> dict[str, Any]:
        if self._refusal:
            return {"done": True, "refusal": self._refusal, "outcome": Outcome(self._job.trial_id, "interrupted")}
        if self._tells:
            self._epochs = self._epochs or EpochStream(self._job, self._cpus)
            told = self._epochs.next()
            if isinstance(told, dict):
                return {"epoch": told}
            outcome = told
        else:
            outcome = perform(self._job, cpus=self._cpus)
        # Where the row is published the trial is settled, and the next one gets a new process.
        if outcome.status != "interrupted" and (capture_failed() or _device_is_broken()):
            os._exit(1)
        return {"done": True, "outcome": outcome}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        return None

    def load_checkpoint(self, checkpoint: Any) -> None:
        return None


def _cores(room: dict[str, float]) -> int:
    """Threads that a trial may use beside its own work on a GPU."""
    return max(1, int(room["CPU"]))


def _device_is_broken() -> bool:
    """Whether this process can use its GPU no more: after an illegal access or an assertion on the device, say."""
    if not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False
