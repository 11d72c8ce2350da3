# ruff: noqa: PT017  (a refusal is as right as an answer)
"""What every reader promises of whatever lies there: the right images, or one message that names what is wrong."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workers import datasets

from .pictures import Content

Found = list[tuple[str, str, np.ndarray]]  # split, class, pixels


@dataclass
class World:
    """What lies in a folder: the images that are there, by split and class, and the names of what is odd."""

    root: Path
    there: list[tuple[str, str, Content]] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)  # what was put where, for people who read a failure

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"World({self.root})")  # a failure shows the log

    def put(self, file: Path, split: str, kind: str, content: Content) -> None:
        """An image file; one that is broken is odd, the others are there."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.data)
        self.log.append(f"{file.relative_to(self.root)}: {content.about}")
        if content.pixels is None:
            self.odd.append(file.name)
        else:
            self.there.append((split, kind, content))

    def remember(self, file: Path) -> None:
        """Something odd, which a message may name."""
        self.odd.append(file.name)
        self.log.append(f"{file.relative_to(self.root)}: odd")


Reader = Callable[[World, Callable[[str], None]], Found]


def left_out(said: list[str]) -> int:
    """How many files a reader says it leaves out, by its notes."""
    numbers = [n for line in said for n in re.findall(r"left out:? ([\d,]+)|([\d,]+) [a-z ]*are left out", line)]
    return sum(int((first or second).replace(",", "")) for first, second in numbers)


def found(stored: datasets.Arrays | datasets.LargeDataset, classes: list[str]) -> Found:
    seen: Found = []
    for name, split in (("train", stored.train), ("val", stored.test)):
        for at, label in enumerate(split.labels.tolist()):
            kind = classes[label] if label < len(classes) else f"label {label}"
            pixels = split.images[at] if isinstance(split, datasets.Split) else split.pixels(at)
            seen.append((name, kind, pixels))
    return seen


def check(read: Reader, world: World) -> None:
    """The promise, of one reader and one folder."""
    said: list[str] = []
    context = "\n".join(world.log)
    try:
        seen = read(world, said.append)
    except (ValueError, OSError) as error:
        assert any(name in str(error) for name in world.odd), f"{error!r} names nothing odd of\n{context}"
        return
    there = list(world.there)
    for split, kind, pixels in seen:
        match = next((i for i, (s, k, c) in enumerate(there) if (s, k) == (split, kind) and c.fits(pixels)), None)
        assert match is not None, f"an image of {split}/{kind} is none that lies there:\n{context}"
        del there[match]
    lost = Counter((split, kind) for split, kind, _ in there)
    assert left_out(said) >= len(there), f"{dict(lost)} are gone, and it said {said} of\n{context}"
