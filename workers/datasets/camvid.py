"""CamVid (Brostow et al. 2008): frames of driving videos, 360x480, with label maps in SegNet's 11 classes."""

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
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
UNLABELLED = len(CLASSES)


def _listing(folder: Path) -> Listing:
    files: dict[str, str] = {}
    unused = Unused()
    train, val = (_split(folder, split, files, unused) for split in ("train", "val"))
    return Listing(folder, files, train, val, unused=unused.text)


def _split(folder: Path, split: str, files: dict[str, str], unused: Unused) -> list[Entry]:
    found = []
    walk.refuse_broken_links(folder / split, folder / f"{split}annot")
    if not (folder / split).is_dir():
        raise ValueError(f"there is no {folder / split}")
    for image, _ in walk.images(folder / split, (".png",), split, unused):
        truth = f"{split}annot/{image}"
        if not (folder / truth).is_file():
            raise ValueError(f"{folder / split / image} has no label map: there is no {folder / truth}")
        found.append(entry(folder, f"{split}/{image}", 0, files, truth))
    if not found:
        raise ValueError(f"{folder / split} holds no *.png")
    maps = {path.name for path in (folder / f"{split}annot").glob("*.png") if not path.name.startswith(".")}
    unused.maps += len(maps - {Path(e.file).name for e in found})
    return found


@dataclass(frozen=True)
class CamVid(FileListDataset):
    """Trained on `train`, tested on `val`; `test` stays unused, for a final evaluation.  Images have no class.

    Crops of 161 px from images with a shorter side of 120 to 480 px: about half of Cityscapes' sizes.
    """

    name: str = "camvid"
    classes: int = 0
    class_names: tuple[str, ...] = ()
    size: int = 161
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    stem: Literal["cifar", "imagenet"] = "imagenet"
    jigsaw: Jigsaw = Jigsaw(side=161, grid=2)  # noqa: RUF009  (immutable; too few images for 1,000 permutations)
    large: LargeImages | None = LargeImages(  # noqa: RUF009
        scaled=240,
        zoomed=True,
        maps=Maps(
            class_names=CLASSES,
            size=(360, 480),
            values=(("", (*((label, label) for label in range(UNLABELLED)), (UNLABELLED, IGNORED))),),
        ),
        mark="trainannot",
        listing=_listing,
    )
    published_id: str | None = "camvid-segnet"
    train_images: int = 367
    test_images: int = 101


DATASET: Dataset = CamVid()
