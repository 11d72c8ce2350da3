"""Results from a table instead of trainings: `lookup`, or `lookup/NAME` for one of several recipes of the table.

`override = { table = "runs/nasbench201" }` names the table, which `archsweep import` has made, or any other run
(docs/rehearsal.md).  The parameters and multiply-adds of its rows are those of networks of the size that zero-cost
proxies have.
"""

from workers.recipes import zero_cost
from workers.recipes._untrained import Lookup

LIKE = zero_cost.LIKE
ANY_VARIANT = True  # the text after the slash is a name in the table


def cells() -> list[tuple[str, str, str]]:
    """None: a table may be of any cell."""
    return []


def lookup(space: str, dataset: str, task: str, variant: str = "") -> Lookup:
    """The recipe without its table; LookupError if there is no such space."""
    size = zero_cost.lookup(space, dataset, task, "params")
    name = f"lookup/{variant}" if variant else "lookup"
    return Lookup(name=name, measured=variant or None, width=size.width, depth=size.depth)
