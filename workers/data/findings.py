"""The findings of chest X-rays (CheXpert, Irvin et al. 2019), several for each image, stored as one label.

The label has two bits for each finding, the first in the lowest bits.
"""

from collections.abc import Sequence

NAMES = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
EVALUATED = tuple(map(NAMES.index, ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")))
"""The places of the five findings that the paper's score is the mean over."""

NEGATIVE, POSITIVE, UNCERTAIN, BLANK = range(4)


def encoded(codes: Sequence[int]) -> int:
    """The label of an image with one of these codes for each finding."""
    return sum(code << 2 * place for place, code in enumerate(codes))
