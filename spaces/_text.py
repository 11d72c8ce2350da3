"""Quotes values in messages: short and on one line, for any value."""

import reprlib

_MOST = 120  # characters of a quoted text


class _Short(reprlib.Repr):
    """`repr`, shortened if it would be long or deep, and without errors."""

    def repr_str(self, x: str, level: int) -> str:
        return repr(x) if len(x) <= _MOST else f"{x[:_MOST]!r}... ({len(x):,} characters)"

    def repr_int(self, x: int, level: int) -> str:
        # Python does not convert integers of more than 4,300 digits to text, and a study may contain them.
        return repr(x) if x.bit_length() <= 200 else f"an integer of {x.bit_length():,} bits"


_short = _Short()
_short.maxlevel, _short.maxother = 3, _MOST


def quoted(value: object) -> str:
    """A short `repr` of an external value, for an error message."""
    return _short.repr(value)
