"""The recipe of a training of one architecture."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from workers.recipes._models import Decayed, Schedule, Sgd

WARM_UP_FROM = 0.1  # factor of the learning rate in the first epoch of a warm-up (UnNAS's release)


class Train(Sgd):
    """Recipe of the method `train`: train one architecture.

    Unset fields are not part of the identity, so recipes that are older than these fields keep their ids; 0 unsets a
    field of the evaluation phase.  Which of them apply to a space, a dataset and a task: `workers/settings.py`.
    """

    method: Literal["train"] = "train"
    width: int | None = Field(
        None,
        ge=1,
        le=16_384,
        description="channels of the first cell (darts), stack (nasbench101) or stage (nasbench201)",
    )
    macs: int | None = Field(
        None,
        ge=1,
        le=2**53,
        description="in place of a width: the network gets the largest even one with at most so many multiply-adds for "
        "one element of its batch",
    )
    # Of the evaluation phases of DARTS and UnNAS.
    smoothing: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="cls: share of the target that is spread evenly over all classes (label smoothing)",
    )
    aux: float | None = Field(
        None,
        ge=0,
        le=100,
        description="darts, cls: weight of the loss of an auxiliary head, which is left out of params, macs and scores",
    )
    drop_path: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="darts: probability of dropping an operation's output for a sample, except identities. It grows "
        "linearly from 0 and would be reached after the last epoch",
    )
    cutout: int | None = Field(
        None,
        ge=0,
        le=1024,
        description="cls and rot on small images: side in pixels of a square of zeros at a random place",
    )
    warmup: int | None = Field(
        None, ge=0, le=100_000, description="first epochs, in which a factor of the learning rate grows from 0.1 to 1"
    )
    clip: float | None = Field(None, ge=0, lt=1e6, description="largest norm of the gradient of all weights")
    lr_end: float | None = Field(None, ge=0, lt=1e3, description="learning rate that the schedule ends at; unset: 0")
    # Of RLNAS's retraining on ImageNet.
    schedule: Schedule | None = Field(
        None,
        description="cosine (unset), per epoch; linear, per step; linear_tail, linear per epoch, and in the last five "
        "epochs with a fifth of the slope",
    )
    decayed: Decayed | None = Field(
        None,
        description="weights with weight decay: all (unset), those of convolutions (kernels), or also those of linear "
        "layers (kernels_and_classifier)",
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="cls: probability of dropping a feature in front of the classifier"
    )
    # Only for segmentation; None: as in UnNAS's searches.
    aspp: int | None = Field(None, ge=1, le=16_384, description="seg: channels of the ASPP; default 64")
    rates: tuple[Annotated[int, Field(ge=1, le=1_000)], ...] | None = Field(
        None, strict=False, min_length=1, max_length=16, description="seg: dilations of the ASPP; default [6]"
    )
    crop: int | None = Field(None, ge=17, le=16_384, description="seg: side of a training crop; default the dataset's")
    scaled: int | None = Field(
        None, ge=16, le=16_384, description="seg: training scales the shorter side to 0.5 to 2 times this many pixels"
    )

    @field_validator("smoothing", "aux", "drop_path", "cutout", "warmup", "clip", "lr_end", "dropout")
    @classmethod
    def _zero_is_unset(cls, value: float | None) -> float | None:
        return value or None

    @field_validator("schedule", "decayed")
    @classmethod
    def _default_is_unset(cls, value: str | None) -> str | None:
        return None if value in ("cosine", "all") else value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.lr_floor > self.lr:
            raise ValueError(f"lr_end = {self.lr_end} is above lr = {self.lr}, where the schedule begins")
        if (self.warmup or 0) > self.epochs:
            raise ValueError(f"warmup = {self.warmup} is more than all epochs = {self.epochs}; 0 leaves it out")
        return self

    @property
    def budget(self) -> int | None:
        """`macs`."""
        return self.macs

    @property
    def lr_floor(self) -> float:
        """`lr_end`, or 0."""
        return self.lr_end or 0.0

    @property
    def falls(self) -> Schedule:
        """`schedule`, or the cosine."""
        return self.schedule or "cosine"

    @property
    def decays(self) -> Decayed:
        """`decayed`, or all."""
        return self.decayed or "all"

    def warmed(self, epoch: int) -> float:
        """Linear in the epoch, from 0.1 to 1 (UnNAS's release)."""
        if not self.warmup or epoch >= self.warmup:
            return 1.0
        done = epoch / self.warmup
        return WARM_UP_FROM * (1 - done) + done

    @property
    def of_seg(self) -> dict[str, Any]:
        """The segmentation fields that are set."""
        found = {"aspp": self.aspp, "rates": self.rates, "crop": self.crop, "scaled": self.scaled}
        return {name: value for name, value in found.items() if value is not None}

    def _unnamed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """One way to give the size of the network replaces the other."""
        other = {"width": "macs", "macs": "width"}
        sized = {other[name]: None for name in other if changes.get(name) is not None}
        return super()._unnamed(changes) | (sized if len(sized) == 1 else {})
