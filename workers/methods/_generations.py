"""An evolution in generations (RLNAS, Zhang et al. 2021): parents are the best of all architectures so far."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

import spaces
from workers.recipes import Rlnas

TRIES = 1_000  # draws of a child that is new and within the limits, before the generation ends with fewer


def generation(
    space: spaces.Searchable,
    recipe: Rlnas,
    scored: Mapping[str, float],
    rng: np.random.Generator,
    allowed: Callable[[str], bool],
) -> list[str]:
    """The architectures that are scored next: none of them is `scored`, all are `allowed`, no two are equal.

    The first ones are children by mutation of a parent, then by crossover of two; random ones fill the rest.  Parents
    are drawn uniformly from the best `recipe.parents` of all scored ones.  There are fewer than `recipe.population` if
    no more are found, none in the end of a small space.
    """
    best = ranked(scored)[: recipe.parents]

    def mutated() -> str:
        return space.mutate(best[int(rng.integers(len(best)))], rng, recipe.mutation)

    def crossed() -> str:
        first, second = (best[int(k)] for k in rng.choice(len(best), 2, replace=False))
        return space.cross(first, second, rng)

    new: dict[str, None] = {}
    kinds = [
        (mutated, recipe.mutated if best else 0),
        (crossed, recipe.crossed if len(best) > 1 else 0),
        (lambda: space.sample(rng), recipe.population),
    ]
    for draw, count in kinds:
        wanted = min(len(new) + count, recipe.population)
        tries = TRIES + 10 * count
        while len(new) < wanted and tries:
            tries -= 1
            child = draw()
            if child not in scored and child not in new and allowed(child):
                new[child] = None
    return list(new)


def ranked(scored: Mapping[str, float]) -> list[str]:
    """Architectures by their score, the best first; of equal ones the one that was scored first.  NaN is last."""
    return sorted(scored, key=lambda arch: -scored[arch] if scored[arch] == scored[arch] else float("inf"))


def listed(space: spaces.Enumerable, allowed: Callable[[str], bool]) -> Sequence[str]:
    """All architectures of a space that are allowed."""
    return [arch for arch in space.archs() if allowed(arch)]
