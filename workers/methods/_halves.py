"""The two parts of the training images of a search, and what is trained with them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from spaces._edges import part_of
from workers.data.loader import Resident, Source, Subset
from workers.methods._method import Setting
from workers.recipes import Search
from workers.training.halves import halves
from workers.training.setup import initial, sgd, source_of
from workers.training.steps import Training


def trainings(
    setting: Setting, recipe: Search, kept: Mapping[str, Sequence[Sequence[bool]]] | None = None
) -> tuple[Training, Training]:
    """The training of the network, evaluated on the images of the architecture weights, and the batches of these.

    `kept`: the operations of the network; None: all.  Steps are eager: neither training captures them.  ValueError if a
    part of the images is smaller than a batch.
    """
    trial, data, device = setting.trial, setting.data, setting.device
    first, second = halves(trial, len(data.train), recipe)
    if recipe.batch > min(len(first), len(second)):
        raise ValueError(
            f"a batch of {recipe.batch} images is more than one of the two parts of the {len(data.train)} training "
            f"images of {trial.dataset_id}, {len(first)} and {len(second)}; override batch or portion"
        )
    net = initial(trial, device)
    if kept is not None:
        part_of(net).prune(kept)
    optimizer = sgd(net, recipe)
    augmented = source_of(data.train, trial, device, train=True, cpus=setting.cpus)
    plain = augmented  # images in memory are the same for both
    if not isinstance(augmented, Resident):
        plain = source_of(data.train, trial, device, train=False, cpus=setting.cpus)

    def part(of: Source, positions: Tensor) -> Source:
        return Subset(of, positions)

    t = Training(trial, net, optimizer, part(augmented, first), part(plain, second), device)
    return t, replace(t, train=part(augmented, second))
