"""The tables of `archsweep list`: spaces, datasets, tasks, recipes, presets, tables of results."""

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from rich.table import Table

import spaces
from workers import datasets, recipes, tasks

if TYPE_CHECKING:
    from orchestrator.study.schema_parts import Architectures

_LISTED = {
    "spaces": "search spaces, with an architecture of each",
    "datasets": "images that networks are trained on",
    "tasks": "what networks are trained for, and their scores",
    "recipes": "how networks are trained, scored or looked up: epochs, learning rate, batch, width, depth",
    "presets": "studies that can be run by name",
    "tables": "tables of results for `archsweep correlate RUN --of TABLE`",
}


def table(what: str) -> Table:
    """The table of that name, without one a table of what can be listed; ValueError for an unknown name."""
    tables = {
        "spaces": _spaces,
        "datasets": _datasets,
        "tasks": _tasks,
        "recipes": _recipes,
        "presets": _presets,
        "tables": _tables,
    }
    if not what:
        view = _table("archsweep list", "about")
        for name, about in _LISTED.items():
            view.add_row(name, about)
        return view
    if what not in tables:
        raise ValueError(f"list {what!r}: give one of {', '.join(tables)}")
    return tables[what]()


def _table(*columns: str) -> Table:
    view = Table(box=None, pad_edge=False)
    for column in columns:
        view.add_column(column, no_wrap=column != "about")
    return view


def _unusable(view: Table, name: str, error: Exception) -> None:
    """Add the line of a plug-in that cannot be loaded."""
    view.add_row(name, *[""] * (len(view.columns) - 2), f"cannot be used: {error}")


def _about(thing: object) -> str:
    """The first sentence of the docstring of the module that defines the object."""
    text = " ".join((import_module(type(thing).__module__).__doc__ or "").split())
    return text.split(". ")[0].split(" (")[0].rstrip(".")


def _spaces() -> Table:
    view = _table("space", "an architecture, for example", "about")
    for name in spaces.names():
        try:
            space = spaces.get(name)
            view.add_row(name, spaces.sample(space, 1, 0).archs[0], _about(space))
        except Exception as error:  # code of a plug-in; the others are listed anyway
            _unusable(view, name, error)
    view.columns[1].no_wrap = False
    view.columns[1].overflow = "fold"
    return view


def _datasets() -> Table:
    view = _table("dataset", "classes", "train", "test", "pixels", "jigsaw", "about")
    for name in datasets.names():
        try:
            d = datasets.get(name)
        except ValueError as error:
            _unusable(view, name, error)
            continue
        view.add_row(
            name,
            f"{d.classes:,}"
            if d.classes or d.large is None or d.large.maps is None
            else f"{d.large.maps.classes} maps",
            f"{d.train_images:,}",
            f"{d.test_images:,}",
            f"{d.size}",
            f"{d.jigsaw.grid}x{d.jigsaw.grid}",
            _about(d),
        )
    return view


def _tasks() -> Table:
    view = _table("task", "metric", "about")
    for name in tasks.names():
        try:
            task = tasks.get(name)
        except ValueError as error:
            _unusable(view, name, error)
            continue
        view.add_row(name, task.metric, _about(task))
    return view


# What the recipes of a family with many variants do.
_VARIANTS = {
    "zero_cost": "scores any networks without training",
    "random_search": "finds the best of random architectures by a zero-cost proxy",
    "robustness": "gives the score of networks that another sweep trains",
    "evolution": "finds an architecture by regularised evolution with a zero-cost proxy",
}


def _recipes() -> Table:
    view = _table("recipe", "space", "dataset", "task", "epochs", "lr", "batch", "width", "depth")
    view.padding = (0, 1, 0, 0)  # else the names do not fit into 80 columns
    lines: list[str] = []
    for name in recipes.names():
        for space, dataset, task in recipes.cells(name):
            r = recipes.recipe(name, space=space, dataset=dataset, task=task)
            rates = (r.lr, r.batch) if isinstance(r, recipes.Sgd) else ("-", "-")
            width = r.width or f"{(r.budget or 0) / 1e6:g}M"  # of multiply-adds, from which a width follows
            view.add_row(name, space, dataset, task, *map(str, (r.epochs, *rates, width, r.depth)))
        if several := recipes.variants(name):
            names = ", ".join(text.partition("/")[2] for text in several)
            lines.append(f"{name}/NAME {_VARIANTS.get(name, 'is any of several recipes')}; NAME is one of {names}")
    lines.append("a width such as 585M is the largest whose multiply-adds are within that budget")
    lines.append("lookup/NAME takes results from a table; NAME is a recipe of the table")
    view.caption = "\n".join(lines)
    view.caption_justify, view.caption_style = "left", ""
    return view


def _presets() -> Table:
    from orchestrator.study.schema import load, presets

    view = _table("preset", "sweeps: space, dataset, tasks, recipes, architectures")
    for name in presets():
        study = load(name)
        lines = [
            f"{s.space} on {s.dataset.name}: {' '.join(s.tasks)}; {_names(s.recipe)}; {_which(s.architectures)}"
            for s in study.sweeps
        ]
        view.add_row(name, "\n".join(lines))
    view.columns[1].no_wrap = False
    return view


def _which(architectures: "Architectures") -> str:
    """Which architectures a sweep trains, in a few words."""
    if architectures.sample is not None:
        return f"{architectures.sample} drawn"
    if architectures.found is not None:
        return f"found by {', '.join(architectures.found)}"
    if architectures.given is None:
        return "searches"
    listed = architectures.named or architectures.list or ()
    return {"all": "all architectures", "file": f"those of {architectures.file}"}.get(
        architectures.given, f"{len(listed)} {'published' if architectures.named else 'listed'}"
    )


def _names(several: Sequence[str]) -> str:
    """The names of recipes; those of more than two variants of a family as `zero_cost (13)`."""
    counts = Counter(name.partition("/")[0] for name in several)
    families = ((name, name.partition("/")[0]) for name in several)
    texts = (f"{family} ({counts[family]})" if counts[family] > 2 else name for name, family in families)
    return ", ".join(dict.fromkeys(texts))


def _tables() -> Table:
    from analysis import TABLES

    view = _table("table", "about")
    for name, entry in TABLES.items():
        view.add_row(name, entry.about)
    return view
