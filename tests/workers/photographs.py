"""A small ImageNet folder with images of many sizes: smooth colours with noise, all different."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

WNIDS = ("n01440764", "n01443537", "n02084071")


def picture(seed: int, size: tuple[int, int]) -> Image.Image:
    """An RGB image (width, height)."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    grain = rng.integers(-8, 9, (size[1], size[0], 3))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.int64)
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    """The bytes of an image file."""
    out = io.BytesIO()
    image.save(out, kind, **({"quality": 90} if kind == "JPEG" else {}))
    return out.getvalue()


def folder(root: Path, each: int = 6, tests: int = 2, longest: int = 90) -> Path:
    """`train/<wnid>/*.JPEG` and `val/<wnid>/*.JPEG`, sides of 40 to `longest` px."""
    rng = np.random.default_rng(0)
    seed = 0
    for split, count in (("train", each), ("val", tests)):
        for wnid in WNIDS:
            (root / split / wnid).mkdir(parents=True)
            for number in range(count):
                seed += 1
                size = tuple(int(v) for v in rng.integers(40, longest, 2))
                (root / split / wnid / f"{wnid}_{number}.JPEG").write_bytes(encoded(picture(seed, size)))
    return root
