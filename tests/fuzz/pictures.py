"""Image files as they occur, of pictures whose pixels are known: four fields of colour, so that no turn is another."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

SIDE = 16  # px
KINDS = {
    "RGB": ("PNG", "JPEG", "WEBP", "BMP", "TIFF"),
    "L": ("PNG", "JPEG", "BMP", "TIFF"),
    "1": ("PNG", "TIFF"),
    "P": ("PNG", "BMP"),
    "RGBA": ("PNG", "WEBP"),
    "LA": ("PNG",),
    "CMYK": ("JPEG",),
    "I;16": ("PNG", "TIFF"),
}
# Tags of EXIF that are strange in themselves: number, type, count, value or place.
TAGS = (
    (0x0128, 1, 1, b"\2\0\0\0"),  # a unit as a byte
    (0x011A, 2, 3, b"72\0\0"),  # a resolution as text
    (0x010E, 5, 1, struct.pack("<I", 38)),  # a description as a fraction
    (0x0100, 3, 3, b"\xff\xff\xff\xff"),  # beyond the end
    (0x8769, 4, 1, b"\xff\xff\xff\x7f"),  # a directory that is not there
    (0x9286, 99, 2**30, b"\0\0\0\0"),  # a type that does not exist
)
_STORED = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the turn that undoes a turn


@dataclass(frozen=True)
class Content:
    """The bytes of a file; what a reader should make of them, (16, 16, 3), or None where they are no whole image."""

    data: bytes
    pixels: np.ndarray | None
    about: str
    tolerance: int = 0  # of the mean difference, of formats that lose something
    orientation: int = 1

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"<{self.about}>")

    def fits(self, seen: np.ndarray) -> bool:
        """Whether these are its pixels."""
        return self.distance(seen) <= self.tolerance

    def distance(self, seen: np.ndarray) -> float:
        """The mean difference from its pixels; infinite where the sizes differ or there are none."""
        if self.pixels is None or seen.shape != self.pixels.shape:
            return float("inf")
        return float(np.abs(seen.astype(int) - self.pixels).mean())


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What is seen where `pixels` are stored with that orientation."""
    kinds = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 5: pixels.swapaxes(0, 1),
             6: np.rot90(pixels, -1), 7: pixels[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(pixels)}  # fmt: skip
    return np.ascontiguousarray(kinds[orientation])


def exif(orientation: int, tags: list[tuple[int, int, int, bytes]]) -> bytes:
    """As cameras write it, little-endian."""
    entries = sorted([(0x0112, 3, 1, struct.pack("<HH", orientation, 0)), *tags])
    lines = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + lines + struct.pack("<I", 0) + bytes(64)


def picture(seed: int, mode: str) -> np.ndarray:
    """(16, 16, 3): four fields, grey where the mode has no colours, black or white where it has no grey."""
    rng = np.random.default_rng(seed)
    fields = rng.permutation(4).reshape(2, 2, 1) * 60 + rng.integers(0, 60, (2, 2, 3))
    if mode in ("L", "LA", "I;16", "1"):
        fields = fields[..., :1].repeat(3, axis=2)
    if mode == "1":
        fields = (fields > 110) * 255
    return fields.astype(np.uint8).repeat(SIDE // 2, axis=0).repeat(SIDE // 2, axis=1)


def saved(pixels: np.ndarray, mode: str, kind: str, **options: Any) -> bytes:
    """An image file of that colour model."""
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    elif mode == "P":
        colours, at = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
        image = Image.fromarray(at.reshape(SIDE, SIDE).astype(np.uint8), "P")
        image.putpalette(colours.ravel().tolist())
    else:
        image = Image.fromarray(pixels).convert(mode)
    out = io.BytesIO()
    image.save(
        out, kind, **options, **{"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    )
    return out.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


EXTRAS = {
    "nothing": lambda data: data,
    "bytes behind its end": lambda data: data + b"\0" * 40 + b"appended",
    "a long text": lambda data: (
        data[:33] + chunk(b"zTXt", b"history\0\0" + zlib.compress(b"x" * 2_000_000)) + data[33:]
    ),
    "a broken profile": lambda data: data[:33] + chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"?")[:-3]) + data[33:],
    "an unknown chunk": lambda data: data[:33] + chunk(b"vpAg", b"\0" * 9) + data[33:],
}
BROKEN = {
    "empty": lambda data, pixels: b"",
    "a page of the web": lambda data, pixels: b"<!DOCTYPE html><title>404</title>",
    "a pointer": lambda data, pixels: b"version https://git-lfs.example/spec/v1\noid sha256:00\nsize 12345\n",
    "cut in half": lambda data, pixels: data[: len(data) // 2],
    "zeros": lambda data, pixels: bytes(len(data)),
    "floating-point numbers": lambda data, pixels: _tiff(pixels[..., 0].astype(np.float32) / 255),
    "32-bit numbers": lambda data, pixels: _tiff(pixels[..., 0].astype(np.int32) * 1000),
}


def _tiff(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "TIFF")
    return out.getvalue()


@st.composite
def contents(draw: st.DrawFn, broken: bool = False) -> Content:
    """A picture in any format, colour model and orientation, with metadata of all kinds."""
    mode = draw(st.sampled_from(sorted(KINDS)))
    kind = draw(st.sampled_from(KINDS[mode]))
    pixels = picture(draw(st.integers(0, 10**6)), mode)
    orientation = draw(st.integers(1, 8)) if kind != "BMP" and draw(st.booleans()) else 1
    tags = [] if orientation == 1 else draw(st.lists(st.sampled_from(TAGS), max_size=2, unique=True))
    options: dict[str, Any] = {}
    if orientation > 1:
        options["exif"] = exif(orientation, tags)
        if kind == "TIFF":
            options = {"tiffinfo": {0x0112: orientation}}
    data = saved(turned(pixels, _STORED.get(orientation, 1)), mode, kind, **options)
    about = f"{mode} {kind} turned by {orientation} with {[hex(tag[0]) for tag in tags]}"
    if broken:
        how = draw(st.sampled_from(sorted(BROKEN)))
        return Content(BROKEN[how](saved(pixels, mode, kind), pixels), None, f"{about}, {how}")
    extra = draw(st.sampled_from(sorted(EXTRAS) if kind == "PNG" else ["nothing", "bytes behind its end"]))
    tolerance = 6 if kind == "JPEG" else 0
    return Content(EXTRAS[extra](data), pixels, f"{about}, {extra}", tolerance, orientation)
