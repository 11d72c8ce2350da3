"""How a table leaves the command line: for a reader, or to standard output as JSON, CSV, LaTeX or Markdown."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.terminal import printable
from workers import files

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, nothing rounded")]
AsCsv = Annotated[bool, typer.Option("--csv", help="print CSV, nothing rounded")]
AsLatex = Annotated[bool, typer.Option("--latex", help="print a LaTeX table (booktabs)")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="print a Markdown table")]

_EXTRAS = ("p_perm", "p", "r")
_FOLDS = (40, 20, 16, 12, 10)  # characters of a name that stay on one line


def chosen(**asked: bool) -> str:
    """The format that was asked for, "" for the readable table; ValueError for several."""
    given = [name for name, wanted in asked.items() if wanted]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(f'--{name}' for name in given)} are different outputs: give one of them")
    return given[0] if given else ""


def on_disk(path: Path | None) -> Path | None:
    """The value of an option that names a file or folder on a disk; ValueError for a URL."""
    return None if path is None else Path(files.disk_path(str(path)))


def put(table: Any, form: str, out: Console, shown: tuple[str, ...] = (), empty: str = "no rows") -> None:
    """Print the table; `shown` are the columns that readers see of it, `empty` what they are told of an empty one."""
    import analysis

    if form == "json":
        write(analysis.to_json(table), out)
    elif form == "csv":
        write(analysis.to_csv(table), out)
    elif form:
        spell = {"latex": analysis.to_latex, "markdown": analysis.to_markdown}[form]
        write(spell(analysis.for_display(table, shown=shown)), out)
    elif len(table):
        _show(analysis.for_display(table, shown=shown), out)
    else:
        out.print(empty)


def write(text: str, out: Console) -> None:
    """The text as it is into a file or pipe; on a terminal nothing of it is obeyed."""
    out.file.write(printable(text, most=None) if out.is_terminal else text)
    out.file.flush()


def _show(view: Any, out: Console) -> None:
    """As many columns as there is room for; those left out are named below."""
    from analysis.tables.text import right

    numbers = dict(zip(view.columns, right(view), strict=True))
    widths = _widths(view, numbers, out.width)
    table = Table(box=None, pad_edge=False)
    for name, width in widths.items():
        side: Any = "right" if numbers[name] else "left"
        table.add_column(str(name), justify=side, no_wrap=numbers[name], overflow="fold", min_width=width)
    for line in view[list(widths)].itertuples(index=False, name=None):
        table.add_row(*map(str, line))
    out.print(table)
    if left_out := [str(name) for name in view.columns if name not in widths]:
        out.print(f"not shown for want of room: {', '.join(left_out)}; --csv and --json give all")


def _widths(view: Any, numbers: dict[str, bool], most: int) -> dict[str, int]:
    """The columns that fit into so many characters.  Extras go first, then names are folded, and at last columns go
    from the end."""
    longest = {name: max(len(str(name)), *map(len, view[name].astype(str))) for name in view.columns}
    for fold in _FOLDS:
        widths = {n: w if numbers[n] else min(w, max(len(str(n)), fold)) for n, w in longest.items()}
        for k in range(len(_EXTRAS) + 1):
            names = [name for name in widths if name not in _EXTRAS[:k]]
            if sum(widths[name] + 2 for name in names) <= most + 2:
                return {name: widths[name] for name in names}
    while len(names) > 1 and sum(widths[name] + 2 for name in names) > most + 2:
        names.pop()
    return {name: widths[name] for name in names}


def partial(rows: Any, runs: list[str], note: Console) -> None:
    """Say on the side what of the plan is still to come: what is printed is true of the rest."""
    from analysis.rows.runs import plan

    planned = set(plan(*runs)["trial_id"].to_pylist())
    done = planned & set(rows.loc[rows["status"] == "ok", "trial_id"])
    if len(done) < len(planned):
        note.print(f"partial: {len(done):,} of {len(planned):,} planned trials done", style="dim")
