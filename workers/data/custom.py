"""A custom dataset after its files were read, or its images drawn: the facts that plans and networks need.

The facts are stored in every trial, so a worker on another machine needs only them and the files.

Up to a size of 64 px all images are decoded into memory, as for CIFAR-10: the centre square of each image (offsets
rounded down), resized to `size` with Pillow's antialiased bicubic filter, which uses integer arithmetic; images of that
size are not resized.  Larger sizes use the pipeline of ImageNet, with lengths in proportion to `size`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from workers.data.chunks import NO_IMAGE, encoded_image
from workers.data.custom_source import Rgb, Source
from workers.data.dataset import Jigsaw, LargeImages, content_id
from workers.data.decode import BrokenImageError, decoded
from workers.data.generated import AnyGenerated, Generated
from workers.data.image_files import Entry, Listing
from workers.data.image_types import DECODED, SPLITS, Images, Labels, SplitName
from workers.data.parquet import Rows
from workers.data.small import LARGEST_CIFAR
from workers.data.walk import listed, shown
from workers.files import publish_local

RULE = 1  # increase it when the same files give different images than before
MEASURED = 1000  # training images used to measure the mean and standard deviation of a large dataset
_THREE_TILES = 128  # px; nine tiles of a smaller image would be too small for the poolings of a network
_AHEAD = 256  # encoded images in memory


class CustomDataset(BaseModel):
    """Implements `Dataset`; files are read from the folder that a study gives as `path`, generated images are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    source: Annotated[Source | AnyGenerated, Field(discriminator="kind")]
    classes: int = Field(ge=2)
    mean: Rgb
    std: Rgb
    grey: bool
    train_images: int = Field(ge=1)
    test_images: int = Field(ge=1)
    class_names: tuple[str, ...] = Field((), exclude=True, strict=False)  # for display; trials do not need them
    unused: str = Field("", exclude=True)  # for display: files in the folder that are not used

    @property
    def size(self) -> int:
        """Side of the squares that networks see, in pixels."""
        return self.source.size

    @property
    def stem(self) -> Literal["cifar", "imagenet"]:
        """Follows from the size."""
        return "cifar" if self.size <= LARGEST_CIFAR else "imagenet"

    @property
    def large(self) -> LargeImages | None:
        """ImageNet's constants in proportion to the size; the parameters of PCA lighting are ImageNet's."""
        if self.size <= LARGEST_CIFAR:
            return None
        return LargeImages(_scaled(self.size), mark=None, listing=self.listing)

    @property
    def jigsaw(self) -> Jigsaw:
        """Four tiles; nine for images of 128 px or more."""
        if self.large is None:
            return Jigsaw(self.size, 2)
        grid = 3 if self.size >= _THREE_TILES else 2
        return Jigsaw(self.large.scaled // grid * grid, grid)

    @property
    def published_id(self) -> None:
        """None: there is no published set."""
        return

    @cached_property
    def facts_digest(self) -> str:
        """8 hex digits over the facts that change results besides the decoded pixels and labels."""
        facts: dict[str, object] = {"size": self.size, "mean": self.mean, "std": self.std, "rule": RULE}
        if isinstance(self.source, Generated):
            facts |= {"kind": self.source.kind, "version": self.source.VERSION} | self.source.facts
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def prefix(self) -> str:
        """The beginning of `dataset_id`, for sizes up to 64 px."""
        return f"{self.name}-{self.facts_digest}"

    def listing(self, root: Path | None) -> Listing:
        """The images below `root`; the digest also covers the facts of the dataset."""
        found, _ = self.source.listing(self.name, root)
        return replace(found, about=f"{found.about}{self.facts_digest}")

    def files(self, root: Path | None) -> tuple[Path, ...]:
        """All images or shards."""
        found = self.listing(root)
        return tuple(found.root / file for file in found.files)

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """All square images of a split; ValueError naming the images that cannot be decoded."""
        return _read(self.source, self.source.listing(self.name, root)[0], split)

    @classmethod
    def from_files(
        cls, name: str, source: Source | AnyGenerated, root: Path | None
    ) -> tuple[Self, list[tuple[SplitName, Images, Labels]]]:
        """The facts of the files below `root`; for small images also their content, since all of it had to be read.

        Mean and standard deviation of large images are measured on up to 1,000 training images, chosen by a hash of
        their names.
        """
        listing, class_names = source.listing(name, root)
        content: list[tuple[SplitName, Images, Labels]] = []
        if source.size <= LARGEST_CIFAR:
            content = [(split, *_read(source, listing, split)) for split in SPLITS]
            seen = [images for _, images, _ in content]
        else:
            seen = [_some(listing, source.size)]
        mean, std = _moments(seen[0])
        if not isinstance(source, Generated):
            mean, std = source.mean or mean, source.std or std
        found = cls(
            name=name,
            source=source,
            classes=len(class_names),
            mean=mean,
            std=std,
            grey=all(_is_grey(images) for images in seen),
            train_images=len(content[0][2]) if content else len(listing.train),
            test_images=len(content[1][2]) if content else len(listing.test),
            class_names=class_names,
            unused=listing.unused,
        )
        if min(found.std) <= 0:
            raise ValueError(
                f"dataset {name} at {root}: all training pixels are equal in one channel; specify mean and std"
            )
        return found, content


def read_facts(name: str, source: Source | AnyGenerated, root: Path | None) -> tuple[CustomDataset, str]:
    """Facts and `dataset_id` of files or numbers; the id of large images is empty, it depends on their form."""
    own, content = CustomDataset.from_files(name, source, root)
    return own, content_id(own.prefix, content) if content else ""


@lru_cache(maxsize=64)
def drawn_facts(name: str, source: AnyGenerated) -> tuple[CustomDataset, str]:
    """Facts and `dataset_id` of generated images, which are drawn once per process: a minute for as many as CIFAR-10
    has."""
    return read_facts(name, source, None)


def load_facts(
    name: str, source: Source | AnyGenerated, listing: Listing, cache: Path
) -> tuple[CustomDataset, str] | None:
    """Facts and `dataset_id` of files or numbers that were prepared before; None if they were not."""
    try:
        known = json.loads(_note(name, source, listing, cache).read_bytes())
        own = CustomDataset.model_validate_json(json.dumps(known["own"])).model_copy(
            update={"class_names": tuple(known["class_names"]), "unused": listing.unused}
        )
        return own, str(known["dataset_id"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def store_facts(own: CustomDataset, root: Path | None, cache: Path, dataset_id: str) -> None:
    """Store the facts in the cache, so that the next plan on this machine does not read these files again."""
    listing, class_names = own.source.listing(own.name, root)
    known = {"own": own.model_dump(mode="json"), "class_names": class_names, "dataset_id": dataset_id}
    (cache / "sources").mkdir(parents=True, exist_ok=True)
    publish_local(_note(own.name, own.source, listing, cache), lambda file: file.write(json.dumps(known).encode()))


def _note(name: str, source: Source | AnyGenerated, listing: Listing, cache: Path) -> Path:
    stamps = sorted({(entry.file, entry.stamp) for entry in (*listing.train, *listing.test)})
    origin = [source.VERSION] if isinstance(source, Generated) else [str(listing.root), stamps]
    text = json.dumps([RULE, DECODED, name, source.model_dump(mode="json"), *origin])
    return cache / "sources" / f"own-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"


def _scaled(size: int) -> int:
    """The length of the shorter side after resizing: 256 px for a size of 224."""
    return (size * 8 + 3) // 7


def _square(data: bytes, size: int) -> Images:
    """(size, size, 3): the centre square of an encoded image, resized."""
    pixels = decoded(data)
    if pixels.shape[:2] == (size, size):
        return pixels
    height, width = pixels.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    middle = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    return np.asarray(Image.fromarray(middle).resize((size, size), Image.Resampling.BICUBIC))


def _encoded(listing: Listing, entries: Sequence[Entry], split: SplitName) -> Iterator[bytes | str]:
    """The encoded bytes of each image, or what is wrong with its row; OSError if a file cannot be read."""
    rows = Rows()
    for entry in entries:
        data = encoded_image(listing.root, entry, split, rows)
        yield NO_IMAGE if data is None else data


def _squares(listing: Listing, entries: Sequence[Entry], split: SplitName, size: int) -> Iterator[Images | str]:
    """The centre square of each image in order, or what is wrong with the image."""

    def made(data: bytes | str) -> Images | str:
        try:
            return data if isinstance(data, str) else _square(data, size)
        except BrokenImageError as error:
            return str(error)

    encoded = _encoded(listing, entries, split)
    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter lock while it decodes
        while part := list(islice(encoded, _AHEAD)):
            yield from pool.map(made, part)


def _read(source: Source | AnyGenerated, listing: Listing, split: SplitName) -> tuple[Images, Labels]:
    if isinstance(source, Generated):
        return source.draw(split)
    entries = listing.train if split == "train" else listing.test
    images = np.empty((len(entries), source.size, source.size, 3), np.uint8)
    broken = []
    for at, square in enumerate(_squares(listing, entries, split, source.size)):
        if isinstance(square, str):
            broken.append(f"{shown(listing.root / entries[at].name)}: {square}")
        else:
            images[at] = square
    if broken:
        raise ValueError(
            f"{len(broken):,} images of {split} cannot be decoded:\n{listed(broken)}\nreplace or remove them"
        )
    return images, np.array([entry.label for entry in entries], np.int64)


def _some(listing: Listing, size: int) -> Images:
    """Centre squares of some training images that can be decoded, (n, size, size, 3)."""
    names = {e.name: hashlib.sha256(e.name.encode("utf-8", "surrogateescape")).digest() for e in listing.train}
    chosen = sorted(listing.train, key=lambda entry: names[entry.name])[:MEASURED]
    place = {entry.name: at for at, entry in enumerate(listing.train)}
    chosen.sort(key=lambda entry: place[entry.name])  # rows of a shard are read in order
    found = [s for s in _squares(listing, chosen, "train", size) if not isinstance(s, str)]
    if not found:
        raise ValueError(f"none of {len(chosen):,} images below {listing.root} can be decoded")
    return np.stack(found)


def _moments(images: Images) -> tuple[Rgb, Rgb]:
    """Mean and standard deviation of each channel on the 0..1 scale, to four decimals; integer sums, so exact."""
    values = np.arange(256, dtype=np.int64)
    mean, std = [], []
    for channel in range(3):
        counts = np.zeros(256, np.int64)
        for part in np.array_split(images, 16):
            counts += np.bincount(part[..., channel].ravel(), minlength=256)
        total, n = int((counts * values).sum()), int(counts.sum())
        squares = int((counts * values**2).sum())
        mean.append(round(total / n / 255, 4))
        std.append(round((n * squares - total**2) ** 0.5 / n / 255, 4))
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _is_grey(images: Images) -> bool:
    return all(
        bool((part[..., 0] == part[..., 1]).all() and (part[..., 1] == part[..., 2]).all())
        for part in np.array_split(images, 16)
    )
