"""How a message quotes what it was given: short, and on one line, whatever that was."""

import reprlib

_MOST = 120  # characters of one text


class _Short(reprlib.Repr):
    """Python's own spelling, shortened where it would be long, deep, or not to be had at all."""

    def repr_str(self, x: str, level: int) -> str:
        return repr(x) if len(x) <= _MOST else f"{x[:_MOST]!r}... ({len(x):,} characters)"

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write integers of more than 4,300 digits, and a study may hold them.
        return repr(x) if x.bit_length() <= 200 else f"an integer of {x.bit_length():,} bits"


_short = _Short()
_short.maxlevel, _short.maxother = 3, _MOST


def quoted(value: object) -> str:
    """`repr` of anything that came from outside, fit for an error message."""
    return _short.repr(value)
