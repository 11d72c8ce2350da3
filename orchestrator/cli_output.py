"""How a table leaves the command line: for a reader, or to standard output as JSON, CSV, LaTeX or Markdown."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.terminal import printable

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, nothing rounded")]
AsCsv = Annotated[bool, typer.Option("--csv", help="print CSV, nothing rounded")]
AsLatex = Annotated[bool, typer.Option("--latex", help="print a LaTeX table (booktabs)")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="print a Markdown table")]

_FOLDED = 20  # characters of a name that stay on one line


def chosen(**asked: bool) -> str:
    """The format that was asked for, "" for the readable table; ValueError for several."""
    given = [name for name, wanted in asked.items() if wanted]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(f'--{name}' for name in given)} are different outputs: give one of them")
    return given[0] if given else ""


def put(table: Any, form: str, out: Console, shown: tuple[str, ...] = (), empty: str = "no rows") -> None:
    """Print the table; `shown` are the columns that readers see of it, `empty` what they are told of an empty one."""
    import analysis

    if form == "json":
        write(analysis.json_text(table), out)
    elif form == "csv":
        write(analysis.csv_text(table), out)
    elif form:
        spell = {"latex": analysis.latex, "markdown": analysis.markdown}[form]
        write(spell(analysis.view(table, shown)), out)
    elif len(table):
        _show(analysis.view(table, shown), out)
    else:
        out.print(empty)


def write(text: str, out: Console) -> None:
    """The text as it is into a file or pipe; on a terminal nothing of it is obeyed."""
    out.file.write(printable(text, most=None) if out.is_terminal else text)
    out.file.flush()


def _show(view: Any, out: Console) -> None:
    """As many columns as there is room for, the first of them first; the others are named below."""
    from analysis.text import right

    numbers = dict(zip(view.columns, right(view), strict=True))
    least, room, names = {}, out.width + 2, []
    for name in view.columns:
        longest = max(len(str(name)), *(len(str(v)) for v in view[name]))
        # Long names of cells and architectures may be folded, numbers not.
        least[name] = longest if numbers[name] else min(longest, max(len(str(name)), _FOLDED))
        room -= least[name] + 2
        if room >= 0:
            names.append(name)
    table = Table(box=None, pad_edge=False)
    for name in names:
        side: Any = "right" if numbers[name] else "left"
        table.add_column(str(name), justify=side, no_wrap=numbers[name], overflow="fold", min_width=least[name])
    for line in view[names].itertuples(index=False, name=None):
        table.add_row(*map(str, line))
    out.print(table)
    if left_out := [str(name) for name in view.columns if name not in names]:
        out.print(f"not shown for want of room: {', '.join(left_out)}; --csv and --json give all")


def partial(rows: Any, runs: list[str], note: Console) -> None:
    """Say on the side what of the plan is still to come: what is printed is true of the rest."""
    from analysis.runs import plan

    planned = set(plan(*runs)["trial_id"].to_pylist())
    done = planned & set(rows.loc[rows["status"] == "ok", "trial_id"])
    if len(done) < len(planned):
        note.print(f"partial: {len(done):,} of {len(planned):,} planned trials done", style="dim")
