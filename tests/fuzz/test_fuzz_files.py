"""Files of any kind in every reader: the right images, or one message that names what is wrong.

Never another exception, and never fewer images without a word: what is used and what is said to be left out is what is
there.
"""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from workers import datasets
from workers.datasets import Form, Source

from .folders import ODD, worlds
from .promise import Found, Reader, World, check, found

# A failure tells what was put where, and smaller ones take minutes to find.
BOUNDED = settings(max_examples=15, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))


def _own(size: int, choice: Form | None) -> Reader:
    def read(world: World, note: Callable[[str], None]) -> Found:
        cache = world.root.parent / "cache"
        own, planned = datasets.describe("fuzz", Source(kind="folder", size=size), world.root, cache, choice)
        stored = datasets.prepare(own, world.root, cache, expect=planned, form=choice, note=note)
        note(own.unused)
        return found(stored, [str(name) for name in own.class_names])

    return read


def _imagenet(choice: Form) -> Reader:
    def read(world: World, note: Callable[[str], None]) -> Found:
        stored = datasets.prepare("imagenet", world.root, world.root.parent / "cache", form=choice, note=note)
        note(datasets.look("imagenet", world.root, form=choice).unused)
        # Labels are the ranks of the classes that have training images.
        return found(stored, sorted({kind for split, kind, _ in world.there if split == "train"}))

    return read


READERS: dict[str, Reader] = {
    "own, small": _own(16, None),
    "own, exact": _own(72, Form()),
    "own, array": _own(72, Form("array", short_side=64)),
    "own, skipping": _own(72, Form(skip_broken=True)),
    "imagenet, exact": _imagenet(Form()),
    "imagenet, skipping": _imagenet(Form("array", short_side=64, skip_broken=True)),
    "imagenet, array": _imagenet(Form("array", short_side=64)),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(BOUNDED, max_examples=8)
def test_a_folder_is_read_whole_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    odd = data.draw(st.lists(st.sampled_from(sorted(ODD)), max_size=2))
    world = data.draw(worlds(tmp_path_factory.getbasetemp() / "fuzz-files", odd))
    check(READERS[name], world)


@pytest.mark.parametrize("odd", sorted(ODD))
@given(data=st.data())
@settings(BOUNDED, max_examples=6)
def test_one_odd_thing_is_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, odd: str, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(READERS)))
    world = data.draw(worlds(tmp_path_factory.getbasetemp() / "fuzz-files", [odd]))
    check(READERS[name], world)
