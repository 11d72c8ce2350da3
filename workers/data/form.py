"""The form of a large dataset that a study trains on; part of every trial's identity, as text in `dataset_id`.

imagenet-exact-<16 hex>                the original files
imagenet-array256-f0_1-<16 hex>        a tenth of the training images, resized to a shorter side of 256 px
"""

import re
from dataclasses import dataclass
from typing import Literal, Self

import spaces

Mode = Literal["exact", "array"]
MODES: tuple[Mode, ...] = ("exact", "array")
SIDES = (32, 1024)  # px, limits of the shorter side
_TEXT = r"(?:exact|array(?P<side>[1-9]\d{1,3}))(?:-f(?P<fraction>0_\d{1,6}))?(?P<skip>-skip)?"
_ID = re.compile(rf"[a-z0-9_]+-{_TEXT}-(?P<digest>[0-9a-f]{{16}}|unread)")
UNREAD = "unread"  # in place of the digest: planned without the data


@dataclass(frozen=True)
class Form:
    """Mode `exact`: original files, decoded every time they are used.  Mode `array`: decoded once, the shorter side
    resized to `short_side` (smaller images are not resized), and cropped from that: many times faster, but different
    from the papers.

    `fraction` is the part of the training images to use, equally from each class; all test images are used.  Images
    that cannot be decoded stop a study, unless `skip_broken` leaves them out.
    """

    mode: Mode = "exact"
    fraction: float = 1.0
    short_side: int = 256
    skip_broken: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode = {spaces.quoted(self.mode)}; expected {' or '.join(MODES)}")
        if not 0 < self.fraction <= 1 or round(self.fraction, 6) != self.fraction:
            raise ValueError(f"fraction = {self.fraction}; expected above 0 and at most 1, with up to six decimals")
        if not SIDES[0] <= self.short_side <= SIDES[1]:
            raise ValueError(f"short_side = {self.short_side} px; expected {SIDES[0]} to {SIDES[1]}")
        if self.mode == "exact" and self.short_side != Form.short_side:
            raise ValueError("short_side belongs to mode 'array'; in mode 'exact' images keep their size")

    @property
    def text(self) -> str:
        """The form as part of a `dataset_id`."""
        part = f"{self.fraction:.6f}".rstrip("0").replace(".", "_")
        return (
            ("exact" if self.mode == "exact" else f"array{self.short_side}")
            + (f"-f{part}" if self.fraction < 1 else "")
            + ("-skip" if self.skip_broken else "")
        )

    @classmethod
    def of(cls, dataset_id: str | None) -> Self:
        """The form that an id contains; the default form if it contains none."""
        found = _ID.fullmatch(dataset_id or "")
        if found is None:
            return cls()
        return cls(
            mode="array" if found["side"] else "exact",
            fraction=float(found["fraction"].replace("_", ".")) if found["fraction"] else 1.0,
            short_side=int(found["side"] or cls.short_side),
            skip_broken=bool(found["skip"]),
        )
