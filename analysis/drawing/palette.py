"""Colours and dashes: a task has one colour and a cell one line on the whole page and in its figures, by light and by
dark.

The hues are those of Okabe and Ito (2008), which colour-blind readers tell apart, darkened or lightened until they
stand out from the background. Where they do not suffice, dashes tell lines apart: cells of one task on several datasets
or with several recipes, and tasks beyond the palette.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle

import pandas as pd

from analysis.comparison.cells import Cells
from analysis.comparison.keys import cell_keys, columns

_TASKS = ("cls", "rot", "col", "jig", "seg", "rand")
_LIGHT = ("#0B66A8", "#C8500A", "#00805F", "#B0578D", "#9A6B00", "#5A636B", "#1F8A9E", "#7A4FB0", "#6B7F2A", "#8C5A2B")
_DARK = ("#62B5EC", "#F08A4B", "#3DC79B", "#E394C0", "#E8B84A", "#AAB4BC", "#5FCBDD", "#B99AE8", "#B4C96A", "#D6A274")
_GREY = _TASKS.index("rand")
_DASHES = ((), (5, 3), (1.5, 2), (8, 2, 1.5, 2), (3, 1.5), (8, 2, 1.5, 2, 1.5, 2), (10, 4))

Key = tuple[str, str, str, str]  # space, dataset_id, task, recipe_id


@dataclass(frozen=True)
class Look:
    """How a line is drawn: the number of its colour, variable --hue-N in the page, and of its dashes, 0 for none."""

    hue: int
    dash: int = 0

    @property
    def colour(self) -> str:
        """The colour on white."""
        return _LIGHT[self.hue]

    @property
    def dashes(self) -> tuple[float, ...]:
        """Lengths of dashes and gaps, in widths of a thin line; none for a solid line."""
        if self.dash < 0:
            return (1, 4)
        if self.dash < len(_DASHES):
            return _DASHES[self.dash]
        return (9, 2, *(1.5, 2) * (self.dash - len(_DASHES) + 3))  # a dash and ever more dots


MUTED = "#A8ADB3"  # points of a pair without signal
AT_RANDOM = Look(_GREY, -1)  # what a random choice gives, beside the proxies


class Looks:
    """The looks of cells in a fixed order, which distinguishes cells of the same colour."""

    def __init__(self, cells: Iterable[Key]) -> None:
        keys = [(str(space), str(d), str(t), str(r)) for space, d, t, r in cells]
        keys = list(dict.fromkeys(keys))
        tasks = dict.fromkeys(task for _, _, task, _ in keys)
        self._tasks = {task: _TASKS.index(task) for task in tasks if task in _TASKS}
        others = [k for k in range(len(_LIGHT)) if k >= len(_TASKS)]
        others += [k for k in range(len(_TASKS)) if k not in {_GREY, *self._tasks.values()}]
        again = cycle([k for k in range(len(_LIGHT)) if k != _GREY])
        for task in tasks:
            if task not in self._tasks:
                self._tasks[task] = others.pop(0) if others else next(again)
        # Recipes have other ids in other spaces; what is the same in all of them is the turn.
        turns: Counter[tuple[str, str, str]] = Counter()
        dashes: Counter[int] = Counter()
        known: dict[tuple[str, str, int], Look] = {}
        self._cells: dict[Key, Look] = {}
        for space, dataset, task, recipe in keys:
            turn, hue = turns[space, dataset, task], self._tasks[task]
            turns[space, dataset, task] += 1
            if (dataset, task, turn) not in known:
                known[dataset, task, turn] = Look(hue, dashes[hue])
                dashes[hue] += 1
            self._cells[space, dataset, task, recipe] = known[dataset, task, turn]
        free = [k for k in range(len(_LIGHT)) if k not in {_GREY, *self._tasks.values()}]
        rest = cycle(free or [k for k in range(len(_LIGHT)) if k != _GREY])
        self._spaces: dict[str, Look] = {}
        for space in dict.fromkeys(space for space, *_ in keys):
            hue = next(rest)
            self._spaces[space] = Look(hue, dashes[hue])
            dashes[hue] += 1

    @classmethod
    def of(cls, table: pd.DataFrame, *sides: str) -> "Looks":
        """Those of the cells that a table names, of pairs on these sides ("x", "y"), in the order of its lines."""
        lines = [table[["space", *columns(side)]] for side in sides]
        each = zip(*(line.itertuples(index=False, name=None) for line in lines), strict=True)
        return cls(key for both in each for key in both)

    def cell(self, space: object, dataset_id: object, task: object, recipe_id: object) -> Look:
        """The look of one of the cells."""
        return self._cells[str(space), str(dataset_id), str(task), str(recipe_id)]

    def task(self, task: object) -> Look:
        """The colour of a task, without dashes."""
        return Look(self._tasks[str(task)])

    def space(self, space: object, dash: int = 0) -> Look:
        """The look of a space, in a colour that no task has as long as there are such; `dash` further dashes."""
        look = self._spaces[str(space)]
        return Look(look.hue, look.dash + dash * len(self._spaces))


def looks_of(spaces: Sequence[Cells]) -> Looks:
    """The colours and dashes of all cells, in their order: trainings first, whose lines are solid then."""
    each = [
        (not trained, (cells.space, *key))
        for cells in spaces
        for key, trained in zip(cell_keys(cells.labels), cells.trained_cells, strict=True)
    ]
    return Looks(key for _, key in sorted(each, key=lambda one: one[0]))


def variables() -> str:
    """The colours as lines of CSS."""
    return "".join(
        f"  --hue-{k}: light-dark({light}, {dark});\n"
        for k, (light, dark) in enumerate(zip(_LIGHT, _DARK, strict=True))
    )
