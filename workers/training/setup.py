"""The start of methods that train by SGD: the network with its optimiser, and the sources of images."""

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from workers import datasets
from workers.data.loader import Resident, Source, Streamed
from workers.group import Group
from workers.network import build_auxiliary, build_network
from workers.recipes import Sgd, Supernet
from workers.streams import seed_of
from workers.training.across import across
from workers.trial import Trial


def recipe_of(trial: Trial) -> Sgd:
    """The recipe of a trial whose network is trained by SGD; ValueError for one of another method."""
    if not isinstance(trial.recipe, Sgd):
        raise ValueError(f"a recipe of the method {trial.recipe.method!r}; expected one that trains by SGD")
    return trial.recipe


def source_of(
    split: datasets.Split | datasets.LargeSplit,
    trial: Trial,
    device: torch.device,
    train: bool,
    cpus: int | None = None,
) -> Source:
    """The source of a split's images: small ones resident on the device, crops of large ones made by `cpus` threads."""
    if isinstance(split, datasets.Split):
        return Resident.of(split, device)
    task, dataset = trial.configured_task, trial.data
    # Images stored as uint8 are already rounded, so their crops may be rounded again; crops of original files are not.
    dtype = torch.uint8 if split.keep == "pixels" else torch.float32
    side = task.side(dataset)
    frame = (side, side) if train else task.frame(torch.from_numpy(split.sizes(np.arange(len(split)))), dataset)
    return Streamed(
        split, lambda sizes, draws: task.crops(sizes, draws, dataset), frame, dtype, device, task.dense, cpus
    )


def initial(trial: Trial, device: torch.device) -> nn.Module:
    """The network of a trial with its initial weights, on the device; its auxiliary head, if any, as `auxiliary`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("weights", trial.space, trial.arch, trial.seed))
        net = build_network(trial)  # on the CPU: the same weights whatever the device
        if (auxiliary := build_auxiliary(trial, net)) is not None:
            net.auxiliary = auxiliary
        if isinstance(trial.recipe, Supernet) and trial.recipe.init is not None:
            _draw_weights(net, trial.recipe.init)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            # The counter is not used if there is a momentum; counting would cost one operation per norm and step.
            norm.num_batches_tracked = None
    # Batches are (B, C, H, W).  With channels-last weights, convolutions return maps in that layout from the first
    # layer on.  This was measured on CPUs, not on CUDA in fp32: docs/benchmarks.md says what to measure.
    return net.to(device).to(memory_format=torch.channels_last)


@torch.no_grad()
def _draw_weights(net: nn.Module, init: Literal["kaiming", "outputs"]) -> None:
    """Initial weights as in the releases of RLNAS for ImageNet (Zhang et al. 2021), from torch's global generator.

    The squared norm of a convolution's weight is then 2 * outputs (`kaiming`), or 2 * inputs / groups (`outputs`).
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            if init == "kaiming":
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            else:
                kernel = module.kernel_size[0] * module.kernel_size[1]
                nn.init.normal_(module.weight, std=math.sqrt(2 / (kernel * module.out_channels)))
        elif isinstance(module, nn.Linear) and init == "kaiming":
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


def learner(trial: Trial, device: torch.device, group: Group | None = None) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The network of a trial with its initial weights, on the device, and the optimiser that trains it."""
    net = initial(trial, device)
    if group is not None:
        across(net, group)
    return net, sgd(net, recipe_of(trial))


def sgd(net: nn.Module, recipe: Sgd) -> torch.optim.Optimizer:
    """The optimiser of a recipe, with weight decay on the kinds of weights that it says."""
    linear = {id(w) for m in net.modules() if isinstance(m, nn.Linear) for w in m.parameters()}

    def decays(w: nn.Parameter) -> bool:
        return recipe.decays == "all" or w.dim() == 4 or (id(w) in linear and recipe.decays == "kernels_and_classifier")

    weights = list(net.parameters())
    groups = [
        {"params": [w for w in weights if decays(w)], "weight_decay": recipe.weight_decay},
        {"params": [w for w in weights if not decays(w)], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        fused=True,
    )


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load the state of an optimiser; ValueError if a tensor does not have the shape of its parameter."""
    optimizer.load_state_dict(state)
    for parameter, kept in optimizer.state.items():
        for name, value in kept.items():
            # Except for scalars (step counters), the optimiser's tensors have the shape of their parameter.
            if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                raise ValueError(f"{name} is {tuple(value.shape)}, its parameter is {tuple(parameter.shape)}")
