"""The scores of each cell as a table: one line per cell, whole at 80 columns."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from orchestrator.store.scores import Cell, Scores

_FRACTIONS = ("top1", "miou")  # metrics that are shown in percent
_GAP = 2  # columns between two columns of the table
_SHORTEST = 8  # characters of a cell's name that is shortened
_MOST = 40  # cells of scores that are no fractions; of more, only those that need attention are shown
_OPTIONAL = (
    "max",
    "min",
    "chance",
    "diverged",
    "missing",
)  # left out, in this order, where a terminal is too narrow for all


def tables(found: Mapping[Cell, Scores], width: int) -> list[Table | str]:
    """A table of the cells whose scores are shown in percent and one of the others, each of at most `width` columns."""
    percent = {cell: one for cell, one in found.items() if one.metric in _FRACTIONS}
    plain = {cell: one for cell, one in found.items() if cell not in percent}
    hidden = [cell for cell, one in plain.items() if not (one.missing or one.diverged or _remarks(one))]
    hidden = hidden if len(plain) > _MOST else []
    plain = {cell: one for cell, one in plain.items() if cell not in set(hidden)}
    both = (("score in %", percent, 100.0), ("score", plain, 1.0))
    parts: list[Table | str] = [_table(title, cells, factor, width) for title, cells, factor in both if cells]
    if hidden:
        more = "further " if plain else ""
        parts.append(f"{len(hidden):,} {more}cells have finite and different scores; `status --json` has their ranges")
    return parts


def _table(title: str, cells: Mapping[Cell, Scores], factor: float, width: int) -> Table:
    columns = {
        name: [_spelled(getattr(one, name), factor) for one in cells.values()] for name in ("min", "median", "max")
    }
    columns = {"n": [f"{one.n:,}" for one in cells.values()]} | columns
    if any(one.chance is not None for one in cells.values()):
        columns["chance"] = [_spelled(one.chance, factor) for one in cells.values()]
    for name in ("diverged", "missing"):
        if any(getattr(one, name) for one in cells.values()):
            columns[name] = [f"{getattr(one, name):,}" if getattr(one, name) else "-" for one in cells.values()]
    remarks = [", ".join(_remarks(one)) for one in cells.values()]
    widths = {name: max(len(name), *map(len, lines)) for name, lines in columns.items()}
    taken, shortest = max(map(len, remarks)) + _GAP * any(remarks), max(_SHORTEST, len(title))
    for name in _OPTIONAL:
        if sum(widths.values()) + _GAP * len(widths) + taken + shortest <= width:
            break
        widths.pop(name, None)
    room = max(width - sum(widths.values()) - _GAP * len(widths) - taken, shortest)
    table = Table(box=None, pad_edge=False)
    table.add_column(title, no_wrap=True)
    for name in widths:
        table.add_column(name, justify="right", no_wrap=True)
    if any(remarks):
        table.add_column("", no_wrap=True, style="yellow")
    for k, name in enumerate(_names(list(cells), room)):
        table.add_row(name, *(columns[c][k] for c in widths), *([remarks[k]] * any(remarks)))
    return table


def _remarks(one: Scores) -> list[str]:
    return ["at chance"] * one.at_chance + ["all equal"] * one.all_equal


def _spelled(value: float | None, factor: float) -> str:
    if value is None:
        return "-"
    return f"{value * factor:.2f}" if factor != 1 else f"{value:.4g}"


def _names(cells: Sequence[Cell], room: int) -> list[str]:
    """Space, dataset, task and, where it tells cells apart, recipe; what all cells share is left out if there is not
    room for it, and the middle of a name that is still too long."""
    # The variant of a recipe says what was measured.
    several = len({cell[:3] for cell in cells}) < len(cells) or any("/" in cell[3] for cell in cells)
    parts = [cell if several else cell[:3] for cell in cells]
    names = [" ".join(one) for one in parts]
    if max(map(len, names)) > room and len(cells) > 1:
        differ = [len({one[k] for one in parts}) > 1 for k in range(len(parts[0]))]
        names = [" ".join(word for word, wanted in zip(one, differ, strict=True) if wanted) for one in parts]
    return [_short(name, room) for name in names]


def _short(name: str, room: int) -> str:
    """The name, its middle left out if it is too long."""
    if len(name) <= room:
        return name
    keep = (room - 1) // 2
    return f"{name[: room - 1 - keep]}…{name[len(name) - keep :]}"
