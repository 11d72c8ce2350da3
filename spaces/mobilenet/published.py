"""Published MobileNet-like architectures by name."""

from collections.abc import Sequence

from spaces._text import quoted
from spaces.mobilenet.blocks import BLOCKS, OPS, SKIP, allowed, write

NUMBERS = {-1: SKIP, **dict(enumerate(OPS))}
"""The operations of the numbers in RLNAS's release."""

_BY_NAME = {
    # Zhang et al., CVPR 2021 (RLNAS): searched on ImageNet with random labels, at most 475 M multiply-adds.
    "rlnas": (2, 0, -1, 2, 2, 0, 2, 4, 0, 4, 4, 2, 4, 2, 4, 2, 0, 0, 0, 2, 2),
}


def names() -> list[str]:
    """The names of all published architectures."""
    return list(_BY_NAME)


def get(name: str) -> str:
    """The architecture of that name; LookupError lists the names."""
    if name not in _BY_NAME:
        raise LookupError(f"no published MobileNet {quoted(name)}; have {', '.join(_BY_NAME)}")
    return numbered(_BY_NAME[name])


def numbered(numbers: Sequence[int]) -> str:
    """The text of 21 numbers; ValueError for another count, and for a number that its block cannot have."""
    if len(numbers) != BLOCKS:
        raise ValueError(f"a MobileNet has {BLOCKS} blocks; got {len(numbers)}: {list(numbers)!r}")
    ops = []
    for block, number in enumerate(numbers):
        op = NUMBERS.get(number)
        if op not in allowed(block):
            known = [str(n) for n, name in NUMBERS.items() if name in allowed(block)]
            raise ValueError(f"block {block} of a MobileNet is {number!r}; expected one of {', '.join(known)}")
        ops.append(op)
    return write(tuple(ops))
