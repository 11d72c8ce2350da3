"""`archsweep` and `python -m orchestrator`.

A Ctrl-C while the command line is being imported ends the process at once: nothing has been done yet.
"""

import os
import signal
from types import FrameType

from orchestrator.cli.streams import open_missing


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(130)


def main() -> None:
    """Load the command line and run it."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else the parent process ignores it
    if ours:
        signal.signal(signal.SIGINT, _end)
    open_missing()
    from orchestrator.cli import main as cli

    if ours:
        signal.signal(signal.SIGINT, cli.interrupted)
    cli.main()


if __name__ == "__main__":
    main()
