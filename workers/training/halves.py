"""How a search divides the training images."""

import torch
from torch import Tensor

from workers.recipes import Search
from workers.streams import stream
from workers.trial import Trial


def halves(trial: Trial, images: int, recipe: Search) -> tuple[Tensor, Tensor]:
    """The positions (n,) of the images that train the network, and of those that train the architecture weights.

    The same for all tasks and methods with the same seed.  If the portion is 1, both are all images.
    """
    order = torch.randperm(images, generator=stream(trial.dataset_id, trial.seed, "halves"))
    first, second = recipe.parts(images)
    return order[:first].sort().values, order[images - second :].sort().values
