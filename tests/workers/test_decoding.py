"""Images as written by cameras, microscopes and editors: correct pixels, or a helpful error."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from workers.data.dataset import Maps
from workers.data.decode import BrokenImageError, decoded, decoded_map

from .photographs import encoded, picture

RAMP = np.arange(64 * 64).reshape(64, 64)


def saved(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def chunked(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with chunks put in behind its header."""
    more = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return data[:33] + more + data[33:]


def tiff(pixels: np.ndarray, bits: int, photometric: int, order: str = "<") -> bytes:
    """An uncompressed grey TIFF of unsigned numbers, 12 bits packed."""
    height, width = pixels.shape
    if bits == 12:
        row = pixels.reshape(-1, 2)
        body = np.stack([row[:, 0] >> 4, (row[:, 0] & 15) << 4 | row[:, 1] >> 8, row[:, 1] & 255], 1)
        body = body.astype(np.uint8).tobytes()
    else:
        body = pixels.astype(f"{order}u{bits // 8}").tobytes()
    tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
            (277, 3, 1), (278, 4, height), (279, 4, len(body))]  # fmt: skip
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(body))
    lines = b""
    for tag, kind, value in tags:
        lines += struct.pack(f"{order}HHI", tag, kind, 1)
        lines += struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
    return head + body + struct.pack(f"{order}H", len(tags)) + lines + struct.pack(f"{order}I", 0)


@pytest.mark.parametrize(
    "data",
    [
        saved((RAMP * 16).astype(np.uint16), "PNG"),
        saved((RAMP * 16).astype(np.uint16), "TIFF"),
        saved((RAMP * 16).astype(np.uint16), "TIFF", compression="tiff_deflate"),
        tiff(RAMP * 16, 16, 1, ">"),
        tiff(RAMP * 16, 16, 1),
        tiff(65535 - RAMP * 16, 16, 0),
        tiff(RAMP, 12, 1),
    ],
    ids=["png", "tiff", "deflated", "big-endian", "little-endian", "white-is-zero", "12 bits"],
)
def test_grey_of_more_than_8_bits_keeps_its_high_byte(data: bytes) -> None:
    wanted = (RAMP * 16 >> 8).astype(np.uint8)
    assert np.array_equal(decoded(data), np.repeat(wanted[..., None], 3, axis=2))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_grey_of_an_unknown_range_is_refused(dtype: type) -> None:
    with pytest.raises(BrokenImageError, match=r"numbers \(mode [IF]\).*save it with 8 or 16 bits"):
        decoded(saved((RAMP / 4095).astype(dtype), "TIFF"))


def test_all_images_of_8_bits_are_what_they_were() -> None:
    image = picture(3, (30, 20))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        as_rgb = np.asarray(image.convert(mode).convert("RGB"))
        assert np.array_equal(decoded(encoded(image.convert(mode), "PNG")), as_rgb)
    for kind in ("BMP", "TIFF"):
        assert np.array_equal(decoded(encoded(image, kind)), np.asarray(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_every_orientation_is_turned_as_pillow_turns_it(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    data = saved(picture(5, (60, 40)), kind, exif=exif, **options)
    assert np.array_equal(decoded(data), np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))


def exif(*more: tuple[int, int, int, bytes], orientation: int = 6) -> bytes:
    """EXIF of an image that was held sideways, with further tags (number, type, count, value or place)."""
    entries = sorted([(0x0112, 3, 1, struct.pack("<HH", orientation, 0)), *more])
    lines = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + lines + struct.pack("<I", 0) + bytes(64)


@pytest.mark.parametrize("tag", [0x0100, 0x010E, 0x011A, 0x0128, 0x0132, 0x8769, 0x8825, 0x9286, 0xC4A5])
def test_no_other_tag_keeps_an_image_from_being_turned(tag: int) -> None:
    image = picture(5, (60, 40))
    upright = np.rot90(np.asarray(Image.open(io.BytesIO(saved(image, "JPEG")))), -1)
    for kind in range(14):
        for count in (0, 1, 3, 2**20):
            for value in (b"2\0\0\0", b"\xff\xff\xff\xff", struct.pack("<I", 38)):
                data = saved(image, "JPEG", exif=exif((tag, kind, count, value)))
                assert np.array_equal(decoded(data), upright), (kind, count, value)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"history\0\0" + zlib.compress(b"x" * 5_000_000)),
        (b"iTXt", b"history\0\1\0\0\0" + zlib.compress(b"x" * 5_000_000)),
        (b"iCCP", b"profile\0\0" + zlib.compress(bytes(5_000_000))),
    ],
    ids=["zTXt", "iTXt", "iCCP"],
)
def test_a_png_with_a_long_text_is_read(chunk: tuple[bytes, bytes]) -> None:
    image = picture(5, (30, 20))
    assert np.array_equal(decoded(chunked(encoded(image, "PNG"), chunk, chunk)), np.asarray(image))


def test_a_png_whose_text_would_fill_the_memory_is_refused_for_that() -> None:
    chunk = b"zTXt", b"history\0\0" + zlib.compress(bytes(2**27), 9)
    with pytest.raises(BrokenImageError, match=r"texts or its colour profile unpack to more than 64 MiB"):
        decoded(chunked(encoded(picture(5, (30, 20)), "PNG"), chunk))


@pytest.mark.parametrize("data", [b"", b"<html>", encoded(picture(1, (30, 20)), "PNG")[:40], b"\x89PNG\r\n\x1a\n"])
def test_what_is_wrong_is_said_without_addresses_of_memory(data: bytes) -> None:
    with pytest.raises(BrokenImageError, match=f"^{len(data)} bytes cannot be decoded: ") as told:
        decoded(data)
    assert "0x" not in str(told.value)
    assert "BytesIO" not in str(told.value)


def test_any_exception_of_a_decoder_is_a_broken_image() -> None:
    """Truncated and altered at every place, in every format: pixels of the right size, or a BrokenImageError."""
    rng = np.random.default_rng(0)
    for kind in ("PNG", "WEBP", "JPEG", "BMP", "TIFF"):
        whole = saved(picture(5, (12, 9)), kind, exif=exif()) if kind != "BMP" else encoded(picture(5, (12, 9)), kind)
        for _ in range(400):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 3):
                data[at] = rng.integers(0, 256)
            try:
                assert decoded(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])).ndim == 3
            except BrokenImageError as error:
                assert str(error)  # noqa: PT017


MAPS = Maps(class_names=("a", "b", "c"), size=(9, 12), values=(("", tuple((n, n % 3) for n in range(256))),))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (saved(np.zeros((9, 12), np.uint8), "JPEG"), "is a JPEG"),
        (saved(Image.new("1", (12, 9)), "PNG"), "is 1; expected one channel of 8 bits"),
        (saved(np.zeros((9, 12), np.uint16), "PNG"), "is I;16B; expected one channel of 8 bits"),
        (tiff(np.zeros((9, 12), np.uint8), 8, 0), "is L;I; expected one channel of 8 bits"),
        (saved(np.zeros((9, 12), np.uint8), "PNG", exif=exif(orientation=3)), "has the EXIF orientation 3"),
        (saved(np.zeros((9, 12), np.uint8), "TIFF", tiffinfo={274: 3}), "has the EXIF orientation 3"),
        (b"", "cannot be decoded"),
    ],
)
def test_label_maps_whose_numbers_would_change_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(BrokenImageError, match=rf"its label map x\.png.*{says}"):
        decoded_map(data, "x.png", MAPS, (9, 12))


def test_a_label_map_of_four_bits_is_not_stretched() -> None:
    grey = b"".join(b"\0" + bytes([0x12] * 6) for _ in range(9))
    head = struct.pack(">IIBBBBB", 12, 9, 4, 0, 0, 0, 0)
    data = chunked(b"\x89PNG\r\n\x1a\n" + bytes(25), (b"IHDR", head), (b"IDAT", zlib.compress(grey)), (b"IEND", b""))
    with pytest.raises(BrokenImageError, match="is L;4; expected one channel of 8 bits"):
        decoded_map(data[:8] + data[33:], "x.png", MAPS, (9, 12))
    palette = Image.fromarray(np.full((9, 12), 2, np.uint8), "P")
    palette.putpalette([0, 0, 0] * 8)
    assert (decoded_map(saved(palette, "PNG", bits=4), "x.png", MAPS, (9, 12)) == 2).all()


@pytest.mark.parametrize("size", [(60, 40), (40, 40)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_with_a_map_is_turned_where_the_sizes_tell_that_it_should(
    orientation: int, size: tuple[int, int]
) -> None:
    data = saved(picture(5, size), "PNG", exif=exif(orientation=orientation))
    if orientation == 1 or (orientation > 4 and size == (60, 40)):
        assert np.array_equal(decoded(data, mapped=True), decoded(data))
        return
    with pytest.raises(BrokenImageError, match=f"orientation is {orientation}.*label map"):
        decoded(data, mapped=True)


def test_threads_that_decode_leave_the_warnings_of_others_alone(tmp_path: Path) -> None:
    damaged = saved(picture(5, (60, 40)), "JPEG", exif=b"Exif\0\0II*\0" + struct.pack("<IH", 8, 9) + b"\1" * 20)
    (tmp_path / "damaged.jpg").write_bytes(damaged)
    script = (
        "import pathlib, sys, warnings\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from workers import datasets\n"
        "before = list(warnings.filters)\n"
        "from workers.data.decode import decoded\n"
        f"data = [pathlib.Path({str(tmp_path / 'damaged.jpg')!r}).read_bytes()] * 200\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    assert all(pixels.shape == (40, 60, 3) for pixels in pool.map(decoded, data))\n"
        "assert warnings.filters == before\n"
        "warnings.warn('of a library')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "of a library" in done.stderr
    assert "EXIF" not in done.stderr
