"""The state of a run between two epochs or two steps, kept where any node can go on with it."""

import io
import logging
from typing import Any

import torch

from workers import checksum, files
from workers.trial import Trial

log = logging.getLogger(__name__)


def save(url: str, trial: Trial, state: dict[str, Any]) -> bool:
    """Publish the state of a training, with a checksum; the checkpoint before it stays whole until then.

    False where the store refuses.  That is said in the log, and training goes on: the next checkpoint may find it
    better.
    """
    buffer = io.BytesIO()
    torch.save({"trial_id": trial.id, "state": state}, buffer)
    try:
        files.publish(url, checksum.add_to_zip(buffer.getvalue()))
    except OSError as error:
        log.warning("no checkpoint was kept (%s)", error)
        return False
    return True


def load(url: str, trial: Trial, device: torch.device) -> dict[str, Any] | None:
    """The state to go on from, or None: no checkpoint, another trial's, an unreadable or damaged one, or a store that
    does not give it after several tries (said in the log).

    Only tensors and plain values are read, never pickled code.
    """
    try:
        data = files.with_retries(lambda: files.read(url), "the checkpoint could not be read")
        if data is None:
            return None
        checksum.check_zip(data)
        found = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        if found["trial_id"] != trial.id:
            raise ValueError(f"it belongs to trial {found['trial_id']}, not {trial.id}")
        state: dict[str, Any] = found["state"]
    except Exception as error:
        log.warning("the checkpoint at %s is of no use (%s): training from the start", url, error)
        return None
    return state
