"""The recipes of searches: how a supernet and its architecture weights are trained by turns."""

from math import ceil
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from workers.recipes._models import RandomPart, Sgd

_Beta = Annotated[float, Field(ge=0, lt=1)]


class Search(Sgd):
    """The common part of searches with architecture weights (Liu et al. 2019).

    Every step has two parts: SGD on the weights of the supernet with a batch of one part of the training split, and
    Adam on the architecture weights with a batch of the other part.  The supernet is evaluated on that other part; the
    test split is not used.
    """

    portion: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of the training images that train the network; the others train the architecture weights, "
        "and the supernet is evaluated on them. 1: all images are used for everything",
    )
    lr_end: float = Field(0.0, ge=0, lt=1e3, description="learning rate that the cosine ends at")
    clip: float | None = Field(5.0, gt=0, description="largest norm of the network's gradient; unset: no limit")
    frozen_epochs: int = Field(0, ge=0, description="first epochs, in which the architecture weights stay as they are")
    first: Literal["architecture", "network"] = Field("architecture", description="the part that begins each step")
    arch_lr: float = Field(gt=0, lt=1e3, description="learning rate of Adam on the architecture weights, constant")
    arch_betas: tuple[_Beta, _Beta] = Field((0.5, 0.999), strict=False, description="coefficients of Adam")
    arch_weight_decay: float = Field(1e-3, ge=0, lt=1, description="L2 penalty on the architecture weights")
    random_part: RandomPart = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.lr_end > self.lr:
            raise ValueError(f"lr_end = {self.lr_end} is above lr = {self.lr}, where the cosine begins")
        if self.random_part is not None and self.portion == 1:
            raise ValueError(f"random_part = {self.random_part!r}: with portion = 1 the images are not divided")
        return self

    @property
    def searches(self) -> bool:
        """True."""
        return True

    @property
    def supernet(self) -> dict[str, Any]:
        """Edges that are sums of all operations."""
        return {"edge": "mixed"}

    @property
    def lr_floor(self) -> float:
        """`lr_end`."""
        return self.lr_end

    @property
    def least_images(self) -> int:
        """A batch in each part of the training split."""
        least = self.portion if self.portion == 1 else min(self.portion, 1 - self.portion)
        return ceil(self.batch / least)

    @property
    def step_images(self) -> int:
        """One batch."""
        return self.batch

    def parts(self, train_images: int) -> tuple[int, int]:
        """How many images train the network, and how many the architecture weights."""
        first = round(self.portion * train_images)
        return first, train_images if self.portion == 1 else train_images - first

    @property
    def _searching(self) -> int:
        """Epochs in which the architecture weights are trained."""
        return max(self.epochs - self.frozen_epochs, 0)

    @property
    def _arch_passes(self) -> float:
        """Forward passes of one image that take as long as its part in a step of the architecture weights."""
        return 3.0

    def passes(self, train_images: int, test_images: float) -> float:
        """Both parts of the steps, the statistics of batch norm, and the evaluation of every epoch."""
        network, others = self.parts(train_images)
        epoch = network * (3 + self._searching / self.epochs * self._arch_passes) + self.precise_bn + others
        return epoch * self.epochs

    def steps(self, train_images: int) -> int:
        """The steps of both optimisers."""
        steps = self.parts(train_images)[0] // self.batch
        return steps * (self.epochs + self._searching)


class Darts(Search):
    """Recipe of the method `darts` (Liu et al. 2019)."""

    method: Literal["darts"] = "darts"
    order: Literal[1, 2] = Field(
        1,
        description="1: gradient of the architecture weights at the network's current weights; 2: at the weights after "
        "a further step of SGD, by finite differences",
    )

    @property
    def _arch_passes(self) -> float:
        return 3.0 if self.order == 1 else 12.0


class PcDarts(Search):
    """Recipe of the method `pc_darts` (Xu et al. 2020): partial channels, and weights of edges."""

    method: Literal["pc_darts"] = "pc_darts"
    partial: int = Field(4, ge=1, le=1024, description="one of so many channels passes through an edge's operations")

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.given_width % self.partial:
            raise ValueError(f"width = {self.width}, partial = {self.partial}: expected a width that partial divides")
        return self

    @property
    def supernet(self) -> dict[str, Any]:
        """Edges on part of the channels."""
        return {"edge": "partial", "partial": self.partial}


_Tau = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class Gdas(Search):
    """Recipe of the method `gdas` (Dong & Yang 2019): one sampled operation per edge and step."""

    method: Literal["gdas"] = "gdas"
    tau: _Tau = Field(
        (10.0, 0.1), strict=False, description="temperature of the Gumbel softmax in the first and in the last epoch"
    )

    @property
    def supernet(self) -> dict[str, Any]:
        """Edges that compute one operation."""
        return {"edge": "sampled"}


class Snas(Search):
    """Recipe of the method `snas` (Xie et al. 2019): the softmax of noisy architecture weights."""

    method: Literal["snas"] = "snas"
    tau: _Tau = Field(
        (1.0, 0.03), strict=False, description="temperature of the Gumbel softmax in the first and in the last epoch"
    )


class DartsMinus(Search):
    """Recipe of the method `darts_minus` (Chu et al. 2021): a further skip connection on every edge, which fades."""

    method: Literal["darts_minus"] = "darts_minus"
    fading: Literal["linear", "cosine"] = Field("linear", description="how its factor goes from 1 to 0")

    @property
    def supernet(self) -> dict[str, Any]:
        """Edges with a further skip connection."""
        return {"edge": "auxiliary"}


class PDarts(Search):
    """Recipe of the method `p_darts` (Chen et al. 2019): stages with deeper networks of fewer operations.

    `epochs` are those of all stages together and `frozen_epochs` the first of each; `depth` is that of the first stage.
    `params` and `macs` of a row are those of the first stage's network.
    """

    method: Literal["p_darts"] = "p_darts"
    deeper: tuple[Annotated[int, Field(ge=0, le=1_000)], ...] = Field(
        (6, 12), strict=False, description="cells of the network of each further stage, beyond those of the first"
    )
    kept: tuple[Annotated[int, Field(ge=2, le=100)], ...] = Field(
        (5, 3), strict=False, description="operations per edge in each further stage; the first has all"
    )
    dropout: tuple[_Beta, ...] = Field(
        (0.1, 0.4, 0.7), strict=False, description="dropout after skip connections at the beginning of each stage"
    )
    skips: int | None = Field(2, ge=0, description="the most skip connections of the normal cell; unset: no limit")

    @model_validator(mode="after")
    def _stages(self) -> Self:
        if not len(self.deeper) == len(self.kept) == len(self.dropout) - 1:
            raise ValueError(
                f"deeper, kept and dropout have {len(self.deeper)}, {len(self.kept)} and {len(self.dropout)} values; "
                "expected one of dropout for every stage, and of the others one for every stage but the first"
            )
        if self.epochs % len(self.dropout):
            raise ValueError(f"epochs = {self.epochs} cannot be divided into {len(self.dropout)} stages")
        return self

    @property
    def stage_epochs(self) -> int:
        """Epochs of each stage."""
        return self.epochs // len(self.dropout)

    @property
    def _searching(self) -> int:
        return len(self.dropout) * max(self.stage_epochs - self.frozen_epochs, 0)
