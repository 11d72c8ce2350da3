"""The cheap part of the contracts: whether a space, a task and a dataset fit together, before anything is trained."""

import torch

from workers.contracts._check import expect
from workers.network import build_network
from workers.trial import Trial


def batch_and_network(trial: Trial) -> None:
    """One made-up batch of two images through the task, and its shape through the network, which is built without
    memory.

    Milliseconds to some tenths of a second; reads no data.  ContractError, or what the parts raise, where the network
    cannot be trained on such batches.
    """
    task, dataset = trial.asked, trial.data
    side = task.side(dataset)
    chance = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, side, side, 3), generator=chance, dtype=torch.uint8)
    shape = (2, side, side) if task.dense else (2,)
    labels = torch.zeros(shape, dtype=torch.uint8 if task.dense else torch.int64)
    inputs, targets = task.batch(images, labels, task.draw(2, dataset, chance, True), dataset)
    where = f"{trial.task} on {trial.dataset}"
    expect(
        inputs.shape[1:] == torch.Size(task.element(dataset)) and inputs.dtype == torch.float32,
        f"{where}: a batch has elements {tuple(inputs.shape[1:])} of {inputs.dtype}; expected {task.element(dataset)} "
        "of torch.float32, as the task's `element` says",
    )
    expect(
        len(inputs) == len(targets) == 2 * task.views,
        f"{where}: two images became {len(inputs)} inputs and {len(targets)} targets; expected "
        f"{2 * task.views} of each",
    )
    classes = task.classes(dataset)
    inside = bool(((targets >= 0) & ((targets < classes) | (task.dense & (targets == 255)))).all())
    expect(
        targets.dtype == torch.int64 and inside,
        f"{where}: targets are {targets.dtype} from {int(targets.min())} to {int(targets.max())}; expected torch.int64 "
        f"from 0 to {classes - 1}",
    )
    with torch.device("meta"):
        net = build_network(trial)
    trunk = getattr(net, "trunk", None)
    out = net(inputs.to("meta"))
    expected = (len(targets), classes, *targets.shape[1:])
    expect(
        out.shape == expected,
        f"{trial.space} {trial.arch!r}, {where}: the network gives {tuple(out.shape)} for inputs {tuple(inputs.shape)}"
        f"; expected {expected}" + ("" if trunk is None else f" (its trunk has out_channels {trunk.out_channels})"),
    )
