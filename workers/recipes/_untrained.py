"""Recipes of methods that train nothing: zero-cost proxies, and results that are taken from a table."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

import spaces
from workers import paths
from workers.recipes._models import IMAGES, Base, Precision, RandomClasses, RandomLabels
from workers.recipes._scores import PROXIES, WITHOUT_IMAGES


class Untrained(Base):
    """The common part of the recipes of methods that train nothing: one epoch of the loop, in fp32 on one thread."""

    @property
    def epochs(self) -> int:
        """1: the loop calls the method once."""
        return 1

    @property
    def precision(self) -> Precision:
        """fp32."""
        return "fp32"

    @property
    def threads(self) -> int:
        """1, as trials are many and small."""
        return 1


class Score(Untrained):
    """Recipe of the method `score`: compute a zero-cost proxy of the network with its initial weights.

    The batches are drawn from the training split, the same for all architectures; with more than one, the score is the
    mean over them.  A proxy that reads no images (`workers.recipes._scores`) has no batches: it keeps `batch` unset and
    `batches` 0, whatever is given, so that one override applies to a list of proxies.
    """

    method: Literal["score"] = "score"
    FIXED: ClassVar[frozenset[str]] = frozenset({"method", "score"})

    score: str = Field(description="the proxy: a name in workers.scores")
    batch: int | None = Field(64, ge=2, le=IMAGES, description="training images per batch; unset: reads no images")
    batches: int = Field(1, ge=0, le=1_000, description="batches that the score is the mean over; 0: reads no images")
    labels: RandomLabels = None
    classes: RandomClasses = None

    @model_validator(mode="before")
    @classmethod
    def _without_images(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("score") in WITHOUT_IMAGES:
            return values | {"batch": None, "batches": 0}
        return values

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.score not in PROXIES:
            raise ValueError(f"no proxy {spaces.quoted(self.score)}; have {', '.join(PROXIES)}")
        if self.reads_images and (self.batch is None or self.batches < 1):
            raise ValueError(f"{self.score} reads images; expected a batch and at least one of batches")
        return self

    @property
    def measures(self) -> str:
        """The name of the proxy."""
        return self.score

    @property
    def reads_images(self) -> bool:
        """Whether the proxy reads images."""
        return self.score not in WITHOUT_IMAGES

    @property
    def least_images(self) -> int:
        """All batches."""
        return (self.batch or 0) * self.batches

    def passes(self, train_images: int, test_images: float) -> float:
        """A forward and a backward pass of every batch; of one image for a proxy that reads none."""
        return 3.0 * max(self.least_images, 1)

    def steps(self, train_images: int) -> int:
        """One step per batch."""
        return self.batches


class OfTable(Untrained):
    """The common part of recipes that may take results from a table.

    `content` identifies the rows that can be looked up (workers/score_table.py), so the place of the table is not part
    of the identity.  Plans and `workers.run` fill it in from the table at `table`; a table with other rows is refused.
    """

    _PLACES: ClassVar[frozenset[str]] = frozenset({"table", "missing"})  # fields that change no result

    table: str | None = Field(None, description="path or URL of a run's folder, or of a Parquet file of rows")
    measured: str | None = Field(None, description="the recipe of the table, by name or id; default: the only one")
    content: str | None = Field(None, description="a digest of the rows that can be looked up")

    @field_validator("table")
    @classmethod
    def _place(cls, table: str | None) -> str | None:
        return None if table is None else paths.place(table)

    @property
    def needs_table(self) -> bool:
        """Whether results are taken from the table."""
        return True

    @property
    def facts(self) -> dict[str, Any]:
        """The fields that are part of a trial's identity; ValueError while the table's content is not known."""
        if self.needs_table and self.content is None:
            raise ValueError("a lookup is identified by the content of its table, which was not read yet")
        return {name: value for name, value in super().facts.items() if name not in self._PLACES}

    def bound(self, content: str, measured: str) -> Self:
        """The recipe with the content of its table and the recipe that the table names."""
        return type(self).model_validate(self.model_dump() | {"content": content, "measured": measured})

    @property
    def executed(self) -> dict[str, Any]:
        """The place of the table."""
        return {} if self.table is None else {"table": self.table}


class Lookup(OfTable):
    """Recipe of the method `lookup`: take the result of a trial from a table of results, and measure nothing.

    Width and depth belong to the network whose parameters and multiply-adds the row states.
    """

    method: Literal["lookup"] = "lookup"
    FIXED: ClassVar[frozenset[str]] = frozenset({"method", "content"})

    mean: bool = Field(False, description="the mean over the table's seeds; else the row of the trial's seed")
    missing: Literal["refuse", "leave out"] = Field(
        "refuse", description="what a plan does about architectures that the table lacks"
    )

    @property
    def reads_images(self) -> bool:
        """No image is opened."""
        return False

    @property
    def rehearsed(self) -> bool:
        """`train_s` is what the table's trainings took."""
        return True

    def passes(self, train_images: int, test_images: float) -> float:
        """None: nothing is computed."""
        return 0.0

    def steps(self, train_images: int) -> int:
        """None."""
        return 0
