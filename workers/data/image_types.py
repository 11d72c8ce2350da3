"""Types and constants of images and labels, for everything that reads, stores or crops them."""

from typing import Literal

import numpy as np
import numpy.typing as npt

SplitName = Literal["train", "test"]
Images = npt.NDArray[np.uint8]  # (N, H, W, 3), RGB
Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB
Labels = npt.NDArray[np.int64]  # (N,)
LabelMap = npt.NDArray[np.uint8]  # (H, W), the class of each pixel or IGNORED
OUTSIDE = 254  # in a label map that is part of a batch: beyond the image
IGNORED = 255  # in a label map: a pixel that counts for nothing, neither in training nor in tests
SPLITS: tuple[SplitName, SplitName] = ("train", "test")
# Raise it when the same files give other pixels than before: what a cache holds under another number is not used.
DECODED = 2
