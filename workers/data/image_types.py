"""Types and constants of images and labels, for everything that reads, stores or crops them."""

from typing import Literal

import numpy as np
import numpy.typing as npt

SplitName = Literal["train", "test"]
Images = npt.NDArray[np.uint8]  # (N, H, W, 3), RGB
Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB
Labels = npt.NDArray[np.int64]  # (N,)
LabelMap = npt.NDArray[np.uint8]  # (H, W), the class of each pixel or IGNORED
OUTSIDE = 254  # in a label map of a batch: outside the image
IGNORED = 255  # in a label map: a pixel that is ignored in training and in tests
SPLITS: tuple[SplitName, SplitName] = ("train", "test")
# Increase it when the same files give different pixels than before: caches with another number are not used.
DECODED = 2
