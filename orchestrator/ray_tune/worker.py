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
    """Trains one trial per step, or with loggers one epoch per step.

    The process is used again for the next trial that needs the same resources.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([config["room"]])

    _epochs: EpochStream | None

    def setup(self, config: dict[str, Any]) -> None:
        self._job, self._epochs = Job.from_json(config["job"]), None
        self._per_epoch, self._cpus = config["per_epoch"], _cores(config["room"])
        self._refusal = node_check.refusal(node_check.Environment.read(config["driver"]))
        share = self._job.settings.gpus
        if not share:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray does not set it, and a CPU trial would see every GPU
        elif share < 1 and torch.cuda.is_available():
            # Ray only counts shares.  With this limit a trial that exceeds its share fails, not the others on the GPU.
            torch.cuda.set_per_process_memory_fraction(share)
        if not self._refusal:
            memory.freeze_collector()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job, self._epochs = Job.from_json(new_config["job"]), None
        self._cpus = _cores(new_config["room"])
        return True

    def step(self) -> dict[str, Any]:
        if self._refusal:
            return {"done": True, "refusal": self._refusal, "outcome": Outcome(self._job.trial_id, "interrupted")}
        if self._per_epoch:
            self._epochs = self._epochs or EpochStream(self._job, self._cpus)
            result = self._epochs.next()
            if isinstance(result, dict):
                return {"epoch": result}
            outcome = result
        else:
            outcome = perform(self._job, cpus=self._cpus)
        # Its row is published, so the trial is complete; the next one gets a new process.
        if outcome.status != "interrupted" and (capture_failed() or _device_is_broken()):
            os._exit(1)
        return {"done": True, "outcome": outcome}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        return None

    def load_checkpoint(self, checkpoint: Any) -> None:
        return None


def _cores(room: dict[str, float]) -> int:
    """CPU threads that a trial may use."""
    return max(1, int(room["CPU"]))


def _device_is_broken() -> bool:
    """Whether this process can no longer use its GPU, for example after an illegal access or a device assertion."""
    if not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False
