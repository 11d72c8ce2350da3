"""`archsweep` and `python -m orchestrator`.

Importing the command line takes a second or two, in which nothing has been done yet: a Ctrl-C then ends at once.
"""

import os
import signal
from types import FrameType

from orchestrator.cli.streams import occupy


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(130)


def main() -> None:
    """Load the command line and run it."""
    occupy()
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else whoever started us wants it ignored
    if ours:
        signal.signal(signal.SIGINT, _end)
    from orchestrator.cli import main as cli

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
