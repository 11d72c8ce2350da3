"""The recipes of searches among single architectures by a zero-cost proxy."""

from math import ceil
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from workers.recipes._models import MostMacs, MostParams, RandomClasses, RandomLabels
from workers.recipes._scores import WITHOUT_IMAGES
from workers.recipes._untrained import Lookup, OfTable, Score

LOOKUP = "lookup"  # in place of a proxy


class _Candidates(OfTable):
    """The common part: which proxy, of how many candidates."""

    FIXED: ClassVar[frozenset[str]] = frozenset({"method", "score", "content"})

    score: str = Field(description="the proxy: a name in workers.scores; or lookup, the mean over the seeds of a table")
    batch: int | None = Field(64, ge=2, description="training images per batch; unset: reads no images")
    batches: int = Field(1, ge=0, le=1_000, description="batches that a score is the mean over; 0: reads no images")
    candidates: int = Field(1_000, ge=1, le=1_000_000, description="architectures that are scored")
    generation: int = Field(
        50, ge=1, le=1_000_000, description="architectures per epoch: the best of all so far is noted after each"
    )
    most_macs: MostMacs = None
    most_params: MostParams = None
    labels: RandomLabels = None
    classes: RandomClasses = None

    @model_validator(mode="before")
    @classmethod
    def _without_images(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("score") in (*WITHOUT_IMAGES, LOOKUP):
            return values | {"batch": None, "batches": 0}
        return values

    @model_validator(mode="after")
    def _valid_score(self) -> Self:
        _ = self.scored
        return self

    @property
    def needs_table(self) -> bool:
        """Whether the scores are those of a table."""
        return self.score == LOOKUP

    @property
    def scored(self) -> Score | Lookup:
        """The recipe that every candidate is scored with."""
        size = {"name": self.name, "width": self.width, "depth": self.depth}
        if self.needs_table:
            known = {"table": self.table, "measured": self.measured, "content": self.content, "mean": True}
            return Lookup.model_validate(size | known)
        if given := [name for name in ("table", "measured") if getattr(self, name) is not None]:
            raise ValueError(f"{', '.join(given)}: settings of lookup, and the score is {self.score}")
        names = ("score", "batch", "batches", "labels", "classes")
        return Score.model_validate(size | {name: getattr(self, name) for name in names})

    @property
    def searches(self) -> bool:
        """True."""
        return True

    @property
    def epochs(self) -> int:
        """Generations."""
        return ceil(self.candidates / self.generation)

    @property
    def measures(self) -> str:
        """The name of the proxy."""
        return self.score

    @property
    def reads_images(self) -> bool:
        """Whether the proxy reads images."""
        return self.scored.reads_images

    @property
    def least_images(self) -> int:
        """All batches of a score."""
        return self.scored.least_images

    def passes(self, train_images: int, test_images: float) -> float:
        """Those of all scores."""
        return self.candidates * self.scored.passes(train_images, test_images)

    def steps(self, train_images: int) -> int:
        """The candidates."""
        return self.candidates


class RandomSearch(_Candidates):
    """Recipe of the method `random_search`: the best of random architectures."""

    method: Literal["random_search"] = "random_search"


class Evolution(_Candidates):
    """Recipe of the method `evolution`: regularised evolution (Real et al. 2019), with the published population."""

    method: Literal["evolution"] = "evolution"
    population: int = Field(100, ge=1, le=1_000_000, description="the newest candidates, of which parents are drawn")
    tournament: int = Field(25, ge=1, le=1_000_000, description="candidates drawn; the best of them is the parent")

    @property
    def needs_searchable(self) -> bool:
        """True: parents are mutated."""
        return True

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.tournament > self.population:
            raise ValueError(f"tournament = {self.tournament} is more than population = {self.population}")
        return self


def settings(family: str, proxy: Score, variant: str) -> dict[str, object]:
    """The settings of a search by a proxy, or by `lookup` with the networks of that proxy."""
    score = LOOKUP if variant == LOOKUP else proxy.score
    return proxy.model_dump(exclude={"method"}) | {"name": f"{family}/{score}", "score": score}
