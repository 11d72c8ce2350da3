"""The columns that name the cells of a table, such that the table fits into a terminal."""

from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrator.store.status import CELL

GAP = 2  # columns of a terminal between two columns of a table
_MANY = 24  # cells above which the variants of a recipe are shown in one line


def shown(cells: Sequence[Sequence[str]], room: int, recipe: bool = False) -> tuple[list[int], str]:
    """The places in `CELL` of the columns to show in `room` characters, and the parts left out, as text.

    The recipe is shown where it distinguishes cells, or if `recipe`.  Where there is not room for all, parts that are
    equal in all cells are left out.
    """
    several = recipe or len({tuple(cell[:3]) for cell in cells}) < len(cells)
    wanted = list(range(4 if several else 3))
    if _width(cells, wanted) <= room or len(cells) < 2:
        return wanted, ""
    differ = [k for k in wanted if len({cell[k] for cell in cells}) > 1]
    return differ, ", ".join(f"{CELL[k]} {cells[0][k]}" for k in wanted if k not in differ)


def _width(cells: Sequence[Sequence[str]], places: Sequence[int]) -> int:
    return sum(max(len(CELL[k]), *(len(cell[k]) for cell in cells)) + GAP for k in places)


def fits(cells: Sequence[Sequence[str]], places: Sequence[int], room: int) -> bool:
    """Whether these columns of names fit."""
    return _width(cells, places) <= room


def width(columns: dict[str, list[str]]) -> int:
    """The characters of columns, given by name, and of the gaps between them."""
    return sum(max(map(len, [name, *lines])) + GAP for name, lines in columns.items()) - GAP * bool(columns)


def families(cells: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """The line of each cell: itself, or for many cells one for all variants of a recipe, `zero_cost (13)`."""
    cells = list(cells)
    if len(cells) <= _MANY:
        return {cell: cell for cell in cells}
    several = Counter((*cell[:3], cell[3].partition("/")[0]) for cell in cells if "/" in cell[3])
    lines = {}
    for cell in cells:
        family = (*cell[:3], cell[3].partition("/")[0])
        n = several[family] if "/" in cell[3] else 1
        lines[cell] = cell if n == 1 else (*cell[:3], f"{family[3]} ({n})")
    return lines
