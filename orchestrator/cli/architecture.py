"""`archsweep show`: an architecture's spellings, cells, parameters and MACs."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

import spaces
import workers
from analysis.drawing.cells import files, terminal
from workers import recipes


def _space_of(arch: str, space: str) -> str:
    """The space that the architecture belongs to; ValueError with the reasons of all spaces."""
    if space:
        return spaces.get(space).name
    objections = []
    for name in spaces.names():
        try:
            spaces.get(name).normal(arch)
        except ValueError as error:
            objections.append(f"  {name}: {error}")
        else:
            return name
    raise ValueError(f"{spaces.quoted(arch)} is not an architecture of any space:\n" + "\n".join(objections))


def show(arch: str, name: str, file: Path | None, out: Console) -> None:
    """Print an architecture; `name` is its space, "" where it is to be found; `file`: draw it there."""
    name = _space_of(arch, name)
    space = spaces.get(name)
    normal = space.normal(arch)
    graph = space.graph(normal)
    if file:
        files.save(graph, file, normal)
    out.print(f"space      {name}", soft_wrap=True)
    out.print(f"arch       {normal}", soft_wrap=True)
    out.print(f"canonical  {space.canonical(normal)}", soft_wrap=True)
    out.print(f"arch_id    {space.arch_id(normal)}", soft_wrap=True)
    for cell in graph["cells"]:
        out.print(f"\n{cell['name']}", soft_wrap=True)
        for line in terminal.lines(cell):
            out.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)
    view = Table(box=None, pad_edge=False)
    for place, column in enumerate(("recipe", "dataset", "task", "params", "MACs, M")):
        view.add_column(column, justify="left" if place < 3 else "right", no_wrap=True)
    for family in recipes.names():
        for its_space, dataset, task in recipes.cells(family):
            if its_space != name:
                continue
            recipe = workers.recipe(family, space=name, dataset=dataset, task=task)
            trial = workers.Trial(space=name, arch=normal, dataset=dataset, task=task, recipe=recipe)
            params, macs = workers.cost(trial)
            view.add_row(family, dataset, task, f"{params:,}", f"{macs / 1e6:,.2f}")
    out.print()
    out.print(view)
    if file:
        out.print(f"drawing: {file}", soft_wrap=True)
