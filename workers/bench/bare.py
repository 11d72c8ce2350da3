"""A training that only makes batches, with a dummy network: for benchmarks of the data path."""

import torch
from torch import nn

import workers
from workers import recipes
from workers.data.loader import Source
from workers.methods.train import Training


def trial(task: str, dataset: str, batch: int | None = None) -> workers.Trial:
    """A trial with UnNAS's recipe; `batch` overrides its batch size."""
    recipe = recipes.training("unnas", space="darts", dataset=dataset, task=task)
    recipe = recipe if batch is None else recipe.replace(batch=batch)
    # An arbitrary architecture: batches do not depend on it.
    cell = "_".join(["sk.0+sk.1"] * 4)
    return workers.Trial(
        space="darts", arch=f"{cell}:{cell}", dataset=dataset, task=task, recipe=recipe, dataset_id="bench"
    )


def training(of: workers.Trial, train: Source, test: Source, device: torch.device) -> Training:
    """A training on these images, which makes the batches of the trial."""
    net = nn.Linear(1, 1)
    return Training(of, net, torch.optim.SGD(net.parameters(), lr=0.1), train, test, device)
