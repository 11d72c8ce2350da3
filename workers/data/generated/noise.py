"""kind noise: Gaussian pixels whose labels do not depend on them; nothing holds for images that were not seen.

A value is the sum of 16 random bytes, scaled: by the central limit theorem nearly Gaussian (excess kurtosis -0.075, no
value beyond 6.9 standard deviations), rounded to 8 bits and cut at 0 and 255.
"""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from workers.data.generated.integers import Draws, Words
from workers.data.generated.source import Generated
from workers.data.image_types import Images, Labels

BYTES = 16  # in the sum of a value: two words
MIDDLE = BYTES * 255 // 2  # the mean of the sum
DEVIATION = (BYTES * (256**2 - 1) / 12) ** 0.5  # of the sum
SHIFT = 12  # bits behind the binary point
_PAIRS = np.uint64(0x00FF00FF00FF00FF)
_SUM = np.uint64(0x0001000100010001)

Share = Annotated[float, Field(gt=0, lt=1)]
Rgb = Annotated[tuple[Share, Share, Share], Field(strict=False)]


class Noise(Generated):
    """The numbers that noise is drawn from."""

    VERSION: ClassVar[int] = 1
    NO_ANSWER: ClassVar[dict[str, str]] = dict.fromkeys(("rot", "col", "jig"), "its pixels are independent")

    kind: Literal["noise"] = "noise"
    classes: int = Field(10, ge=2, le=1000, description="number of labels; an image's label says nothing about it")
    mean: Rgb = Field((0.5, 0.5, 0.5), description="of R, G, B on the 0..1 scale")
    std: Rgb = Field((0.25, 0.25, 0.25), description="of R, G, B on the 0..1 scale, before values are cut at 0 and 1")
    fresh: bool = Field(
        False,
        description="training sees new noise in every step, so nothing can be learned; tests see that of the numbers",
    )

    @classmethod
    def taken_from(cls, dataset: Any) -> dict[str, object]:
        """Also the mean and standard deviation of a dataset."""
        return super().taken_from(dataset) | {"mean": dataset.mean, "std": dataset.std}

    @property
    def names(self) -> tuple[str, ...]:
        """The labels are numbers."""
        return tuple(f"label {k}" for k in range(self.classes))

    @property
    def facts(self) -> dict[str, object]:
        """Whether training sees other images."""
        return {"fresh": True} if self.fresh else {}

    @property
    def levels(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Mean and slope of R, G, B: a value is (mean + slope * (sum - MIDDLE)) / 2**SHIFT, rounded."""
        one = 255 << SHIFT
        return tuple(round(m * one) for m in self.mean), tuple(round(s * one / DEVIATION) for s in self.std)

    def paint(self, items: Words, labels: Labels) -> Images:
        """Noise for each key."""
        bits = Draws(items).grid(self.size, self.size, 3, 2)
        pairs = (bits & _PAIRS) + (bits >> np.uint64(8) & _PAIRS)
        sums = ((pairs * _SUM) >> np.uint64(48)).sum(axis=-1, dtype=np.int64)
        mean, slope = (np.array(values, np.int64) for values in self.levels)
        values: Images = ((mean + slope * (sums - MIDDLE) + (1 << SHIFT - 1)) >> SHIFT).clip(0, 255).astype(np.uint8)
        return values
