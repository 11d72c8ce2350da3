"""ImageNet-22K, all of ImageNet (Deng et al. 2009): 14.2 million images in 21,841 classes."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.data import walk
from workers.data.dataset import Dataset, Jigsaw, LargeImages
from workers.data.image_files import Entry, Listing, entry
from workers.data.listed import FileListDataset
from workers.data.walk import PUBLISHED_SUFFIXES, Unused

HELD_OUT = 200  # one of this many images is a test image
_NAME = re.compile(r"(?:(n\d{8})/)?(n\d{8})_[^/\\\s]+")
_CLASSES = 21_841


def _listing(folder: Path) -> Listing:
    """The images that the folder's text file names.

    departs: the dataset has no test images, and UnNAS trained on it without a test.  Here a hash of its name decides
    whether an image is a test image, independent of the rest of the list.
    departs: broken images stop a study or are left out; UnNAS replaced each by a random other image.
    """
    names = _names(folder)
    wnids = sorted({name.partition("_")[0] for name in names})
    if len(wnids) > _CLASSES:
        raise ValueError(f"the list in {folder} names {len(wnids):,} classes; expected at most {_CLASSES:,}")
    rank = {wnid: label for label, wnid in enumerate(wnids)}
    files: dict[str, str] = {}
    train: list[Entry] = []
    test: list[Entry] = []
    for name in names:
        wnid = name.partition("_")[0]
        path = f"{wnid}/{name}" + ("" if name.lower().endswith(PUBLISHED_SUFFIXES) else ".JPEG")
        try:
            found = entry(folder, path, rank[wnid], files)
        except FileNotFoundError:
            raise ValueError(f"the list in {folder} names {name}, and there is no {folder / path}") from None
        (test if held_out(name) else train).append(found)
    unused = Unused()
    listed = {Path(path).name for path in files}
    for wnid in wnids:
        unused.unlisted += sum(
            name not in listed for name, _ in walk.images(folder / wnid, PUBLISHED_SUFFIXES, wnid, unused)
        )
    walk.beside(folder, rank, unused)
    if not train or not test:
        raise ValueError(f"the list in {folder} names {len(names):,} images: too few, one in {HELD_OUT} is for tests")
    return Listing(folder, files, train, test, unused=unused.text)


def held_out(name: str) -> bool:
    """Whether the image of that name (`n00004475_6590`, with or without suffix) is a test image."""
    stem = name.rpartition(".")[0] if name.lower().endswith(PUBLISHED_SUFFIXES) else name
    return int.from_bytes(hashlib.sha256(f"test|{stem}".encode()).digest()[:8], "little") % HELD_OUT == 0


def _names(folder: Path) -> list[str]:
    """The sorted names in the list, without duplicates; ValueError without exactly one list, or for an invalid line."""
    lists = [file for file in sorted(folder.glob("*.txt")) if _is_list(file)]
    if len(lists) != 1:
        seen = ", ".join(file.name for file in lists) or "none"
        raise ValueError(
            f"{folder} needs one text file with one image name per line, like n00004475_6590; found: {seen}"
        )
    names = set()
    for number, line in enumerate(lists[0].read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        match = _NAME.fullmatch(line.strip())
        if match is None or match[1] not in (None, match[2]):
            raise ValueError(
                f"{lists[0]}, line {number}: {line[:60]!r} is not an image name; expected one like n00004475_6590"
            )
        names.add(line.strip().rpartition("/")[2])
    return sorted(names)


def _is_list(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return _NAME.match(lines.readline(200)) is not None


@dataclass(frozen=True)
class ImageNet22K(FileListDataset):
    """Processed as ImageNet-1K.  Files `<wnid>/*` and a text file with one image name per line, which begins with the
    class.

    A list with fewer classes is accepted as a smaller dataset.
    """

    name: str = "imagenet22k"
    classes: int = _CLASSES
    class_names: tuple[str, ...] = ()
    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    stem: Literal["cifar", "imagenet"] = "imagenet"
    jigsaw: Jigsaw = Jigsaw(side=255, grid=3)  # noqa: RUF009  (immutable)
    large: LargeImages | None = LargeImages(  # noqa: RUF009
        scaled=256,
        mark="n" + 8 * "[0-9]",
        listing=_listing,
    )
    published_id: str | None = "imagenet22k-fall11"
    train_images: int = 14_126_136  # of 14,197,122, less about one in HELD_OUT
    test_images: int = 70_986


DATASET: Dataset = ImageNet22K()
