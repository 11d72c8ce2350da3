"""Estimates the memory of a training from its network, without a GPU; and releases memory after a training."""

import contextlib
import gc
from functools import cache

import torch
from torch import Tensor, nn

from workers.network import build_network
from workers.tasks._heads import Dense
from workers.tasks._sliced_loss import slice_bytes
from workers.trial import Trial

_WEIGHT_COPIES = 3  # weights, gradients, momentum
_SLICE_COPIES = 4  # upsampled scores of a slice, their log-probabilities, and the gradients of both


def training_bytes(trial: Trial) -> int:
    """Estimated bytes of one training step: weights, gradients, momentum, saved activations, and the images.

    Computed on the meta device, so it needs neither memory nor a GPU.  Dense tasks never hold all upsampled scores at
    once, so only one slice of them is counted (workers/tasks/_sliced_loss.py).  The true value is larger: libraries
    need workspaces, allocators leave gaps, evaluation and CUDA graphs need their own memory, and a CUDA process needs
    some hundred megabytes.  Rows hold the measured value (`peak_reserved_bytes`).
    """
    task, dataset, recipe = trial.configured_task, trial.data, trial.recipe
    with torch.device("meta"):
        net = build_network(trial)
        inputs = torch.empty(max(recipe.step_images, 1) * task.views, *task.element(dataset))
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    # Of a dataset with images of many sizes, only batches are on the device.
    resident = dataset.train_images + dataset.test_images if dataset.large is None else 0
    images = resident * dataset.size**2 * 3
    sliced = 0
    if isinstance(net, Dense):
        classes = task.classes(dataset)
        sliced = _SLICE_COPIES * slice_bytes(classes * inputs[0, 0].numel() * inputs.element_size(), len(inputs))
    return _WEIGHT_COPIES * weights + saved_bytes(net, inputs) + sliced + images


def saved_bytes(net: nn.Module, inputs: Tensor) -> int:
    """Bytes of all tensors that a forward pass saves for the backward pass, each counted once, without the weights.

    For a dense network the forward pass ends with the scores before upsampling, as in a training step.
    """
    own = {id(p) for p in net.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if id(base) not in own:
            kept[id(base)] = base  # a reference, so that no other tensor gets its id
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = net.scores(inputs) if isinstance(net, Dense) else net(inputs)
    return sum(int(t.numel()) * t.element_size() for t in (*kept.values(), out))


@cache
def make_first_optimizer() -> None:
    """Create an optimiser of a single parameter, once per process.

    The first optimiser makes torch import some of its modules.  The frames of that import, and everything their callers
    refer to, stay alive until the garbage collector runs; a network must not be among them.
    """
    torch.optim.SGD([nn.Parameter(torch.zeros(1))], fused=True)


def freeze_collector() -> None:
    """Exclude all objects that exist now from garbage collection: for a process that trains one trial after another.

    This makes `release` fast; with all libraries loaded, each collection would otherwise take half a second.
    """
    make_first_optimizer()
    gc.freeze()


def release() -> None:
    """Free memory that is no longer used, on the CPU and on GPUs.

    Garbage is collected first: a network may be part of a reference cycle (made by a plug-in, for instance), and its
    memory cannot be freed before it is collected.
    """
    gc.collect()
    # A broken device raises on every call; the row of the trial already holds the cause.
    with contextlib.suppress(RuntimeError):
        torch.cuda.empty_cache()
