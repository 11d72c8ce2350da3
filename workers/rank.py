"""One of the processes that train a network together: `python -m workers.rank PIPE`, started by `workers.ranks`."""

import logging
import os
import pickle
import sys
import threading
import traceback
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from workers import loop
from workers.group import Group
from workers.loop import Interrupted
from workers.run import run_part
from workers.trial import Trial


class Messages(QueueHandler):
    """Sends log records, and everything else that the starting process is to know, through the pipe."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # `enqueue` uses the pipe
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, kind: str, content: Any) -> None:
        """Send a message; if nobody reads it any more, the process ends."""
        with self._lock:
            try:
                self._pipe.send((kind, content))
            except OSError:
                os._exit(1)

    def enqueue(self, record: logging.LogRecord) -> None:
        self.send("log", record)


class Stop:
    """Listens to the starting process: becomes true when that asks for a stop, and ends this process if it dies."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._asked = pipe, threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def __call__(self) -> bool:
        return self._asked.is_set()

    def _listen(self) -> None:
        try:
            while True:
                if self._pipe.recv() == "stop":
                    self._asked.set()
        except (EOFError, OSError):
            os._exit(1)


def main(pipe: Connection) -> int:
    """Train as one of a group; the exit code."""
    about = pipe.recv()
    rank, device, first = about["rank"], about["device"], about["rank"] == 0
    loop.STOP_CHECK_S = about["stop_check_s"]
    messages, stop = Messages(pipe), Stop(pipe)
    logger = logging.getLogger("workers")
    logger.addHandler(messages)
    logger.setLevel(logging.INFO if first else logging.WARNING)
    try:
        if device.startswith("cuda"):
            torch.cuda.set_device(torch.device(device))
        group = Group.join(rank, about["world"], torch.device(device), Path(about["meeting"]))
        row = run_part(
            Trial.model_validate_json(about["trial"]),
            device,
            group,
            stop=stop if first else None,
            on_epoch=(lambda epoch: messages.send("epoch", epoch)) if first else None,
            **about["options"],
        )
        group.leave()
    except Interrupted as stopped:
        messages.send("interrupted", str(stopped))
        return 0
    except BaseException as error:
        messages.send("error", (_packed(error), traceback.format_exc()))
        return 1
    messages.send("row", row)
    return 0


def _packed(error: BaseException) -> bytes:
    """The error as bytes, or a RuntimeError of its text if it cannot be packed."""
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return packed


if __name__ == "__main__":
    code = main(Connection(int(sys.argv[1])))
    logging.shutdown()
    os._exit(code)  # libraries of collectives may wait for processes that are gone
