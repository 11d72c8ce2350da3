"""The columns that name the cells of a table, such that the table fits into a terminal."""

from collections.abc import Sequence

from orchestrator.store.status import CELL

GAP = 2  # columns of a terminal between two columns of a table


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


def width(columns: dict[str, list[str]]) -> int:
    """The characters of columns, given by name, and of the gaps between them."""
    return sum(max(map(len, [name, *lines])) + GAP for name, lines in columns.items()) - GAP * bool(columns)
