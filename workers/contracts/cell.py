"""The cheap part of the contracts: whether a space, a task and a dataset fit together, checked before training."""

import torch
from torch import Tensor

import spaces
from workers.contracts._check import ContractError, expect
from workers.network import build_network, build_trunk
from workers.trial import Trial


def fits(trial: Trial) -> None:
    """Check the batch that the task makes of two random images, and the shapes of the trunk and the network.

    The network is built on the meta device, without memory.  Takes milliseconds to some tenths of a second and reads no
    data.  ContractError if the batch, the trunk or the network violates the protocols of spaces and tasks.  Exceptions
    raised by the code of a plug-in are not caught.
    """
    inputs, targets = _batch(trial)
    try:
        _network("meta", trial, inputs, targets)
    except ValueError:
        raise
    except Exception:  # some networks read values of tensors while they are built
        try:
            _network("cpu", trial, inputs, targets)
        except Exception as error:
            if isinstance(error, ValueError) or spaces.fault(error) is not None:
                raise
            raise ContractError(
                f"space {trial.space!r} and task {trial.task!r} do not fit: the network of {trial.arch} cannot be "
                f"built and used: {type(error).__name__}: {error}"
            ) from error


def _batch(trial: Trial) -> tuple[Tensor, Tensor]:
    """The inputs and targets that the task makes of two images of noise."""
    task, dataset = trial.configured_task, trial.data
    side = task.side(dataset)
    chance = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, side, side, 3), generator=chance, dtype=torch.uint8)
    shape = (2, side, side) if task.dense else (2,)
    labels = torch.zeros(shape, dtype=torch.uint8 if task.dense else torch.int64)
    inputs, targets = task.batch(images, labels, task.draw(2, dataset, chance, True), dataset)
    who = f"task {trial.task!r} on {trial.dataset}"
    expect(
        inputs.shape[1:] == torch.Size(task.element(dataset)) and inputs.dtype == torch.float32,
        f"{who}: a batch has elements {tuple(inputs.shape[1:])} of {inputs.dtype}; expected {task.element(dataset)} of "
        "torch.float32, as the task's `element` says",
    )
    expect(
        len(inputs) == len(targets) == 2 * task.views,
        f"{who}: two images became {len(inputs)} inputs and {len(targets)} targets; expected {2 * task.views} of each",
    )
    classes = task.classes(dataset)
    inside = bool(((targets >= 0) & ((targets < classes) | (task.dense & (targets == 255)))).all())
    expect(
        targets.dtype == torch.int64 and inside,
        f"{who}: targets are {targets.dtype} from {int(targets.min())} to {int(targets.max())}; expected torch.int64 "
        f"from 0 to {classes - 1}",
    )
    return inputs, targets


def _network(device: str, trial: Trial, inputs: Tensor, targets: Tensor) -> None:
    """The shapes of the trunk and of the whole network."""
    task, dataset = trial.configured_task, trial.data
    who = f"space {trial.space!r}: the trunk of {trial.arch}"
    with torch.random.fork_rng(devices=[]), torch.device(device), torch.no_grad():
        trunk = build_trunk(trial).eval()
        channels = getattr(trunk, "out_channels", None)
        expect(
            isinstance(channels, int),
            f"{who} has no attribute out_channels, the channels of its features: {channels!r}",
        )
        out = trunk(torch.empty(2, task.in_channels, *inputs.shape[-2:]))
        shape = tuple(getattr(out, "shape", ()))
        expect(
            len(shape) == 4 and shape[:2] == (2, channels),
            f"{who} gives {shape}; with out_channels = {channels}, expected (2, {channels}, h, w)",
        )
        answers = build_network(trial).eval()(inputs.to(device))
        expected = (len(targets), task.classes(dataset), *targets.shape[1:])
        expect(
            tuple(getattr(answers, "shape", ())) == expected,
            f"task {trial.task!r} on {trial.dataset}: its network gives {tuple(getattr(answers, 'shape', ()))} for "
            f"inputs {tuple(inputs.shape)}; expected {expected}",
        )
