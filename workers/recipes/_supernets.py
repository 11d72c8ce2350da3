"""The recipes of supernets that are trained one random path at a time, and of what is measured with their weights."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from workers.recipes._models import IMAGES, Decayed, MostMacs, MostParams, Schedule, Sgd, WeightsOf
from workers.recipes._with_base import WithBase

Inherited = Literal["angle", "accuracy"]
"""What is measured of an architecture with the weights of a supernet: the angle between its initial and its final
weights (Zhang et al. 2021), or the score of the task after the statistics of batch norm were computed anew (Guo et al.
2020)."""


class Supernet(Sgd):
    """Recipe of the method `supernet`: SGD, and in every step one random path through the supernet (Guo et al. 2020).

    Its trials find no architecture; their weights are for others.  Weights that a step does not use have a gradient of
    zero, and their momentum and weight decay act, as in the releases of SPOS and RLNAS.
    """

    method: Literal["supernet"] = "supernet"
    lr_end: float = Field(0.0, ge=0, lt=1e3, description="learning rate that the schedule ends at")
    schedule: Literal["cosine", "linear"] = Field("cosine", description="cosine, per epoch; linear, per step")
    decayed: Decayed = Field(
        "all",
        description="weights with weight decay: all, those of convolutions, or also those of the classifier",
    )
    clip: float | None = Field(None, gt=0, description="largest norm of the gradient; unset: no limit")
    clip_value: float | None = Field(None, gt=0, description="largest value of a gradient; unset: no limit")
    smoothing: float | None = Field(None, ge=0, lt=1, description="cls, rand: label smoothing; unset: none")
    init: Literal["kaiming", "outputs"] | None = Field(
        None,
        description="initial weights of convolutions: PyTorch's (unset); kaiming, uniform with the gain of a ReLU, and "
        "the classifier normal with the deviation 0.01 and no bias; outputs, normal with the variance 2 / (k * k * "
        "outputs)",
    )
    affine: bool = Field(False, description="whether batch norm within cells has learned scales and biases")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.lr_end > self.lr:
            raise ValueError(f"lr_end = {self.lr_end} is above lr = {self.lr}, where the schedule begins")
        return self

    @property
    def searches(self) -> bool:
        """True: the trial is of all architectures."""
        return True

    @property
    def finds(self) -> bool:
        """False: the weights are the result."""
        return False

    @property
    def supernet(self) -> dict[str, Any]:
        """Edges that compute one operation."""
        return {"edge": "sampled"} | ({"affine": True} if self.affine else {})

    @property
    def lr_floor(self) -> float:
        """`lr_end`."""
        return self.lr_end

    @property
    def falls(self) -> Schedule:
        """`schedule`."""
        return self.schedule

    @property
    def decays(self) -> Decayed:
        """`decayed`."""
        return self.decayed


class Rlnas(Supernet):
    """Recipe of the method `rlnas` (Zhang et al. 2021): a supernet, then an evolution among its architectures.

    The search has `generations` after the epochs of the training.  Each scores `population` architectures that were not
    scored before; parents are the best of all so far.
    """

    method: Literal["rlnas"] = "rlnas"  # type: ignore[assignment]  # another method than that of its base class
    indicator: Inherited = Field("angle", description="the score of architectures")
    faithful: bool = Field(False, description="the angle with the quirks of the release (docs/searches.md)")
    exhaustive: bool = Field(
        False, description="score all architectures of a space that can be listed, in one generation"
    )
    generations: int = Field(20, ge=1, le=10_000, description="generations of the evolution")
    population: int = Field(100, ge=1, le=1_000_000, description="architectures that a generation scores")
    parents: int = Field(30, ge=1, le=1_000_000, description="the best architectures, of which parents are drawn")
    mutated: int = Field(50, ge=0, le=1_000_000, description="of a generation: children by mutation")
    crossed: int = Field(50, ge=0, le=1_000_000, description="of a generation: children of two parents")
    mutation: float = Field(0.1, gt=0, le=1, description="probability that a choice of a child is drawn anew")
    most_macs: MostMacs = None
    most_params: MostParams = None

    @model_validator(mode="after")
    def _population(self) -> Self:
        if self.mutated + self.crossed > self.population:
            raise ValueError(
                f"mutated = {self.mutated} and crossed = {self.crossed} are more than population = {self.population}"
            )
        return self

    @property
    def finds(self) -> bool:
        """True."""
        return True

    @property
    def rounds(self) -> int:
        """Generations."""
        return 1 if self.exhaustive else self.generations

    @property
    def measures(self) -> str | None:
        """The angle, or the task's score."""
        return "angle" if self.indicator == "angle" else None

    def passes(self, train_images: int, test_images: float) -> float:
        """The training, and an evaluation of every architecture if accuracy is the score."""
        scored = 0 if self.indicator == "angle" else self.rounds * self.population
        epoch = 3 * train_images + (0 if self.indicator == "angle" else self.precise_bn + test_images)
        return epoch * self.epochs + scored * (self.precise_bn + test_images)


class OfSupernet(WithBase):
    """Recipe of the method `inherited`: an architecture with the weights of a supernet."""

    method: Literal["inherited"] = "inherited"
    FIXED: ClassVar[frozenset[str]] = WithBase.FIXED | {"score"}

    score: Inherited = Field(description="what is measured")
    faithful: bool | None = Field(None, description="angle: with the quirks of the release; unset: without")
    images: int | None = Field(
        None, ge=1, le=IMAGES, description="accuracy: training images for the statistics of batch norm; default 1,024"
    )

    @model_validator(mode="after")
    def _of_its_score(self) -> Self:
        wrong = "images" if self.score == "angle" else "faithful"
        if getattr(self, wrong) is not None:
            raise ValueError(f"{wrong} = {getattr(self, wrong)} is no setting of {self.score}")
        return self

    @property
    def needs_weights(self) -> WeightsOf:
        """Those of a supernet."""
        return "supernet"

    @property
    def measures(self) -> str | None:
        """The angle, or the task's score."""
        return "angle" if self.score == "angle" else None

    @property
    def reads_images(self) -> bool:
        """Whether there is an evaluation."""
        return self.score != "angle"

    @property
    def recalibration(self) -> int:
        """Training images for the statistics of batch norm."""
        return 0 if self.score == "angle" else self.images or 1024

    def passes(self, train_images: int, test_images: float) -> float:
        """The statistics of batch norm and one evaluation, or nothing."""
        return self.recalibration + test_images if self.score == "accuracy" else 0.0

    def steps(self, train_images: int) -> int:
        """None of training."""
        return 0
