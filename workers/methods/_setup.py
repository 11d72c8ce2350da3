"""What methods that train by SGD begin with: the network with its optimiser, and where the images are."""

import numpy as np
import torch
from torch import nn

from workers import datasets
from workers.data.loader import Resident, Source, Streamed
from workers.network import build_network
from workers.streams import seed_of
from workers.trial import Trial


def source_of(
    split: datasets.Split | datasets.LargeSplit,
    trial: Trial,
    device: torch.device,
    train: bool,
    cpus: int | None = None,
) -> Source:
    """Small images whole on the device; of large ones the cuts that the task takes, made by threads of `cpus` cores."""
    if isinstance(split, datasets.Split):
        return Resident.of(split, device)
    task, dataset = trial.asked, trial.data
    # What was rounded when it was stored may be rounded again; from original files nothing is.
    dtype = torch.uint8 if split.keep == "pixels" else torch.float32
    side = task.side(dataset)
    frame = (side, side) if train else task.frame(torch.from_numpy(split.sizes(np.arange(len(split)))), dataset)
    return Streamed(
        split, lambda sizes, draws: task.crops(sizes, draws, dataset), frame, dtype, device, task.dense, cpus
    )


def learner(trial: Trial, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The network of a trial with its initial weights, on the device, and the optimiser that trains it."""
    recipe = trial.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("weights", trial.space, trial.arch, trial.seed))
        net = build_network(trial)  # on the CPU: the same weights whatever the device
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            # Nothing reads the counter where there is a momentum, and to count is an operation a norm and step.
            norm.num_batches_tracked = None
    # Batches come as (B, C, H, W); weights in channels-last let convolutions give maps in that layout from the first
    # layer on.  That was measured on CPUs.  On CUDA in fp32 it was not: see docs/benchmarks.md for what to measure.
    net = net.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    return net, optimizer
