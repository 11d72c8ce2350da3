"""Searches with other tasks than cls as the objective."""

from collections.abc import Mapping

SAMPLES = {"cls": 1, "col": 1, "rot": 4, "jig": 4}
"""Samples that one image gives in a step: four rotations, four tiles.

As in UnNAS (Liu et al. 2020), the batch and both learning rates, also that of the architecture weights, are divided by
them.
"""


def missing(name: str, space: str, dataset: str, task: str, covered: Mapping[str, tuple[str, ...]]) -> LookupError:
    """The error of a family that has no setting for a cell."""
    has = "; ".join(f"{known} on {' or '.join(where)}" for known, where in covered.items())
    return LookupError(
        f"recipe {name!r} has no setting for space={space}, dataset={dataset}, task={task}; it covers {has} with "
        f"{', '.join(SAMPLES)}"
    )
