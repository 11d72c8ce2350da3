"""Several labels per image: which findings does it show?  (CheXpert, Irvin et al. 2019)"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from spaces import Cost
from workers.data.findings import EVALUATED, NAMES, POSITIVE, UNCERTAIN
from workers.datasets import IGNORED, Dataset
from workers.recipes import Base
from workers.tasks._augment_small import check
from workers.tasks._heads import Pooled
from workers.tasks._task import Task
from workers.tasks._whole_image import WholeImageTask

BINS = 4096  # of the histogram of logits
_SPREAD = 4.0  # logits are divided by it before they are squashed: those of up to 30 keep their order
_POLICIES = {"zeros": 0, "ones": 1, "ignore": IGNORED}


@dataclass(frozen=True)
class MultiLabel(WholeImageTask):
    """One output for each finding, with the pipelines of classification; binary cross-entropy.

    An uncertain label counts as positive, as negative, or not at all (U-Ones, U-Zeros and U-Ignore of the paper), a
    finding that the report does not mention as negative.  The score is the mean area under the ROC curve of the five
    findings that the paper evaluates, or of all; those without both kinds of labels in the test split do not count.
    """

    name: str = "multi"
    metric: str = "auc"
    uncertain: Literal["zeros", "ones", "ignore"] = "ones"
    every: bool = False  # all findings are scored, not the five

    def unsupported_reason(self, dataset: Dataset) -> str | None:
        """The images need findings."""
        if dataset.large is not None and dataset.large.findings == NAMES:
            return None
        return f"task multi needs images with findings, as those of chexpert, and those of {dataset.name} have none"

    def configured(self, recipe: Base) -> Self:
        """The task with the recipe's treatment of uncertain labels and its choice of findings."""
        task, settings = super().configured(recipe), recipe.of_multi
        policy = settings.get("uncertain", self.uncertain)
        return replace(task, uncertain=policy, every=settings.get("findings") == "all")

    def classes(self, dataset: Dataset) -> int:
        """The number of findings."""
        return len(NAMES)

    def labels(self, labels: Tensor, dataset: Dataset, generator: Generator) -> Tensor:
        """Those of the dataset."""
        return labels

    def batch(
        self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset
    ) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) and 1, 0 or IGNORED for each finding, (B, K)."""
        check(images, self.side(dataset), self.name, dataset)
        shifts = 2 * torch.arange(self.classes(dataset), device=labels.device)
        codes = labels[:, None] >> shifts & 3
        target = (codes == POSITIVE).long()
        return self.augment(images, draws, dataset), target.masked_fill_(codes == UNCERTAIN, _POLICIES[self.uncertain])

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """Global average pool and a linear layer."""
        return Pooled(trunk, self.classes(dataset))

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """The linear layer has one weight per channel and finding, and one bias per finding."""
        weights = trunk.channels * self.classes(dataset)
        return trunk.params + weights + self.classes(dataset), trunk.macs + weights

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Mean binary cross-entropy over the labels that count; 0 if there are none."""
        counts = target != IGNORED
        each = F.binary_cross_entropy_with_logits(out, target.clamp(max=1).to(out.dtype), reduction="none")
        return (each * counts).sum() / counts.sum().clamp_min(1)

    def tally(self, dataset: Dataset) -> tuple[int, ...]:
        """A histogram of the logits for each finding, of negative and of positive images."""
        return len(NAMES), 2, BINS

    def correct(self, out: Tensor, target: Tensor) -> Tensor:
        """How many images of each finding and label have a logit in each bin, (K, 2, BINS)."""
        squashed = torch.sigmoid(out.float().nan_to_num() / _SPREAD)
        bins = (squashed * BINS).long().clamp(0, BINS - 1)
        findings = torch.arange(out.shape[1], device=out.device)
        place = (findings * 2 + target.clamp(max=1)) * BINS + bins
        found = torch.zeros(out.shape[1] * 2 * BINS, dtype=torch.int64, device=out.device)
        found.scatter_add_(0, place.flatten(), (target != IGNORED).long().flatten())
        return found.view(out.shape[1], 2, BINS)

    def score(self, counted: Tensor, targets: int) -> float:
        """The mean area under the ROC curve; logits of one bin are equal.  ValueError if no finding can be scored."""
        from sklearn.metrics import roc_auc_score

        counts = counted.cpu().numpy()
        wanted = range(len(NAMES)) if self.every else EVALUATED
        places = [k for k in wanted if counts[k].sum(axis=1).all()]
        if not places:
            raise ValueError("no finding is positive in some of the evaluated images and negative in others")
        bins = torch.arange(BINS).repeat(2).numpy()
        truth = torch.arange(2).repeat_interleave(BINS).numpy()
        areas = [roc_auc_score(truth, bins, sample_weight=counts[k].ravel()) for k in places]
        return float(sum(areas) / len(areas))

    def chance(self, occurrences: Tensor) -> float | None:
        """1/2, the area of any ranking that does not depend on the labels."""
        return 0.5


TASK: Task = MultiLabel()
