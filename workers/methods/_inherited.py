"""Scores of single architectures with the weights of a supernet: the angle, and the score of the task."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

import spaces
from spaces._angle import angles, sums
from spaces._edges import part_of
from workers.training.epoch import Position, evaluate, precise_bn
from workers.training.steps import Training, nothing


def angles_of(space: str, before: nn.Module, after: nn.Module, archs: Sequence[str], faithful: bool) -> list[float]:
    """The angle (radians) of each architecture; NaN for one that the supernet does not have."""
    with_paths = spaces.single_path(space)
    uses: list[Mapping[str, NDArray[np.int64]] | None] = []
    for arch in archs:
        try:
            uses.append(with_paths.uses(arch))
        except ValueError:
            uses.append(None)
    found = iter(angles(sums(with_paths, before, after, faithful), [one for one in uses if one is not None]).tolist())
    return [math.nan if one is None else next(found) for one in uses]


def accuracy(t: Training, arch: str, between: Callable[[], None] = nothing) -> float:
    """The task's score of an architecture on the images that are evaluated, with its own statistics of batch norm.

    The batches of the statistics are the same for all architectures.  NaN for an architecture that the supernet does
    not have, and if an output is not finite.
    """
    try:
        chosen = spaces.searchable(t.trial.space).one_hot(arch)
    except ValueError:
        return math.nan
    part_of(t.net).choose({name: np.asarray(rows).argmax(1).tolist() for name, rows in chosen.items()})
    precise_bn(t, 0, between)
    score, finite = evaluate(t, Position("test"), between)
    return score if finite else math.nan
