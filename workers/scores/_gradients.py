"""What several proxies share: the weights of layers, the loss of the batch and its gradients, sums in float64.

As in the publications, layers are convolutions and linear layers, without biases and batch norm.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from workers.scores._proxy import Subject, Unmeasurable
from workers.tasks._heads import Dense


def layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """The convolutions and linear layers of a network, each once."""
    return [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def weights(net: nn.Module) -> list[Tensor]:
    """The weights of `layers`."""
    return [layer.weight for layer in layers(net)]


def renew(norm: nn.modules.batchnorm._BatchNorm) -> None:
    """Weight 1, bias 0, mean 0, variance 1."""
    for values, start in ((norm.weight, 1.0), (norm.bias, 0.0), (norm.running_mean, 0.0), (norm.running_var, 1.0)):
        if values is not None:
            torch.nn.init.constant_(values, start)


def loss(subject: Subject) -> Tensor:
    """The training loss of the batch, with batch norm in training mode."""
    task = subject.trial.configured_task
    return task.training_loss(subject.net, subject.inputs, subject.targets)


def gradients(of: Tensor, tensors: list[Tensor], keep: bool = False) -> list[Tensor]:
    """The gradients of a scalar; zero for tensors that it does not depend on.  `keep`: they can be derived again."""
    found = torch.autograd.grad(of, tensors, create_graph=keep, allow_unused=True)
    return [torch.zeros_like(x) if gradient is None else gradient for x, gradient in zip(tensors, found, strict=True)]


def total(parts: Iterable[Tensor]) -> float:
    """The sum of all elements of all tensors, in float64."""
    sums = [part.detach().double().sum() for part in parts]
    return float(torch.stack(sums).sum().item()) if sums else 0.0


def jacobian(subject: Subject) -> Tensor:
    """Gradient of the sum of all outputs with respect to the inputs, float64 (B, pixels); on the CPU.

    Outputs of a dense task are the scores before upsampling.  Unmeasurable if an input has the same gradient at every
    pixel, zero for instance: such a row has no correlation with others.
    """
    net, inputs = subject.net, subject.inputs.detach().clone().requires_grad_()
    outputs = net.scores(inputs) if isinstance(net, Dense) else net(inputs)
    (gradient,) = gradients(outputs.sum(), [inputs])
    rows = gradient.flatten(1).double().cpu()
    if not bool(rows.isfinite().all()):
        raise Unmeasurable("the gradient of the outputs is not finite")
    if bool((rows == rows[:, :1]).all(dim=1).any()):
        raise Unmeasurable("the gradient of the outputs is the same at all pixels of an input")
    return rows
