"""Final weights of trials, as files that other trials use: a trial with a `base` begins with those of its base.

A file holds the trial that the weights belong to and what `Run.weights` of its method gives, with a checksum.  Only
tensors and plain values are read, never pickled code.
"""

import copy
import io
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import spaces
from spaces._edges import part_of
from workers import checksum, files
from workers.network import build_network
from workers.recipes import WithBase
from workers.training.setup import initial
from workers.trial import Trial


class NotPublished(OSError):
    """The weights could not be written.  A failure of the storage and not of the trial."""


@dataclass(frozen=True)
class Weights:
    """The final weights of a trial, on the CPU.  They may be shared: whoever uses them copies what they change."""

    trial: Trial
    values: dict[str, Any]  # `net`: the state of the network; of searches also `architecture`, the tables of weights

    def network(self, device: torch.device) -> nn.Module:
        """The network of the trial with these weights; ValueError if they are those of another network.

        Of a supernet, its operations have the weights; `architecture` is not applied.
        """
        trial, kept = self.trial, self.values
        if "depth" in kept:  # a search in stages ends with a deeper network
            trial = trial.model_copy(update={"recipe": trial.recipe.model_copy(update={"depth": kept["depth"]})})
        net = initial(trial, device)
        if hasattr(net, "auxiliary"):
            del net.auxiliary  # belongs to training only
        if "operations" in kept:
            part_of(net).prune(kept["operations"])
        try:
            net.load_state_dict(kept["net"])
        except (RuntimeError, TypeError, AttributeError) as error:
            first = " ".join(str(error).split())[:300]
            raise ValueError(f"the weights of trial {trial.id} do not fit its network: {first}") from None
        return net


def publish(url: str, trial: Trial, values: dict[str, Any]) -> None:
    """Write the weights of a trial atomically; NotPublished if the storage fails also after several tries."""
    buffer = io.BytesIO()
    torch.save({"trial_id": trial.id, "trial": trial.model_dump_json(), "values": _on_cpu(values)}, buffer)
    data = checksum.add_to_zip(buffer.getvalue())
    try:
        files.with_retries(lambda: files.publish(url, data), f"the weights of trial {trial.id} could not be written")
    except OSError as error:
        raise NotPublished(f"the weights of trial {trial.id} could not be written: {error}") from error


def _on_cpu(value: Any) -> Any:
    """The same with all tensors on the CPU and without gradients."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        found = copy.copy(value)  # the state of a network has an attribute with the versions of its layers
        for key, one in value.items():
            found[key] = _on_cpu(one)
        return found
    return value


class _Supernet(NamedTuple):
    url: str
    written: float | None
    weights: Weights


_last: list[_Supernet] = []  # the supernet that was read last: many trials of a process use it one after the other


def load(url: str, trial_id: str) -> Weights:
    """The weights of a trial.

    FileNotFoundError if there are none; ValueError if the file is damaged, belongs to another trial, or is of another
    version; OSError if it cannot be read after several tries.
    """
    what = f"the weights of trial {trial_id} could not be read"
    there, written = files.with_retries(lambda: _written(url), what)
    if there and written is not None and _last and _last[0][:2] == (url, written):
        found = _last[0].weights
    else:
        data = files.with_retries(lambda: files.read(url), what) if there else None
        if data is None:
            raise FileNotFoundError(
                f"there are no weights of trial {trial_id} at {url}. They are kept for a trial that another one of the "
                f"study has as its base: `archsweep retry STUDY --trial {trial_id}` trains that trial again for them"
            )
        found = _weights(url, data)
    if found.trial.id != trial_id:
        raise ValueError(f"the weights at {url} belong to trial {found.trial.id}, not {trial_id}")
    if found.trial.arch == spaces.WHOLE:
        _last[:] = [_Supernet(url, written, found)]
    return found


def _written(url: str) -> tuple[bool, float | None]:
    """Whether there is such a file, and when it was written if the storage tells."""
    try:
        return True, files.modified(url)
    except FileNotFoundError:
        return False, None


def _weights(url: str, data: bytes) -> Weights:
    """The content of a file; ValueError if it is not valid."""
    try:
        checksum.check_zip(data)
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return Weights(Trial.model_validate_json(found["trial"]), dict(found["values"]))
    except Exception as error:
        raise ValueError(
            f"the weights at {url} cannot be used ({' '.join(str(error).split())[:300]}); remove the file, and "
            "`archsweep retry STUDY --weights` trains their trial again"
        ) from error


def bound(trial: Trial, base: Trial) -> Trial:
    """The trial with the recipe of its base filled in; ValueError if it names another recipe or another base."""
    recipe = trial.recipe
    if not isinstance(recipe, WithBase):
        raise ValueError(f"a recipe of the method {recipe.method!r}, which uses no weights")
    found = recipe.bound(base.recipe)
    if recipe.trained is not None and found.trained != recipe.trained:
        raise ValueError(f"trial {base.id} was trained with {found.trained}, and the recipe expects {recipe.trained}")
    if trial.base != base.id:
        raise ValueError(f"the base is trial {base.id}, expected {trial.base}")
    return trial.model_copy(update={"recipe": found})


def check(trial: Trial, base: Trial) -> None:
    """ValueError unless a trial can use the weights of another one: of the same space and task, of the architecture or
    the supernet that the recipe needs, and with the same shapes on both datasets.

    The network is built on the meta device, without memory, if the datasets are different ones.
    """
    wanted = spaces.WHOLE if trial.recipe.needs_weights == "supernet" else trial.arch
    for what, ours, theirs in (
        ("space", trial.space, base.space),
        ("task", trial.task, base.task),
        ("arch", wanted, base.arch),
    ):
        if ours != theirs:
            raise ValueError(
                f"recipe {spaces.quoted(trial.recipe.name)} needs weights of {what} {spaces.quoted(ours)}, and the "
                f"base {base.id} has {what} {spaces.quoted(theirs)}"
            )
    if not base.recipe.keeps_weights:
        raise ValueError(f"the method {base.recipe.method!r} of the base {base.id} ends without weights")
    if trial.dataset_id == base.dataset_id:
        return
    own, there = (_shapes(one) for one in (on_dataset_of(trial, base), base))
    differs = next((name for name in {**there, **own} if own.get(name) != there.get(name)), None)
    if differs is not None:
        raise ValueError(
            f"the weights of a network for {base.dataset} do not fit {trial.dataset}: {differs} is "
            f"{_shape(there.get(differs))}, on {trial.dataset} it would be {_shape(own.get(differs))}; expected a "
            "dataset with the same classes and the same stem"
        )


def on_dataset_of(trial: Trial, base: Trial) -> Trial:
    """The base, as if it was trained on the dataset of another trial; LookupError if its task does not support that."""
    where = {name: getattr(trial, name) for name in ("dataset", "dataset_id", "own")}
    return Trial.model_validate({**dict(base), **where})


def _shapes(trial: Trial) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(values.shape) for name, values in build_network(trial).state_dict().items()}


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {shape}"
