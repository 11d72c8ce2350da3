"""Regularised evolution on a zero-cost proxy, `evolution/params` and others (Real et al. 2019; docs/searches.md).

Networks and batches are those of the recipes `zero_cost`; 1,000 architectures are scored.  With `lookup` in place of a
proxy the scores are those of a table, `override = { table = "runs/nb201", measured = "e200" }`: an imported benchmark,
or the results of any run.  Architectures that it lacks are no candidates.
"""

from workers.recipes import zero_cost
from workers.recipes._candidates import LOOKUP, Evolution, settings

LIKE = zero_cost.LIKE
cells = zero_cost.cells


def variants() -> list[str]:
    """The names of the proxies, and `lookup`."""
    return [*zero_cost.variants(), LOOKUP]


def lookup(space: str, dataset: str, task: str, variant: str) -> Evolution:
    """The recipe with a proxy or with scores of a table, for any task; LookupError for an unknown proxy or space."""
    proxy = zero_cost.lookup(space, dataset, task, "params" if variant == LOOKUP else variant)
    return Evolution.model_validate(settings("evolution", proxy, variant))
