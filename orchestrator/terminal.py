"""The one way to a terminal: text from studies, rows and errors is shown, never obeyed."""

import logging
import os
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from workers.scrub import scrub

_MOST = 20_000  # characters of one message
# Ornaments of ours and of rich in characters that every terminal has, each as wide as before.
_PLAIN = str.maketrans({"…": "~", "━": "#", "–": "-", "−": "-", "·": "|", "×": "x", "—": "-"})


def printable(text: str, most: int | None = _MOST) -> str:
    """The text as a terminal may have it.

    Secrets are scrubbed; characters that move the cursor or turn the writing direction are spelled out (`\\x1b`); only
    line ends and tabs do what they do.  At most `most` characters.
    """
    text = scrub(text)
    if most is not None and len(text) > most:
        text = f"{text[:most]}\n... ({len(text) - most:,} more characters)"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def forget_zero_sizes() -> None:
    """Take COLUMNS=0 and LINES=0 out of the environment: some programs export them where they mean unknown."""
    for name in ("COLUMNS", "LINES"):
        if (value := os.environ.get(name)) is not None and value.isdigit() and not int(value):
            del os.environ[name]


class Terminal(Console):
    """A console for plain text: no markup, no emoji codes, nothing unprintable, in lines and in cells of tables.

    Where the encoding is not UTF-8, what it lacks is spelled in characters that it has.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})
        # rich takes COLUMNS and LINES once, when a console is made; here they are read again, like a terminal's size.
        self._width, self._height = options.get("width"), options.get("height")

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed passes here, cells of tables too."""
        return super().render_str(printable(text, most=None), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything that is printed passes here, as pieces of text."""
        pieces = super().render(renderable, options)
        if has_unicode(self):
            return pieces
        return [p if p.control else p._replace(text=_spelled(p.text, self.encoding)) for p in pieces]

    def on_broken_pipe(self) -> None:
        """A reader that has seen enough ends nothing: from now on nothing is printed."""
        self.quiet = True


def has_unicode(console: Console) -> bool:
    """Whether every character can be shown."""
    return console.encoding.replace("-", "").startswith("utf")


def live(console: Console, view: RenderableType, **options: Any) -> Live:
    """A live display.  Log lines go above it where they would otherwise be written into it."""
    into_it = sys.stderr is not None and sys.stderr.isatty()
    return Live(view, console=console, redirect_stderr=into_it, **options)


def _spelled(text: str, encoding: str) -> str:
    if text.isascii():
        return text
    return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)


class LogLines(logging.Formatter):
    """Log lines for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class LogHandler(logging.Handler):
    """Writes log lines to what standard error is at the moment, so that they appear above a live display.

    It holds no lock while it writes: a terminal that has stopped would stop every thread that logs.
    """

    def createLock(self) -> None:
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        if sys.stderr is not None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def show_cursor() -> None:
    """Give the terminal its cursor back, from a process that is about to end without further ado."""
    for number in (1, 2):
        if os.isatty(number):
            try:
                os.write(number, b"\x1b[?25h\n")
            except OSError:
                continue
            return
