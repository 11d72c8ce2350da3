"""Colours of tasks, the same in every figure and in the page, by light and by dark.

The hues are those of Okabe and Ito (2008), which colour-blind readers tell apart, darkened or lightened until they
stand out from the background.
"""

import zlib
from collections.abc import Iterable

_TASKS = ("cls", "rot", "col", "jig", "seg", "rand")
_LIGHT = ("#0B66A8", "#C8500A", "#00805F", "#B0578D", "#9A6B00", "#5A636B", "#1F8A9E", "#7A4FB0", "#6B7F2A", "#8C5A2B")
_DARK = ("#62B5EC", "#F08A4B", "#3DC79B", "#E394C0", "#E8B84A", "#AAB4BC", "#5FCBDD", "#B99AE8", "#B4C96A", "#D6A274")


def hue(task: str) -> int:
    """The number of the task's colour, variable --hue-N in the page."""
    if task in _TASKS:
        return _TASKS.index(task)
    return len(_TASKS) + zlib.crc32(task.encode(errors="replace")) % (len(_LIGHT) - len(_TASKS))


def hues(names: Iterable[str], tasks: Iterable[str]) -> dict[str, int]:
    """A colour for each name: its task's where no two names share a task, else one after the other."""
    of = dict(zip(names, map(str, tasks), strict=True))
    shared = len(set(of.values())) < len(of)
    grey = _TASKS.index("rand")  # stands for drawing at random beside them
    order = [k for k in range(len(_LIGHT)) if k != grey]
    return {name: order[k % len(order)] if shared else hue(task) for k, (name, task) in enumerate(of.items())}


def colour(task: str) -> str:
    """The task's colour on white."""
    return _LIGHT[hue(task)]


def variables() -> str:
    """The colours as lines of CSS."""
    return "".join(
        f"  --hue-{k}: light-dark({light}, {dark});\n"
        for k, (light, dark) in enumerate(zip(_LIGHT, _DARK, strict=True))
    )
