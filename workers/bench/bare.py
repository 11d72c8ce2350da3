"""A training that makes batches and has no network: what is measured of a data path."""

import torch
from torch import nn

import workers
from workers.data.loader import Source
from workers.methods.train import Training


def trial(task: str, dataset: str, batch: int | None = None) -> workers.Trial:
    """At UnNAS's batch unless told otherwise."""
    recipe = workers.recipe("unnas", space="darts", dataset=dataset, task=task)
    recipe = recipe if batch is None else recipe.replace(batch=batch)
    # Any architecture will do: batches do not depend on it.
    cell = "_".join(["sk.0+sk.1"] * 4)
    return workers.Trial(
        space="darts", arch=f"{cell}:{cell}", dataset=dataset, task=task, recipe=recipe, dataset_id="bench"
    )


def training(of: workers.Trial, train: Source, test: Source, device: torch.device) -> Training:
    """Batches of these images as the trial would see them."""
    net = nn.Linear(1, 1)
    return Training(of, net, torch.optim.SGD(net.parameters(), lr=0.1), train, test, device)
