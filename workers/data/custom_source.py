"""The description of a custom dataset in a study: where its images and labels are, and how they are used.

kind folder    train/<class>/*.jpg beside val/ or test/; or <class>/*.jpg, of which `test_fraction` are the test split
kind parquet   train*.parquet beside val*.parquet or test*.parquet (here or in data/); or one split, divided similarly

Classes are numbered in the sorted order of their names: folders, or the values of the label column.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workers.data import walk
from workers.data.image_files import Entry, Listing
from workers.data.parquet import IMAGE_COLUMNS, columns, line, named, opened, parquet_files, shards, values
from workers.data.walk import CUSTOM_SUFFIXES, FIXED, Unused

SIZES = (16, 512)  # px; four tiles of a smaller image would be too small for the poolings of a network
TESTS = ("val", "validation", "valid", "test")  # names of the folder of a test split
PREFIXES = ("val", "test")  # of the Parquet files of a test split
Part = Annotated[float, Field(ge=0, le=1)]
Rgb = Annotated[tuple[Part, Part, Part], Field(strict=False)]


class Source(BaseModel):
    """Where the images are and how they are used; all fields are part of a trial's identity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    kind: Literal["folder", "parquet"]
    size: int = Field(
        ge=SIZES[0], le=SIZES[1], description="input size in px; above 64 px processed as ImageNet, else as CIFAR-10"
    )
    mean: Rgb | None = Field(None, description="of R, G, B on the 0..1 scale; default: measured on the training split")
    std: Rgb | None = None
    test: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_-]+$", description="folder of the test split, or prefix of its Parquet files"
    )
    test_fraction: float | None = Field(None, gt=0, lt=1, description="of each class, if there is no test split")
    split_seed: int | None = Field(None, ge=0, lt=2**63, description="seed that selects these images")
    image_column: str | None = Field(None, min_length=1, description="in Parquet files; default image or img")
    label_column: str | None = Field(None, min_length=1, description="in Parquet files; default label")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("give mean and std together, or neither: then both are measured on the training split")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std = {list(self.std)}; expected three numbers above 0")
        if self.test is not None and self.test_fraction is not None:
            raise ValueError("give test (the name of the test split) or test_fraction, not both")
        if self.split_seed is not None and self.test_fraction is None:
            raise ValueError("split_seed belongs to test_fraction")
        if self.kind == "folder" and (self.image_column or self.label_column):
            raise ValueError("image_column and label_column belong to kind 'parquet'")
        return self

    def listing(self, name: str, root: Path | None) -> tuple[Listing, tuple[str, ...]]:
        """The images of both splits, without opening them, and the names of the classes.

        FileNotFoundError if there are none; ValueError if there is only one class, or if the splits do not match.
        """
        if root is None:
            raise FileNotFoundError(f"dataset {name} needs its `path` (or data_root, a folder that holds {name}/)")
        if not root.is_dir():
            raise FileNotFoundError(f"dataset {name}: there is no folder {root}")
        files: dict[str, str] = {}
        unused = Unused()
        read = _folders if self.kind == "folder" else _shards
        train, test = read(self, root, files, unused, split=self.test_fraction is None)
        classes = sorted({value for _, value in train})
        if len(classes) < 2:
            seen = ", ".join(map(str, classes)) or "none"
            raise ValueError(f"dataset {name} at {root} has the classes: {seen}; at least two are needed")
        for same in _alike(classes):
            raise ValueError(
                f"dataset {name} at {root}: the classes {' and '.join(map(repr, same))} look the same; give them one "
                "spelling, or names that differ visibly"
            )
        if unknown := sorted({str(value) for _, value in test} - {*map(str, classes)}):
            raise ValueError(
                f"dataset {name} at {root}: test classes that train lacks: "
                + ", ".join(walk.shown(value) + _meant(value, classes) for value in unknown[:5])
            )
        rank = {value: label for label, value in enumerate(classes)}
        first, second = ([replace(e, label=rank[v]) for e, v in part] for part in (train, test))
        if self.test_fraction is not None:
            first, second = _divided(first, self.test_fraction, self.split_seed or 0, classes)
        about = f"{self.test_fraction} {self.split_seed or 0} {self.label_column or 'label'} {first[0].column}\n"
        return Listing(root, files, first, second, about, unused.text), tuple(map(walk.shown, classes))


Labelled = list[tuple[Entry, Any]]


def _divided(
    entries: Sequence[Entry], fraction: float, seed: int, classes: Sequence[Any]
) -> tuple[list[Entry], list[Entry]]:
    """Training and test part, each in the order of the whole; both hold at least one image of each class."""
    by_class: dict[int, list[Entry]] = {}
    for entry in entries:
        by_class.setdefault(entry.label, []).append(entry)
    tested: set[str] = set()
    for label, members in by_class.items():
        if len(members) < 2:
            raise ValueError(f"class {classes[label]} has one image; at least two are needed to divide it")
        members.sort(key=lambda e: hashlib.sha256(f"split|{seed}|{e.name}".encode("utf-8", "surrogateescape")).digest())
        tested |= {e.name for e in members[: min(max(1, round(fraction * len(members))), len(members) - 1)]}
    return [e for e in entries if e.name not in tested], [e for e in entries if e.name in tested]


def _look(value: object) -> str:
    """A name as it is displayed: one Unicode normal form, without outer blanks and invisible characters."""
    visible = "".join(c for c in unicodedata.normalize("NFC", str(value)) if unicodedata.category(c) != "Cf")
    return " ".join(visible.split())


def _alike(classes: Sequence[Any]) -> Iterator[list[Any]]:
    """Groups of class names that look the same.  Names that differ in upper and lower case count as different."""
    seen: dict[str, list[Any]] = {}
    for value in classes:
        seen.setdefault(_look(value), []).append(value)
    return (same for same in seen.values() if len(same) > 1)


def _meant(value: str, classes: Sequence[Any]) -> str:
    """A hint at the class of the training split that looks like an unknown test class."""
    like = next((known for known in classes if _look(known).lower() == _look(value).lower()), None)
    return "" if like is None else f" ({value!r}, and train has {str(like)!r})"


def _one(found: Sequence[str], wanted: Sequence[str], root: Path, hint: str = "") -> str:
    """The only test split that exists; an error naming the candidates if there is none or several."""
    if len(found) != 1:
        raise (FileNotFoundError if not found else ValueError)(
            f"{root} holds {' and '.join(found) or 'none'} of {', '.join(wanted)}: name the test split, "
            f'test = "{found[0] if found else wanted[-1]}", or divide the images by test_fraction{hint}'
        )
    return found[0]


def _folders(
    source: Source, root: Path, files: dict[str, str], unused: Unused, *, split: bool
) -> tuple[Labelled, Labelled]:
    if not split:
        return _classes(root, "", files, unused), []
    walk.refuse_broken_links(*(root / name for name in ("train", *((source.test,) if source.test else TESTS))))
    hint = walk.alike(root, ("train", *TESTS))
    test = source.test or _one([name for name in TESTS if (root / name).is_dir()], TESTS, root, hint)
    for name in ("train", test):
        if not (root / name).is_dir():
            raise FileNotFoundError(
                f"{root} holds no folder {name}; class folders need a training and a test split{hint}"
            )
    if os.path.samefile(root / "train", root / test):
        raise ValueError(f"test = {test!r} is the folder of the training split; nothing would be tested")
    walk.beside(root, {"train", test}, unused)
    return _classes(root, "train", files, unused), _classes(root, test, files, unused)


def _classes(root: Path, split: str, files: dict[str, str], unused: Unused) -> Labelled:
    """The images of all class folders, sorted by class and name."""
    found: Labelled = []
    place, where = (f"{split}/", split) if split else ("", "the set")
    names, flat = walk.classes(root / split, where, unused)
    for name in names:
        before = len(found)
        for image, about in walk.images(root / split / name, CUSTOM_SUFFIXES, where, unused):
            path = f"{place}{name}/{image}"
            files[path] = str(about.st_size)
            if image.lower().endswith(FIXED):
                files[path] += f" {walk.sample(root / path, about.st_size, 1)}"
            found.append((Entry(path, None, 0, f"{about.st_size} {about.st_mtime_ns}"), name))
        if len(found) == before:
            raise walk.empty(root / split / name, CUSTOM_SUFFIXES)
    if not found:
        raise FileNotFoundError(
            f"{root / split} holds no class folder with images ({', '.join(CUSTOM_SUFFIXES)})"
            + (f"; {len(flat):,} images are there without a class" if flat else "")
        )
    walk.refuse_flat(root / split, flat)
    return found


def _shards(
    source: Source, root: Path, files: dict[str, str], unused: Unused, *, split: bool
) -> tuple[Labelled, Labelled]:
    places = [p for p in (root, root / "data") if parquet_files(p)]
    if not places:
        raise FileNotFoundError(f"neither {root} nor {root / 'data'} holds a *.parquet file")
    place = next((p for p in places if named(p, "train")), places[0])
    parts: dict[str, list[Path]] = {"train": []}
    if split:
        test = source.test or _one([name for name in PREFIXES if named(place, name)], PREFIXES, place, _there(place))
        parts = {"train": shards(place, "train"), "test": shards(place, test, loose=source.test is not None)}
        for name, found in parts.items():
            if not found:
                wanted = "train" if name == "train" else test
                raise FileNotFoundError(f"{place} holds no {wanted}*.parquet{_there(place)}")
    else:
        parts["train"] = shards(place, "train" if named(place, "train") else "", loose=True)
    used = {file for found in parts.values() for file in found}
    if len(used) < sum(map(len, parts.values())):
        raise ValueError(f"test = {source.test!r} names files of the training split too; nothing would be tested")
    unused.others = [f.relative_to(root).as_posix() for p in places for f in parquet_files(p) if f not in used]
    read = [_read(source, root, found, name, files) for name, found in parts.items()]
    if len({type(value) for rows in read for _, value in rows}) > 1:
        raise ValueError(f"{place}: labels are text in one split and numbers in the other")
    return read[0], read[1] if split else []


def _there(place: Path) -> str:
    names = [file.name for file in parquet_files(place)]
    return f"; found: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"


def _read(source: Source, root: Path, parts: Sequence[Path], split: str, files: dict[str, str]) -> Labelled:
    """The rows of shards, with the values of their label column."""
    found: Labelled = []
    for shard in parts:
        about, path = shard.stat(), shard.relative_to(root).as_posix()
        parquet = opened(shard, split)
        image = (source.image_column,) if source.image_column else IMAGE_COLUMNS
        image_column, label_column = columns(parquet, shard, split, image, (source.label_column or "label",))
        stamp = f"{about.st_size} {about.st_mtime_ns} {image_column}"
        rows = list(_checked(values(parquet, shard, split, label_column), shard, split))
        files[path] = line(shard, about.st_size, [value for _, value in rows])
        found += [(Entry(path, row, 0, stamp, column=image_column), value) for row, value in rows]
    if len({type(value) for _, value in found}) > 1:
        raise ValueError(f"{parts[0].parent} ({split}): labels are text in one file and numbers in another")
    if not found:
        raise FileNotFoundError(f"{parts[0].parent} ({split}) holds no image: its Parquet files have no rows")
    return found


def _checked(values: Sequence[Any], shard: Path, split: str) -> Iterator[tuple[int, Any]]:
    for row, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"{shard}, row {row} ({split}): label is {value!r}; expected an integer or text")
        yield row, value
