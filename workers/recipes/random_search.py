"""Random search on a zero-cost proxy, `random_search/params` and others: a control (docs/searches.md).

Networks and batches are those of the recipes `zero_cost`; 1,000 architectures are scored.
"""

from workers.recipes._candidates import RandomSearch
from workers.recipes.zero_cost import LIKE, cells, variants
from workers.recipes.zero_cost import lookup as scored

__all__ = ["LIKE", "cells", "lookup", "variants"]


def lookup(space: str, dataset: str, task: str, variant: str) -> RandomSearch:
    """The recipe with a proxy, for any task; LookupError if there is no such proxy or space."""
    found = scored(space, dataset, task, variant)
    return RandomSearch(
        name=f"random_search/{found.score}",
        score=found.score,
        batch=found.batch,
        batches=found.batches,
        width=found.width,
        depth=found.depth,
    )
