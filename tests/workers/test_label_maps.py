"""Datasets whose pixels have classes, from the folders that users have them in, and ImageNet-22K's list."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.workers.photographs import encoded, folder, picture
from workers import datasets
from workers.data.large import LargeDataset
from workers.datasets import IGNORED, Form
from workers.datasets.imagenet22k import held_out

# The official labels in the order of their ids, 0..33, and the training id of those that are evaluated.
LABELS = (
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "road", "sidewalk",
    "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole", "polegroup",
    "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus",
    "caravan", "trailer", "train", "motorcycle", "bicycle",
)  # fmt: skip
TRAIN_IDS = {
    "road": 0, "sidewalk": 1, "building": 2, "wall": 3, "fence": 4, "pole": 5, "traffic light": 6, "traffic sign": 7,
    "vegetation": 8, "terrain": 9, "sky": 10, "person": 11, "rider": 12, "car": 13, "truck": 14, "bus": 15,
    "train": 16, "motorcycle": 17, "bicycle": 18,
}  # fmt: skip
ARRAY = Form("array", short_side=40)


def prepare(root: Path, form: Form = ARRAY, name: str = "cityscapes") -> LargeDataset:
    return datasets.prepare(name, root, root.parent / "cache", form=form)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training images and one to test on, 60x120, label ids of all kinds."""
    base = tmp_path / "cityscapes"
    for seed, place in enumerate(("train/aachen/aachen_000", "train/ulm/ulm_000", "val/lindau/lindau_000")):
        for kind in ("leftImg8bit", "gtFine"):
            (base / kind / place).parent.mkdir(parents=True, exist_ok=True)
        (base / "leftImg8bit" / f"{place}_leftImg8bit.png").write_bytes(encoded(picture(seed, (120, 60)), "PNG"))
        ids = np.arange(60 * 120, dtype=np.int64).reshape(60, 120) // 7 % 34
        Image.fromarray(ids.astype(np.uint8)).save(base / "gtFine" / f"{place}_gtFine_labelIds.png")
    return base


def test_cityscapes_ids_become_the_nineteen_classes(root: Path) -> None:
    maps = datasets.get("cityscapes").large.maps  # type: ignore[union-attr]
    assert {name: number for number, name in enumerate(maps.class_names)} == TRAIN_IDS
    stored = prepare(root, Form())
    assert (len(stored.train), len(stored.test)) == (2, 1)
    ids = np.asarray(Image.open(root / "gtFine/train/aachen/aachen_000_gtFine_labelIds.png"))
    wanted = np.array([TRAIN_IDS.get(name, IGNORED) for name in LABELS])[ids]
    assert np.array_equal(stored.train.label_map(0), wanted)
    image = Image.open(root / "leftImg8bit/train/aachen/aachen_000_leftImg8bit.png")
    assert np.array_equal(stored.train.pixels(0), np.asarray(image))


def test_train_ids_are_preferred_and_part_of_the_identity(root: Path) -> None:
    before = prepare(root).dataset_id
    classes = np.full((60, 120), 18, np.uint8)
    classes[:, 50:] = IGNORED
    Image.fromarray(classes).save(root / "gtFine/train/ulm/ulm_000_gtFine_labelTrainIds.png")
    stored = prepare(root, Form())
    assert np.array_equal(stored.train.label_map(1), classes)
    assert datasets.identify("cityscapes", root.parent, None, ARRAY) != before


def test_stored_maps_are_as_large_as_their_images_and_hold_no_new_class(root: Path) -> None:
    exact, small = prepare(root, Form()), prepare(root)
    for number in range(2):
        assert small.train.pixels(number).shape == (40, 80, 3)
        found, whole = small.train.label_map(number), exact.train.label_map(number)
        assert found.shape == (40, 80)
        # 2 of 3 rows and columns stay: the middles of the new pixels fall on pixels 0, 2, 3, 5, ... of the old ones.
        rows, columns = (np.floor((np.arange(n) + 0.5) * 1.5).astype(int) for n in (40, 80))
        assert np.array_equal(found, whole[rows][:, columns])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Image.new("L", (120, 59)), "120x59"),
        (Image.new("L", (120, 60), 34), "holds 34"),
        (Image.new("RGB", (120, 60)), "one channel"),
    ],
)
def test_label_maps_that_do_not_fit_are_broken_images(root: Path, wrong: Image.Image, says: str) -> None:
    wrong.save(root / "gtFine/train/ulm/ulm_000_gtFine_labelIds.png")
    with pytest.raises(ValueError, match=rf"ulm_000_leftImg8bit.png: its label map .*{says}"):
        prepare(root)
    assert len(prepare(root, Form("array", short_side=40, skip_broken=True)).train) == 1


def test_train_ids_under_the_name_of_label_ids_are_refused(root: Path) -> None:
    train_ids = np.full((60, 120), 13, np.uint8)
    train_ids[:, 50:] = IGNORED
    Image.fromarray(train_ids).save(root / "gtFine/train/ulm/ulm_000_gtFine_labelIds.png")
    with pytest.raises(ValueError, match=r"ulm_000_leftImg8bit.png: .*holds 255 .*name it \.\.\._gtFine_labelTrainIds"):
        prepare(root)
    # Where something is above 18, only label ids can be meant.
    train_ids[0, 0] = 26
    Image.fromarray(train_ids).save(root / "gtFine/train/ulm/ulm_000_gtFine_labelIds.png")
    assert len(prepare(root).train) == 2


@pytest.mark.parametrize("form", [Form(), ARRAY], ids=["exact", "array"])
def test_an_image_that_its_exif_turns_away_from_its_map_is_refused(root: Path, form: Form) -> None:
    file = root / "leftImg8bit/train/ulm/ulm_000_leftImg8bit.png"
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(file).save(file, exif=exif)
    with pytest.raises(ValueError, match=r"ulm_000_leftImg8bit.png: its EXIF orientation is 3"):
        prepare(root, form)


@pytest.mark.parametrize("form", [Form(), ARRAY], ids=["exact", "array"])
def test_numbers_that_mean_another_class_now_are_read_anew(root: Path, form: Form) -> None:
    """As of a plug-in whose code changed: what lies in the cache under the same id has the classes of before."""
    cityscapes = datasets.get("cityscapes")
    before = prepare(root, form).train.label_map(0)
    assert cityscapes.large is not None
    maps = cityscapes.large.maps
    assert maps is not None
    (end, values), swap = maps.values[1], {7: 1, 8: 0}
    swapped = replace(maps, values=(maps.values[0], (end, tuple((v, swap.get(v, c)) for v, c in values))))
    other = replace(cityscapes, large=replace(cityscapes.large, maps=swapped))  # type: ignore[type-var]
    stored = datasets.prepare(other, root, root.parent / "cache", form=form)
    assert np.array_equal(stored.train.label_map(0) == 1, before == 0)
    assert np.array_equal(stored.train.label_map(0) == 0, before == 1)


def test_an_image_without_a_label_map_is_named(root: Path) -> None:
    (root / "gtFine/val/lindau/lindau_000_gtFine_labelIds.png").unlink()
    with pytest.raises(ValueError, match=r"lindau_000_leftImg8bit.png has no label map.*gtFine_trainvaltest"):
        datasets.identify("cityscapes", root, None)


def test_camvid_is_what_its_labels_say(data: Path, tmp_path: Path) -> None:
    stored = datasets.prepare("camvid", data / "camvid_mini", tmp_path, form=Form())
    assert (len(stored.train), len(stored.test)) == (32, 10)
    counts = sum(np.bincount(stored.train.label_map(n).ravel(), minlength=256) for n in range(32))
    share = counts / counts.sum()
    assert {n for n in range(256) if share[n]} <= {*range(11), IGNORED}
    # Published shares of the frames: sky, building, road, car, and what is left out.
    assert share[[0, 1, 3, 8, IGNORED]] == pytest.approx([0.159, 0.233, 0.299, 0.048, 0.040], abs=0.02)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """ImageNet-22K's layout: folders of classes, and a list that names most of their images."""
    folder(tmp_path / "in", each=6)
    base = tmp_path / "imagenet22k"
    shutil.copytree(tmp_path / "in" / "train", base)
    # Names until two images are held out and some are not.
    names = []
    for wnid in sorted(p.name for p in base.iterdir()):
        number = next(n for n in range(10_000) if held_out(f"{wnid}_{n}"))
        (base / wnid / f"{wnid}_0.JPEG").rename(base / wnid / f"{wnid}_{number}.JPEG")
        names += [f"{wnid}_{number}", *(f"{wnid}_{n}.JPEG" for n in range(1, 5))]
    (base / "all_images.txt").write_text("\n".join(names) + "\n")
    (base / "readme.txt").write_text("nothing to do with it\n")
    return base


def test_imagenet22k_is_what_its_list_names(listed: Path) -> None:
    stored = prepare(listed, ARRAY, "imagenet22k")
    assert stored.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert stored.test.labels.tolist() == [0, 1, 2]
    assert all(held_out(Path(name.as_py()).name) for name in stored.test.table.column("name"))
    assert not any(held_out(Path(name.as_py()).name) for name in stored.train.table.column("name"))


def test_one_image_in_two_hundred_is_held_out_by_its_name() -> None:
    names = [f"n{k // 50:08d}_{k}" for k in range(40_000)]
    share = np.mean([held_out(name) for name in names])
    assert share == pytest.approx(1 / 200, rel=0.15)
    assert [held_out(f"{name}.JPEG") for name in names[:500]] == [held_out(name) for name in names[:500]]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("n02084071_9999", r"there is no .*n02084071_9999\.JPEG"),
        ("../../etc/n02084071_1", "line 16: .* is not an image name"),
        ("n02084071/n01440764_1", "line 16"),
    ],
)
def test_a_list_that_names_what_is_not_there_is_refused(listed: Path, line: str, says: str) -> None:
    with (listed / "all_images.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=says):
        datasets.identify("imagenet22k", listed.parent, None)


def test_a_folder_without_a_list_is_told_what_it_needs(listed: Path) -> None:
    (listed / "all_images.txt").unlink()
    with pytest.raises(ValueError, match="one text file with one image name per line"):
        datasets.identify("imagenet22k", listed.parent, None)


@pytest.mark.parametrize("name", ["cityscapes", "camvid"])
def test_hidden_files_are_no_images_and_the_rest_is_told(root: Path, tmp_path: Path, name: str) -> None:
    if name == "camvid":
        root = tmp_path / "camvid"
        for split in ("train", "val"):
            for folder_ in (split, f"{split}annot"):
                (root / folder_).mkdir(parents=True)
            (root / split / "0.png").write_bytes(encoded(picture(1, (120, 60)), "PNG"))
            Image.new("L", (120, 60), 3).save(root / f"{split}annot" / "0.png")
    clean = datasets.identify(name, root, None)
    images = [p for p in root.rglob("*.png") if "annot" not in str(p) and "gtFine" not in str(p)]
    for image in images:
        image.with_name(f"._{image.name}").write_bytes(b"resource fork")
        (image.parent / ".ipynb_checkpoints").mkdir()
        shutil.copy(image, image.parent / ".ipynb_checkpoints")
    for label_map in [p for p in root.rglob("*.png") if "annot" in str(p) or "gtFine" in str(p)]:
        label_map.with_name(f"._{label_map.name}").write_bytes(b"resource fork")
    assert datasets.identify(name, root, None) == clean
    assert len(prepare(root, Form(), name).train) == len(images) - 1
    images[0].with_name("x.jpg").write_bytes(b"?")
    shutil.copy(images[0], images[0].with_name("y.tif"))
    left = datasets.look(name, root).unused
    assert "2 files of" in left
    assert "(.jpg 1, .tif 1)" in left
    assert f"{2 * len(images)} hidden images" in left


def test_a_city_that_is_not_mounted_and_maps_without_images_are_told(root: Path) -> None:
    image = root / "leftImg8bit/train/ulm/ulm_000_leftImg8bit.png"
    image.rename(root / "elsewhere.png")
    assert datasets.look("cityscapes", root).unused == "left out: 1 label map without an image"
    image.symlink_to("/nowhere/ulm_000.png")
    with pytest.raises(ValueError, match=r"ulm_000_leftImg8bit.png is a link to /nowhere/ulm_000.png"):
        datasets.look("cityscapes", root)
    image.unlink()
    (root / "leftImg8bit/train/ulm").rmdir()
    (root / "leftImg8bit/train/ulm").symlink_to("/nowhere/ulm")
    with pytest.raises(ValueError, match=r"train/ulm is a link to /nowhere/ulm"):
        datasets.look("cityscapes", root)


def test_images_that_the_list_does_not_name_are_counted(listed: Path) -> None:
    shutil.copytree(listed / "n02084071", listed / "n99999999")
    told = datasets.look("imagenet22k", listed.parent).unused
    assert told == "left out: 3 images that the list does not name; not looked at: n99999999/"
