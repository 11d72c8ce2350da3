"""Folders of images as they occur: odd names and links, hidden and foreign entries, damaged and forgotten files."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

from .pictures import contents
from .promise import World

CLASSES = ("10", "2", "Bee", "ant", "c d", "ñandú", "x.png", "-f", "e\nf", "%s", "#1")
WNIDS = ("n01440764", "n01443537", "n15075141")  # readers of ImageNet refuse other folders beside these
STEMS = (
    "1",
    "2",
    "10",
    "a b",
    "ü",
    "-rf",
    "x.y",
    "#3",
    "%d",
    "CON",
    "new\nline",
    "x" * 120,
    "[red]",
    "'q'",
    "\\",
    "…",
)
FOREIGN_NAMES = "\udcff"  # bytes that are no UTF-8
SUFFIXES = (".png", ".PNG", ".jpg", ".JPG", ".jpeg", ".JPEG")  # that every reader of folders knows; the content decides


Odd = Callable[[st.DrawFn, World, Path, str, str], None]


def _broken(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    world.put(folder / f"broken{draw(st.sampled_from(SUFFIXES))}", split, kind, draw(contents(broken=True)))


def _hidden(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    file = folder / draw(st.sampled_from([".1.png", "._1.png", ".DS_Store", ".nfs0001.jpg"]))
    file.write_bytes(draw(st.sampled_from([b"\0\5\x16\7AppleDouble", draw(contents()).data])))
    world.remember(file)


def _hidden_folder(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    place = folder / draw(st.sampled_from([".ipynb_checkpoints", ".git", ".thumbnails"]))
    place.mkdir(exist_ok=True)
    (place / "1-checkpoint.png").write_bytes(draw(contents()).data)
    world.remember(place)


def _foreign(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    file = folder / draw(
        st.sampled_from(["Thumbs.db", "desktop.ini", "README.txt", "labels.csv", "notes", "list.json"])
    )
    file.write_bytes(draw(st.sampled_from([b"", b"a,b\n1,2\n", b"\xff\xfe"])))
    world.remember(file)


def _link(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    content, store = draw(contents()), world.root.parent / "store"
    store.mkdir(exist_ok=True)
    target = store / f"{len(list(store.iterdir()))}.png"
    target.write_bytes(content.data)
    link = folder / "link.png"
    if link.exists():
        return
    link.symlink_to(target) if draw(st.booleans()) else os.link(target, link)
    world.there.append((split, kind, content))
    world.log.append(f"{link.relative_to(world.root)}: link to {content.about}")


def _pipe(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    if not (folder / "pipe.png").exists():
        os.mkfifo(folder / "pipe.png")
    world.remember(folder / "pipe.png")


def _folder_like_an_image(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    (folder / "folder.png").mkdir(exist_ok=True)
    world.remember(folder / "folder.png")


def _unreadable(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    file = folder / "locked.png"
    world.put(file, split, kind, draw(contents()))
    file.chmod(0)
    if not os.access(file, os.R_OK):
        world.there.pop()
        world.remember(file)


def _other_suffix(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    file = folder / f"other{draw(st.sampled_from(['.jfif', '.jpe', '.gif', '.heic', '', '.png.bak', '.ppm', '.npy']))}"
    world.put(file, split, kind, draw(contents()))
    world.remember(file)


def _nested(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    world.put(folder / "nested" / "deep.png", split, kind, draw(contents()))
    world.remember(folder / "nested")


def _dead_link(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    link = folder / "dead.png"
    if not link.is_symlink():
        link.symlink_to(draw(st.sampled_from(["/no/such/mount/1.png", "dead.png", "../gone.png"])))
    world.there.append((split, kind, draw(contents())))
    world.remember(link)


def _dead_class(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    link = folder.parent / "dead class"
    if not link.is_symlink():
        link.symlink_to("/no/such/mount/class")
    world.there.append((split, "dead class", draw(contents())))
    world.remember(link)


def _empty_class(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    (folder.parent / "aaa empty").mkdir(exist_ok=True)
    world.remember(folder.parent / "aaa empty")


def _hidden_class(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    _hidden_folder(draw, world, folder.parent, split, kind)


def _beside(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    world.put(folder.parent / "ILSVRC2012_val_00000001.JPEG", split, kind, draw(contents()))
    world.remember(folder.parent / "ILSVRC2012_val_00000001.JPEG")


def _foreign_name(draw: st.DrawFn, world: World, folder: Path, split: str, kind: str) -> None:
    world.put(folder / f"name{FOREIGN_NAMES}.png", split, kind, draw(contents()))
    world.remember(folder / f"name{FOREIGN_NAMES}.png")


ODD: dict[str, Odd] = {f.__name__.strip("_"): f for f in (
    _broken, _hidden, _hidden_folder, _foreign, _link, _pipe, _folder_like_an_image, _unreadable, _other_suffix,
    _nested, _dead_link, _dead_class, _empty_class, _hidden_class, _beside, _foreign_name,
)}  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn, base: Path, odd: list[str]) -> World:
    """`train/<class>/` and `val/<class>/` in a new folder, with the odd things that are named, each somewhere."""
    shutil.rmtree(base, ignore_errors=True)
    world = World(base / "data")
    names = draw(st.sampled_from([CLASSES, CLASSES, WNIDS]))
    kinds = draw(st.lists(st.sampled_from(names), min_size=2, max_size=3, unique=True))
    for split, most in (("train", 3), ("val", 2)):
        for kind in kinds:
            stems = draw(st.lists(st.sampled_from(STEMS), min_size=most - 1, max_size=most, unique=True))
            for stem in stems:
                suffix = draw(st.sampled_from(SUFFIXES))
                world.put(world.root / split / kind / f"{stem}{suffix}", split, kind, draw(contents()))
    for name in odd:
        split, kind = draw(st.sampled_from(["train", "val"])), draw(st.sampled_from(kinds))
        ODD[name](draw, world, world.root / split / kind, split, kind)
    return world
