# ruff: noqa: PT017  (an example that is accepted is as right as one that is refused)
"""Files of any kind in every reader: the right images, or one message that names what is wrong.

Never another exception, and never fewer images without a word: what is used and what is said to be left out is what is
there.
"""

import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from workers import datasets
from workers.datasets import Choice, Source

from .folders import ODD, World, worlds

# A failure tells what was put where, and smaller ones take minutes to find.
BOUNDED = settings(max_examples=25, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
Found = list[tuple[str, str, np.ndarray]]  # split, class, pixels
Reader = Callable[[World, Callable[[str], None]], Found]


def left_out(said: list[str]) -> int:
    """How many images a reader says it leaves out."""
    return sum(int(number.replace(",", "")) for line in said for number in re.findall(r"left out:? ([\d,]+)", line))


def _own(size: int, choice: Choice | None) -> Reader:
    def read(world: World, note: Callable[[str], None]) -> Found:
        cache = world.root.parent / "cache"
        own, planned = datasets.describe("fuzz", Source(kind="folder", size=size), world.root, cache, choice)
        stored = datasets.prepare(own, world.root, cache, expect=planned, choice=choice, note=note)
        return _found(stored, [str(name) for name in own.class_names])

    return read


def _imagenet(choice: Choice) -> Reader:
    def read(world: World, note: Callable[[str], None]) -> Found:
        stored = datasets.prepare("imagenet", world.root, world.root.parent / "cache", choice=choice, note=note)
        # Labels are the ranks of the classes that have training images.
        return _found(stored, sorted({kind for split, kind, _ in world.there if split == "train"}))

    return read


def _found(stored: datasets.Arrays | datasets.Stored, classes: list[str]) -> Found:
    found: Found = []
    for name, split in (("train", stored.train), ("val", stored.test)):
        for at, label in enumerate(split.labels.tolist()):
            kind = classes[label] if label < len(classes) else f"label {label}"
            pixels = split.images[at] if isinstance(split, datasets.Split) else split.pixels(at)
            found.append((name, kind, pixels))
    return found


READERS: dict[str, Reader] = {
    "own, small": _own(16, None),
    "own, exact": _own(72, Choice()),
    "own, array": _own(72, Choice("array", short_side=64)),
    "imagenet, exact": _imagenet(Choice()),
    "imagenet, array": _imagenet(Choice("array", short_side=64)),
}


def check(read: Reader, world: World) -> None:
    """The promise, of one reader and one folder."""
    said: list[str] = []
    context = "\n".join(world.log)
    try:
        found = read(world, said.append)
    except (ValueError, OSError) as error:
        assert any(name in str(error) for name in world.odd), f"{error!r} names nothing odd of\n{context}"
        return
    there = list(world.there)
    for split, kind, pixels in found:
        match = next((i for i, (s, k, c) in enumerate(there) if (s, k) == (split, kind) and c.fits(pixels)), None)
        assert match is not None, f"an image of {split}/{kind} is none that lies there:\n{context}"
        del there[match]
    lost = Counter((split, kind) for split, kind, _ in there)
    assert left_out(said) == len(there), f"{dict(lost)} are gone, and it said {said} of\n{context}"


# What is mended elsewhere at this time, and of which readers: images or classes vanish, or the message names no file.
PENDING = {"other_suffix", "nested", "dead_link", "dead_class", "empty_class", "hidden_class", "beside", "foreign_name"}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@BOUNDED
def test_a_folder_is_read_whole_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    odd = data.draw(st.lists(st.sampled_from(sorted(ODD.keys() - PENDING)), max_size=2))
    world = data.draw(worlds(tmp_path_factory.getbasetemp() / "fuzz-files", odd))
    check(READERS[name], world)


@pytest.mark.parametrize("odd", sorted(PENDING))
@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(BOUNDED, max_examples=5)
def test_nothing_vanishes_without_a_word(
    tmp_path_factory: pytest.TempPathFactory, name: str, odd: str, data: st.DataObject
) -> None:
    world = data.draw(worlds(tmp_path_factory.getbasetemp() / "fuzz-files", [odd]))
    check(READERS[name], world)
