"""A trial's identity, and the network and cost that belong to it."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import spaces
import workers
from workers import datasets, tasks
from workers.recipes import demo
from workers.recipes.unnas import cells


def trial(space: str = "chain", dataset: str = "photos", task: str = "cls", **more: Any) -> workers.Trial:
    """A small trial of known content."""
    which = (space, dataset, task)
    family = "unnas" if which in cells() else "demo" if which in demo.cells() else "unnas_small"
    arch = more.pop("arch", None) or spaces.sample(spaces.get(space), 1, 0).archs[0]
    r = more.pop("recipe", None) or workers.recipe(family, space=space, dataset=dataset, task=task)
    return workers.Trial(
        space=space, arch=arch, dataset=dataset, task=task, recipe=r, dataset_id=more.pop("dataset_id", "x-0"), **more
    )


def test_the_same_question_has_the_same_id() -> None:
    t = trial()
    assert t.id == trial().id
    assert len(t.id) == 16
    assert trial(recipe=t.recipe.replace(name="another label")).id == t.id


def test_everything_that_changes_the_number_changes_the_id() -> None:
    t = trial(arch="c3_c5_id_mp")
    others = [
        trial(arch="c5_c3_id_mp"),
        trial(arch="c3_c5_id_mp", task="rot", recipe=t.recipe),
        trial(arch="c3_c5_id_mp", seed=2),
        trial(arch="c3_c5_id_mp", dataset_id="x-1"),
        trial(arch="c3_c5_id_mp", recipe=t.recipe.replace(lr=0.2)),
    ]
    assert len({t.id, *(o.id for o in others)}) == 6


def test_ids_do_not_drift_from_version_to_version() -> None:
    """Rows of years are found by these ids: a change here strands every run made before it.

    If the protocol changed on purpose, raise PROTOCOL and replace the id.
    """
    r = workers.Recipe(
        name="any", epochs=3, lr=0.1, batch=8, test_batch=8, weight_decay=0.0, precise_bn=0, width=4, depth=1
    )
    assert trial(arch="c3_c5_id_mp", recipe=r, dataset_id="photos-0").id == "28ac35de3eb5aa59"


def test_an_id_needs_a_known_content() -> None:
    with pytest.raises(ValueError, match="dataset_id"):
        _ = trial().model_copy(update={"dataset_id": None}).id


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"space": "dart"}, "no .*space 'dart'"),
        ({"dataset": "cifar"}, "no dataset 'cifar'; have .*cifar10"),
        ({"task": "rotate"}, "no task 'rotate'"),
    ],
)
def test_unknown_names_are_refused(change: dict[str, str], says: str) -> None:
    fields = trial().model_dump() | {"recipe": trial().recipe} | change
    with pytest.raises(LookupError, match=says):
        workers.Trial(**fields)


def test_a_trial_travels_as_json() -> None:
    t = trial()
    assert workers.Trial.model_validate_json(t.model_dump_json()) == t


ALL = [*cells(), *demo.cells(), ("darts", "cityscapes", "seg")]


@pytest.mark.parametrize(("space", "dataset", "task"), sorted(set(ALL)))
def test_cost_by_arithmetic_is_that_of_the_network(space: str, dataset: str, task: str) -> None:
    t = trial(space, dataset, task)
    with torch.device("meta"):
        net = workers.build_network(t).eval()  # norms of a training take twice the time
        inputs = torch.empty(2, *tasks.get(task).element(datasets.get(dataset)))
    params, macs = workers.cost(t)
    assert params == sum(p.numel() for p in net.parameters() if p.requires_grad)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        out = net(inputs)
    assert macs == counter.get_total_flops() // 2 // len(inputs)
    assert out.shape[:2] == (2, tasks.get(task).classes(datasets.get(dataset)))
    if task in ("col", "seg"):
        assert out.shape[2:] == inputs.shape[2:]
