"""How much memory a training holds, told from its network without a device that has it; and giving it back."""

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
_SLICE_COPIES = 4  # upsampled scores of a slice, their logarithms, and the gradients of both


def training_bytes(trial: Trial) -> int:
    """Bytes of one training step: weights, gradients, momentum, what the backward pass needs, and the images.

    Counted on the meta device, so it takes no memory and no GPU.  Dense tasks never make all upsampled scores, so
    of them one slice is counted (workers/tasks/_sliced_loss.py).  An estimate: libraries add workspaces, allocators
    gaps, evaluation and graphs memory of their own, and a CUDA process some hundred megabytes.  Rows have what was
    really held (`peak_reserved_bytes`).
    """
    task, dataset, recipe = trial.asked, trial.data, trial.recipe
    with torch.device("meta"):
        net = build_network(trial)
        inputs = torch.empty(recipe.batch * task.views, *task.element(dataset))
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    # Of images of many sizes only the batches are on the device.
    resident = dataset.train_images + dataset.test_images if dataset.large is None else 0
    images = resident * dataset.size**2 * 3
    sliced = 0
    if isinstance(net, Dense):
        classes = task.classes(dataset)
        sliced = _SLICE_COPIES * slice_bytes(classes * inputs[0, 0].numel() * inputs.element_size(), len(inputs))
    return _WEIGHT_COPIES * weights + saved_bytes(net, inputs) + sliced + images


def saved_bytes(net: nn.Module, inputs: Tensor) -> int:
    """Bytes of all tensors that a forward pass keeps for the backward pass, each once, weights aside.

    Of a dense network the pass ends with the scores before upsampling, as in a training step.
    """
    own = {id(p) for p in net.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if id(base) not in own:
            kept[id(base)] = base  # held on to, so that no other tensor gets its id
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = net.scores(inputs) if isinstance(net, Dense) else net(inputs)
    return sum(int(t.numel()) * t.element_size() for t in (*kept.values(), out))


@cache
def make_first_optimizer() -> None:
    """Make an optimiser of one number, once in a process.

    With the first one torch imports a part of itself, and the frames of that import stay behind until the garbage
    collector runs, with all that their callers hold: that must not be a network.
    """
    torch.optim.SGD([nn.Parameter(torch.zeros(1))], fused=True)


def freeze_collector() -> None:
    """Make `release` cheap in a process that trains one trial after the other: what is loaded by now stays for good.

    Collections pass it over from now on; with all libraries loaded each one would take half a second.
    """
    make_first_optimizer()
    gc.freeze()


def release() -> None:
    """Let go of what is no longer used, on the CPU and on GPUs.

    A network may be in a circle of references (of a plug-in's making, say): what is not collected cannot be given back.
    """
    gc.collect()
    # A broken device answers nothing any more; a trial's row tells more of it than this would.
    with contextlib.suppress(RuntimeError):
        torch.cuda.empty_cache()
