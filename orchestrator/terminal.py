"""All output to a terminal: text from studies, rows and errors is printed, its control sequences have no effect."""

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
# Replacements of decorative characters by ASCII characters of the same width.
_PLAIN = str.maketrans({"…": "~", "━": "#", "–": "-", "−": "-", "·": "|", "×": "x", "—": "-"})


def printable(text: str, most: int | None = _MOST) -> str:
    """The text in a form that is safe for a terminal.

    Secrets are removed; characters that move the cursor or change the writing direction are escaped (`\\x1b`), except
    line ends and tabs.  At most `most` characters.
    """
    text = scrub(text)
    if most is not None and len(text) > most:
        text = f"{text[:most]}\n... ({len(text) - most:,} more characters)"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def forget_zero_sizes() -> None:
    """Remove COLUMNS=0 and LINES=0 from the environment: some programs set them where the size is unknown."""
    for name in ("COLUMNS", "LINES"):
        if (value := os.environ.get(name)) is not None and value.isdigit() and not int(value):
            del os.environ[name]


class Terminal(Console):
    """A console for plain text: no markup, no emoji codes, no unprintable characters, in lines and in cells of tables.

    Characters that the encoding lacks are replaced or escaped.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})
        # rich takes COLUMNS and LINES once, when a console is made; here they are read again, like a terminal's size.
        self._width, self._height = options.get("width"), options.get("height")

    def render_str(self, text: str, **options: Any) -> Text:
        """Called for every string that is printed, cells of tables too."""
        return super().render_str(printable(text, most=None), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Called for everything that is printed."""
        pieces = super().render(renderable, options)
        if has_unicode(self):
            return pieces
        return [p if p.control else p._replace(text=_spelled(p.text, self.encoding)) for p in pieces]

    def on_broken_pipe(self) -> None:
        """Print nothing from now on: a closed pipe must not end the command."""
        self.quiet = True


def has_unicode(console: Console) -> bool:
    """Whether the console can print every character."""
    return console.encoding.replace("-", "").startswith("utf")


def live(console: Console, view: RenderableType, **options: Any) -> Live:
    """A live display.  Log lines to a terminal are printed above it."""
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
    """Writes log lines to the current sys.stderr, so that they appear above a live display.

    It holds no lock while it writes: a terminal that does not accept output would block every thread that logs.
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
    """Show the terminal's cursor again, in a process that is about to end at once."""
    for number in (1, 2):
        if os.isatty(number):
            try:
                os.write(number, b"\x1b[?25h\n")
            except OSError:
                continue
            return
