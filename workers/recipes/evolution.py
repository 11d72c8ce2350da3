"""Regularised evolution on a zero-cost proxy, `evolution/params` and others (Real et al. 2019; docs/searches.md).

Networks and batches are those of the recipes `zero_cost`; 1,000 architectures are scored.
"""

from workers.recipes._candidates import Evolution
from workers.recipes.zero_cost import LIKE, cells, variants
from workers.recipes.zero_cost import lookup as scored

__all__ = ["LIKE", "cells", "lookup", "variants"]


def lookup(space: str, dataset: str, task: str, variant: str) -> Evolution:
    """The recipe with a proxy, for any task; LookupError if there is no such proxy or space."""
    found = scored(space, dataset, task, variant)
    return Evolution(
        name=f"evolution/{found.score}",
        score=found.score,
        batch=found.batch,
        batches=found.batches,
        width=found.width,
        depth=found.depth,
    )
