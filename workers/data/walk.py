"""Lists the folder of a dataset: the images that are used, and everything else, counted by kind for a note.

Names with a leading dot and folders created by operating systems are ignored.  A broken symbolic link is an error,
since the image that it stands for would be missing without any notice.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

JPEG = (".jpeg", ".jpg", ".jpe", ".jfif")
# All image files, also those that are not read: beside class folders they are probably meant to be used.
PICTURES = (*JPEG, ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm")
PUBLISHED_SUFFIXES = (*JPEG, ".png")  # image files that published layouts read
CUSTOM_SUFFIXES = (*JPEG, ".png", ".webp", ".bmp", ".tif", ".tiff")  # image files that custom datasets read
FIXED = (".bmp", ".tif", ".tiff")  # uncompressed formats, whose files often have the same size
_OF_SYSTEMS = frozenset(
    {"@eadir", "#recycle", "__macosx", "lost+found", "$recycle.bin", "system volume information", "thumbs.db"}
)
_SHOWN = 5  # kinds or names in one line
_BLOCK = 4096  # bytes
_LINES = 20  # lines of a list in a message

Kind = Literal["file", "folder", "other"]


class Unused:
    """Counts of files that are not used, by kind."""

    def __init__(self) -> None:
        self.files: dict[str, Counter[str]] = {}  # by place and by suffix
        self.nested = 0  # images in folders inside of classes
        self.hidden = 0  # images in or under hidden names
        self.maps = 0  # label maps without an image
        self.unlisted = 0  # images that are not in the list
        self.others: list[str] = []  # names of other folders and files in the root

    def file(self, where: str, name: str) -> None:
        """Count a file that is not read."""
        self.files.setdefault(where, Counter())[suffix(name)] += 1

    def folder(self, path: Path | str) -> None:
        """Count the images of a folder inside a class folder; they are not read."""
        self.nested += _pictures(path)

    def hide(self, item: os.DirEntry[str]) -> None:
        """Count a hidden entry, if it is or contains images."""
        if item.is_dir(follow_symlinks=False):
            self.hidden += _pictures(item.path)
        elif item.name.lower().endswith(PICTURES):
            self.hidden += 1

    @property
    def text(self) -> str:
        """One line for display; "" if everything is used."""
        parts = [
            f"{_number(counts.total(), 'file')} of {where} ({_kinds(counts)})"
            for where, counts in sorted(self.files.items())
        ]
        if self.nested:
            parts.append(f"{_number(self.nested, 'image')} in folders inside of classes")
        if self.maps:
            parts.append(f"{_number(self.maps, 'label map')} without an image")
        if self.unlisted:
            parts.append(f"{_number(self.unlisted, 'image')} that the list does not name")
        if self.hidden:
            parts.append(f"{_number(self.hidden, 'hidden image')}")
        if self.others:
            more = f" and {len(self.others) - _SHOWN:,} more" if len(self.others) > _SHOWN else ""
            parts.append(f"not looked at: {', '.join(map(shown, sorted(self.others)[:_SHOWN]))}{more}")
        return f"left out: {'; '.join(parts)}" if parts else ""


def shown(name: object) -> str:
    """A name that can be printed, also if it is not valid UTF-8."""
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def listed(lines: Sequence[str]) -> str:
    """The first lines of a list, indented for a message, and how many more there are."""
    more = [f"and {len(lines) - _LINES:,} more"] if len(lines) > _LINES else []
    return "\n".join(f"  {line}" for line in [*lines[:_LINES], *more])


def suffix(name: str) -> str:
    """The suffix of a file name in lower case: `.gif`, or `none`."""
    stem, dot, end = name.rpartition(".")
    return f".{end.lower()}" if dot and stem and end and len(end) <= 10 and " " not in end else "none"


def is_hidden(name: str) -> bool:
    """Whether a file or folder is ignored: a hidden name, or one that operating systems create."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def kind_of(item: os.DirEntry[str]) -> Kind:
    """File or folder, following links; ValueError for a broken link."""
    if item.is_file():
        return "file"
    if item.is_dir():
        return "folder"
    if item.is_symlink():
        raise ValueError(_dead(Path(item.path)))
    return "other"


def refuse_broken_links(*paths: Path) -> None:
    """ValueError if one of these paths is a broken link; missing paths are accepted."""
    for path in paths:
        if path.is_symlink() and not path.exists():
            raise ValueError(_dead(path))


def visible(folder: Path, unused: Unused) -> Iterator[tuple[os.DirEntry[str], Kind]]:
    """The entries of a folder without hidden ones; ValueError naming a broken link."""
    with os.scandir(folder) as items:
        for item in items:
            if is_hidden(item.name):
                unused.hide(item)
            else:
                yield item, kind_of(item)


def images(folder: Path, suffixes: tuple[str, ...], where: str, unused: Unused) -> list[tuple[str, os.stat_result]]:
    """The image files of a folder, sorted by name, with their `stat` results; other files are counted."""
    found = []
    with os.scandir(folder) as items:
        for item in items:
            name = item.name
            fits = name.endswith(suffixes) or name.lower().endswith(suffixes)
            if (
                fits and name[0] != "." and item.is_file()
            ):  # the most frequent case first: there may be a million of them
                found.append((name, item.stat()))
            elif is_hidden(name):
                unused.hide(item)
            elif kind_of(item) == "folder":
                unused.folder(item.path)
            else:
                unused.file(where, name)
    return sorted(found, key=lambda image: image[0])


def classes(folder: Path, where: str, unused: Unused) -> tuple[list[str], list[str]]:
    """The sorted names of the class folders, and of images beside them."""
    folders, flat = [], []
    for item, kind in visible(folder, unused):
        if kind == "folder":
            folders.append(item.name)
        elif item.name.lower().endswith(PICTURES):
            flat.append(item.name)
        else:
            unused.file(where, item.name)
    return sorted(folders), sorted(flat)


def refuse_flat(folder: Path, flat: Sequence[str]) -> None:
    """ValueError if there are images beside class folders: they have no class, perhaps sorting was interrupted."""
    if flat:
        raise ValueError(
            f"{shown(folder)} holds class folders and beside them {_number(len(flat), 'image')} without a class "
            f"({shown(flat[0])}{', ...' if len(flat) > 1 else ''}): sort them into the classes, or move them elsewhere"
        )


def empty(folder: Path, suffixes: Sequence[str]) -> ValueError:
    """The error for a class folder without images, naming its other content."""
    unused = Unused()
    images(folder, (), "it", unused)
    seen = f"; {unused.text.removeprefix('left out: ')}" if unused.text else ""
    return ValueError(
        f"{shown(folder)} holds no image ({', '.join(suffixes)}){seen}; every folder there is a class, so fill it, or "
        "move it elsewhere"
    )


def beside(root: Path, used: Collection[str], unused: Unused) -> None:
    """Note the folders, images and Parquet files of a dataset's root that are not used."""
    with os.scandir(root) as items:
        for item in items:
            if item.name in used or is_hidden(item.name):
                continue
            if item.is_dir():
                unused.others.append(f"{item.name}/")
            elif item.is_symlink() and not item.is_file():
                unused.others.append(f"{item.name} (a link to nothing)")
            elif item.name.lower().endswith((*PICTURES, ".parquet")):
                unused.others.append(item.name)


def alike(folder: Path, wanted: Collection[str]) -> str:
    """A hint at folders whose names differ from expected names only in case or blanks: `; there is Val/`."""
    try:
        with os.scandir(folder) as items:
            found = [i.name for i in items if i.name not in wanted and i.name.strip().lower() in wanted and i.is_dir()]
    except OSError:
        return ""
    return f"; there is {', '.join(shown(f'{name}/') for name in sorted(found))}, spelled otherwise" if found else ""


def sample(file: Path, size: int, blocks: int) -> str:
    """16 hex digits over a sample of a file's bytes, evenly spread; over all bytes of a small file."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        if size <= blocks * _BLOCK:
            digest.update(opened.read())
        else:
            for block in range(blocks):
                opened.seek((size - _BLOCK) * (2 * block + 1) // (2 * blocks))
                digest.update(opened.read(_BLOCK))
    return digest.hexdigest()[:16]


def _pictures(folder: Path | str) -> int:
    return sum(name.lower().endswith(PICTURES) for _, _, names in os.walk(folder) for name in names)


def _kinds(counts: Counter[str]) -> str:
    """`.gif 20, none 3`, the most frequent first."""
    kinds = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = sum(count for _, count in kinds[_SHOWN:])
    return ", ".join(
        [f"{shown(kind)} {count:,}" for kind, count in kinds[:_SHOWN]] + ([f"others {more:,}"] if more else [])
    )


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _dead(path: Path) -> str:
    try:
        target = os.readlink(path)
    except OSError:
        target = "?"
    return (
        f"{shown(path)} is a link to {shown(target)}, which does not exist or leads back to itself: mount or copy the "
        "target, or remove the link"
    )
