"""CheXpert (Irvin et al. 2019): chest X-rays of 65,240 patients with 14 findings each, read from reports."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.data.dataset import Dataset, Jigsaw, LargeImages
from workers.data.findings import BLANK, NAMES, NEGATIVE, POSITIVE, UNCERTAIN, encoded
from workers.data.image_files import Entry, Listing, entry
from workers.data.listed import FileListDataset

_CODES = {"0.0": NEGATIVE, "1.0": POSITIVE, "-1.0": UNCERTAIN, "": BLANK}
_CODES |= {"0": NEGATIVE, "1": POSITIVE, "-1": UNCERTAIN}


def _listing(folder: Path) -> Listing:
    """The images of `train.csv`, and of `valid.csv` as the test split; the official split has no patient in both."""
    files: dict[str, str] = {}
    train, test = (_split(folder, name, files) for name in ("train.csv", "valid.csv"))
    patients = [{Path(e.file).parts[1] for e in part} for part in (train, test)]
    if both := sorted(patients[0] & patients[1]):
        raise ValueError(
            f"{folder}: {len(both):,} patients are in train.csv and in valid.csv, such as {both[0]}; expected that no "
            "patient is in both"
        )
    return Listing(folder, files, train, test)


def _split(folder: Path, name: str, files: dict[str, str]) -> list[Entry]:
    """The images of a table, sorted by path, and their findings as labels."""
    found: dict[str, Entry] = {}
    for line, path, label in _rows(folder / name):
        if path in found:
            raise ValueError(f"{folder / name}, line {line}: {path} occurs twice")
        try:
            found[path] = entry(folder, path, label, files)
        except FileNotFoundError:
            raise ValueError(f"{folder / name}, line {line} names {path}, and there is no {folder / path}") from None
        files[path] += f" {label}"
    if not found:
        raise ValueError(f"{folder / name} names no image")
    return [found[path] for path in sorted(found)]


def _rows(file: Path) -> Iterator[tuple[int, str, int]]:
    """The line, the path below the folder of the table, and the findings of each image; ValueError for other tables."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}; expected train.csv and valid.csv as published")
    with file.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines)
        if missing := [name for name in ("Path", *NAMES) if name not in (table.fieldnames or ())]:
            raise ValueError(f"{file} has no column {', '.join(missing)}; expected CheXpert's table as published")
        for row in table:
            # Paths begin with the name of the published folder, CheXpert-v1.0 or CheXpert-v1.0-small.
            parts = str(row["Path"]).split("/")
            if len(parts) != 5 or not parts[2].startswith("patient") or ".." in parts:
                raise ValueError(
                    f"{file}, line {table.line_num}: Path is {row['Path']!r}; expected one like "
                    "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"
                )
            codes = []
            for name in NAMES:
                if (code := _CODES.get(str(row[name] or "").strip())) is None:
                    raise ValueError(
                        f"{file}, line {table.line_num}: {name} is {row[name]!r}; expected 1.0, 0.0, -1.0 or nothing"
                    )
                codes.append(code)
            yield table.line_num, "/".join(parts[1:]), encoded(codes)


@dataclass(frozen=True)
class CheXpert(FileListDataset):
    """Processed as ImageNet, in grey; the label of an image holds all findings (`workers.data.findings`).

    departs: the 500 patients of the official test are not public, so `valid.csv` (200 patients) is the test split.
    Images are normalised with the numbers of ImageNet.
    """

    name: str = "chexpert"
    classes: int = 0
    class_names: tuple[str, ...] = ()
    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    grey: bool = True
    stem: Literal["cifar", "imagenet"] = "imagenet"
    jigsaw: Jigsaw = Jigsaw(side=255, grid=3)  # noqa: RUF009  (immutable)
    large: LargeImages | None = LargeImages(  # noqa: RUF009
        scaled=256,
        findings=NAMES,
        mark="train.csv",
        listing=_listing,
    )
    published_id: str | None = "chexpert-v1"
    train_images: int = 223_414
    test_images: int = 234


DATASET: Dataset = CheXpert()
