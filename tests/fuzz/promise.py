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


# "left out: 60 files of train (.jfif 20, ...); 20 images in folders inside of classes; not looked at: a, b"
_COUNTED = re.compile(r"([\d,]+) (?:files? of|images? in folders|label maps?|images? that the list|hidden images?)")


def left_out(said: list[str]) -> int:
    """How many files a reader says it leaves out, by its notes."""
    total = 0
    for line in said:
        if broken := re.match(r"([\d,]+) broken images are left out", line):
            total += int(broken[1].replace(",", ""))
        _, _, listed = line.partition("left out: ")
        total += sum(int(number.replace(",", "")) for number in _COUNTED.findall(listed))
        if "not looked at: " in listed:
            total += listed.rpartition("not looked at: ")[2].count(",") + 1
    return total


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
        fitting = [i for i, (s, k, c) in enumerate(there) if (s, k) == (split, kind) and c.fits(pixels)]
        assert fitting, f"an image of {split}/{kind} is none that lies there:\n{context}"
        match = min(fitting, key=lambda i: there[i][2].distance(pixels))  # two pictures may be much alike
        del there[match]
    lost = Counter((split, kind) for split, kind, _ in there)
    assert left_out(said) >= len(there), f"{dict(lost)} are gone, and it said {said} of\n{context}"
