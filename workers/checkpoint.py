"""Checkpoints: the state of a run between two epochs or two steps, stored where any node can resume from it."""

import io
import logging
from typing import Any

import torch

from workers import checksum, files
from workers.trial import Trial

log = logging.getLogger(__name__)


def save(url: str, trial: Trial, state: dict[str, Any]) -> bool:
    """Save the state of a training, with a checksum.  The previous checkpoint is replaced atomically.

    Returns False if the store fails.  The failure is logged and training continues: the next checkpoint may succeed.
    """
    buffer = io.BytesIO()
    torch.save({"trial_id": trial.id, "state": state}, buffer)
    try:
        files.publish(url, checksum.add_to_zip(buffer.getvalue()))
    except OSError as error:
        log.warning("no checkpoint was saved (%s)", error)
        return False
    return True


def load(url: str, trial: Trial, device: torch.device) -> dict[str, Any] | None:
    """The state to resume from.  None if there is no checkpoint, if it belongs to another trial, is damaged, or cannot
    be read after several tries; the reason is logged.

    Only tensors and plain values are loaded, never pickled code.
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
        log.warning("the checkpoint at %s cannot be used (%s); training from the start", url, error)
        return None
    return state
