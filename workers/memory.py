"""How much memory a training holds, told from its network without a device that has it."""

import torch
from torch import Tensor, nn

from workers.network import build_network
from workers.trial import Trial

_WEIGHT_COPIES = 3  # weights, gradients, momentum


def training_bytes(trial: Trial) -> int:
    """Bytes of one training step: weights, gradients, momentum, what the backward pass needs, and the images.

    Counted on the meta device, so it takes no memory and no GPU.  A lower bound: libraries add workspaces, allocators
    gaps, and a CUDA process some hundred megabytes of its own.  Rows have what was really used (`peak_mem_bytes`).
    """
    task, dataset, recipe = trial.asked, trial.data, trial.recipe
    with torch.device("meta"):
        net = build_network(trial)
        inputs = torch.empty(recipe.batch * task.views, *task.element(dataset))
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    # Of images of many sizes only the batches are on the device.
    resident = dataset.train_images + dataset.test_images if dataset.varied is None else 0
    images = resident * dataset.size**2 * 3
    return _WEIGHT_COPIES * weights + saved_bytes(net, inputs) + images


def saved_bytes(net: nn.Module, inputs: Tensor) -> int:
    """Bytes of all tensors that a forward pass keeps for the backward pass, each once, weights aside."""
    own = {id(p) for p in net.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if id(base) not in own:
            kept[id(base)] = base  # held on to, so that no other tensor gets its id
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = net(inputs)
    return sum(int(t.numel()) * t.element_size() for t in (*kept.values(), out))
