"""Robustness: the score of trained networks, `robustness/clean` without an attack.

The weights are those of a training of the same space, architecture, task and seed, which a study names with
`weights = "<sweep>"`.  The dataset may be another one: corrupted images, shifted ones, another domain with the same
classes.  Any task has such a score.
"""

import spaces
from workers.recipes._with_base import Attack

_ATTACKS = {"clean": "none"}  # by variant


def cells() -> list[tuple[str, str, str]]:
    """None: the settings are the same everywhere; the network is that of the base."""
    return []


def variants() -> list[str]:
    """The kinds of images."""
    return list(_ATTACKS)


def lookup(space: str, dataset: str, task: str, variant: str) -> Attack:
    """The recipe without its base; LookupError if there is no such variant or space."""
    spaces.get(space)
    if variant not in _ATTACKS:
        raise LookupError(
            f"no {spaces.quoted(variant)} in the recipes robustness; have {', '.join(_ATTACKS)}, as in robustness/clean"
        )
    return Attack.model_validate({"name": f"robustness/{variant}", "attack": _ATTACKS[variant]})
