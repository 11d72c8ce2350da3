"""How tables are printed: as readable text, or as JSON, CSV, LaTeX or Markdown."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.terminal import printable

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, nothing rounded")]
AsCsv = Annotated[bool, typer.Option("--csv", help="print CSV, nothing rounded")]
AsLatex = Annotated[bool, typer.Option("--latex", help="print a LaTeX table (booktabs)")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="print a Markdown table")]

_TITLES = ("space", "target")
_EXTRAS = ("p_perm", "p", "r", "p_holm", "rho_params")
_FOLDS = (40, 20, 16, 12, 10)  # characters of a name per line, tried in this order


def chosen(**options: bool) -> str:
    """The selected format, "" for the readable table; ValueError for several."""
    given = [name for name, wanted in options.items() if wanted]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(f'--{name}' for name in given)} are different outputs: give one of them")
    return given[0] if given else ""


def on_disk(path: Path | None) -> Path | None:
    """The value of an option that names a file or folder on a disk; ValueError for a URL."""
    if path is None:
        return None
    from workers import paths  # imports fsspec

    return Path(paths.disk_path(str(path)))


def put(table: Any, form: str, out: Console, shown: tuple[str, ...] = (), empty: str = "no rows") -> None:
    """Print the table; `shown` are the columns of the readable form, `empty` is printed for an empty table."""
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
    """Write the text unchanged to a file or pipe; on a terminal control characters are escaped."""
    out.file.write(printable(text, most=None) if out.is_terminal else text)
    out.file.flush()


def _show(view: Any, out: Console) -> None:
    """Print as many columns as fit; hidden ones are named below the table.

    Where they do not fit, a space or target that all lines share stands above the table.
    """
    from analysis.tables.text import right

    if _length(view) > out.width:
        one = [name for name in _TITLES if name in view and len(view) > 1 and view[name].nunique() == 1]
        if one:
            out.print("; ".join(f"{name}: {view[name].iloc[0]}" for name in one), soft_wrap=True)
            view = view.drop(columns=one)
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
        out.print(f"hidden columns (terminal too narrow): {', '.join(left_out)}; --csv and --json print all")


def _length(view: Any) -> int:
    """Characters of the longest line, with all columns."""
    return sum(max(len(str(name)), *map(len, view[name].astype(str))) + 2 for name in view.columns) - 2


def _widths(view: Any, numbers: dict[str, bool], most: int) -> dict[str, int]:
    """The columns that fit into `most` characters.  First extra columns are hidden, then names are folded, and at last
    columns are hidden from the end."""
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
    """Note how many planned trials are not done yet: the output covers the others."""
    from analysis.rows.runs import plan

    planned = set(plan(*runs)["trial_id"].to_pylist())
    done = planned & set(rows.loc[rows["status"] == "ok", "trial_id"])
    if len(done) < len(planned):
        note.print(f"partial: {len(done):,} of {len(planned):,} planned trials done", style="dim")
