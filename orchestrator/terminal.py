"""The one way to a terminal: text from studies, rows and errors is shown, never obeyed."""

import logging
from typing import Any

from rich.console import Console
from rich.text import Text

from workers.secrets import scrub

_MOST = 20_000  # characters of one message


def printable(text: str, most: int | None = _MOST) -> str:
    """The text as a terminal may have it.

    Secrets are scrubbed; characters that move the cursor, turn the writing direction, or cannot be encoded are
    spelled out (`\\x1b`); only line ends and tabs do what they do.  At most `most` characters.
    """
    text = scrub(text)
    if most is not None and len(text) > most:
        text = f"{text[:most]}\n... ({len(text) - most:,} more characters)"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


class Terminal(Console):
    """A console for plain text: no markup, no emoji codes, nothing unprintable, in lines and in cells of tables."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed passes here, cells of tables too."""
        return super().render_str(printable(text, most=None), **options)


class LogLines(logging.Formatter):
    """Log lines for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
