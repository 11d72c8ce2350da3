"""Cityscapes (Cordts et al. 2016): street scenes of 50 cities, 1024x2048, with label maps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.data import walk
from workers.data.dataset import Dataset, Jigsaw, LargeImages, Maps
from workers.data.image_files import Entry, Listing, entry
from workers.data.image_types import IGNORED
from workers.data.listed import FileListDataset
from workers.data.walk import Unused

CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
# The labels of `labelIds` (34) that are evaluated, in the order of their classes; the others are ignored.
EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LABELS = 34
IMAGE = "_leftImg8bit.png"
TRAIN_IDS, LABEL_IDS = "_gtFine_labelTrainIds.png", "_gtFine_labelIds.png"  # the first is preferred if it exists

_classes = {label: number for number, label in enumerate(EVALUATED)}
_MAPS = Maps(
    class_names=CLASSES,
    size=(1024, 2048),
    values=(
        (TRAIN_IDS, (*((number, number) for number in range(len(CLASSES))), (IGNORED, IGNORED))),
        (LABEL_IDS, (*((label, _classes.get(label, IGNORED)) for label in range(LABELS)), (IGNORED, IGNORED))),
    ),
)


def _listing(folder: Path) -> Listing:
    files: dict[str, str] = {}
    unused = Unused()
    train, val = (_split(folder, split, files, unused) for split in ("train", "val"))
    return Listing(folder, files, train, val, unused=unused.text)


def _split(folder: Path, split: str, files: dict[str, str], unused: Unused) -> list[Entry]:
    """The images of a split with their label maps, sorted by path; ValueError if an image has none."""
    found = []
    place = folder / "leftImg8bit" / split
    walk.refuse_broken_links(place, folder / "gtFine", folder / "gtFine" / split)
    cities = walk.classes(place, f"leftImg8bit/{split}", unused)[0] if place.is_dir() else []
    for city in cities:
        images = [name for name, _ in walk.images(place / city, (IMAGE,), f"leftImg8bit/{split}", unused)]
        for image in images:
            start = f"gtFine/{split}/{city}/{image.removesuffix(IMAGE)}"
            truth = next((start + end for end in (TRAIN_IDS, LABEL_IDS) if (folder / (start + end)).is_file()), None)
            if truth is None:
                raise ValueError(
                    f"{place / city / image} has no label map: there is neither {folder / (start + LABEL_IDS)} nor one "
                    f"of {TRAIN_IDS}; unpack gtFine_trainvaltest.zip beside leftImg8bit"
                )
            found.append(entry(folder, f"leftImg8bit/{split}/{city}/{image}", 0, files, truth))
    if not found:
        raise ValueError(
            f"{folder / 'leftImg8bit' / split} holds no <city>/*{IMAGE}; unpack leftImg8bit_trainvaltest.zip"
        )
    maps = folder / "gtFine" / split
    mapped = {
        f"{path.parent.name}/{path.name.removesuffix(end)}"
        for end in (TRAIN_IDS, LABEL_IDS)
        for path in maps.glob(f"*/*{end}")
        if not path.name.startswith(".")
    }
    unused.maps += len(mapped - {e.file.removeprefix(f"leftImg8bit/{split}/").removesuffix(IMAGE) for e in found})
    return sorted(found, key=lambda e: folder / e.file)


@dataclass(frozen=True)
class Cityscapes(FileListDataset):
    """Fine annotations; trained on `train`, tested on `val` (the labels of `test` are not public).

    Crops of 321 px from images with a shorter side of 256 to 1024 px: the setting of UnNAS's searches.  Images have no
    class.
    """

    name: str = "cityscapes"
    classes: int = 0
    class_names: tuple[str, ...] = ()
    size: int = 321
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    stem: Literal["cifar", "imagenet"] = "imagenet"
    jigsaw: Jigsaw = Jigsaw(side=321, grid=3)  # noqa: RUF009  (immutable)
    large: LargeImages | None = LargeImages(  # noqa: RUF009
        scaled=512,
        zoomed=True,
        maps=_MAPS,
        mark="leftImg8bit",
        listing=_listing,
    )
    published_id: str | None = "cityscapes-fine"
    train_images: int = 2_975
    test_images: int = 500


DATASET: Dataset = Cityscapes()
