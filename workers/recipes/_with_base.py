"""Recipes of methods that use the weights of another trial, its base: attacks on trained networks."""

import json
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from workers.recipes._models import FACTS, IMAGES, Base, Precision, WeightsOf, question

_OF_BASE = "trained."  # begins the keys of the base's settings in `facts`
_SEG = ("aspp", "rates", "crop", "scaled")


@lru_cache(maxsize=1024)
def _facts(text: str) -> dict[str, Any]:
    return FACTS.validate_json(text)


class WithBase(Base):
    """The common part of these recipes: one epoch of the loop, with the network and the arithmetic of the base.

    The base's recipe is part of the identity, so results of networks that were trained in different ways are in
    different cells of a table.  Its settings are in `facts` as `trained.lr` and so on, without those of speed.  Plans
    and `workers.run` fill it in (`bound`); until then the recipe has no id.
    """

    FIXED: ClassVar[frozenset[str]] = frozenset({"method", "width", "depth", "trained"})
    # Fields that are no settings of their own: those of the base, and settings of speed.
    _OTHERS: ClassVar[frozenset[str]] = frozenset({"width", "depth", "trained", "test_batch", "threads"})

    width: int | None = Field(1, ge=1, le=16_384, description="of the base; unset if that has a budget")
    depth: int = Field(1, ge=1, le=1_000, description="of the base")
    trained: str | None = Field(None, description="the recipe of the base: JSON of its settings without those of speed")
    test_batch: int | None = Field(
        None, ge=1, le=IMAGES, description="test images per step, default the base's; affects only speed and memory"
    )
    threads: int = Field(1, ge=1, le=1024, description="torch threads on the CPU")

    @model_validator(mode="before")
    @classmethod
    def _size_of_base(cls, values: Any) -> Any:
        """Read the base's settings from `facts`, and take the size of its network."""
        if not isinstance(values, dict):
            return values
        found = {key.removeprefix(_OF_BASE): v for key, v in values.items() if key.startswith(_OF_BASE)}
        if found:
            values = {key: v for key, v in values.items() if not key.startswith(_OF_BASE)}
            values["trained"] = json.dumps(found, sort_keys=True, separators=(",", ":"))
        if isinstance(text := values.get("trained"), str):
            values = values | {key: _facts(text).get(key) for key in ("width", "depth")}
        return values

    def bound(self, recipe: Base) -> Self:
        """The recipe for a base with this recipe; its own settings of speed are kept where they are set."""
        speed = {"test_batch": self.test_batch or getattr(recipe, "test_batch", None)}
        if self.threads == 1:
            speed["threads"] = getattr(recipe, "threads", 1)
        return type(self).model_validate(self.model_dump() | speed | {"trained": question(recipe.json_text)})

    @property
    def facts(self) -> dict[str, Any]:
        """The fields that are part of a trial's identity; ValueError while the base's recipe is not known."""
        if self.trained is None:
            raise ValueError(
                f"a recipe of the method {self.method!r} is identified by the recipe of its base, which is not known "
                "yet: `bound` fills it in"
            )
        own = {key: value for key, value in super().facts.items() if key not in self._OTHERS}
        return own | {_OF_BASE + key: value for key, value in _facts(self.trained).items()}

    @property
    def executed(self) -> dict[str, Any]:
        """`test_batch` and `threads`, where they are set."""
        found: dict[str, Any] = {} if self.test_batch is None else {"test_batch": self.test_batch}
        return found if self.threads == 1 else found | {"threads": self.threads}

    @property
    def of_base(self) -> dict[str, Any]:
        """The settings of the base's recipe; empty while it is not known."""
        return {} if self.trained is None else _facts(self.trained)

    @property
    def of_seg(self) -> dict[str, Any]:
        """The segmentation fields of the base that are set."""
        found = {name: value for name in _SEG if (value := self.of_base.get(name)) is not None}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}

    @property
    def of_multi(self) -> dict[str, Any]:
        """The settings of several labels per image of the base that are set."""
        return {name: value for name in ("uncertain", "findings") if (value := self.of_base.get(name)) is not None}

    @property
    def budget(self) -> int | None:
        """That of the base."""
        found: int | None = self.of_base.get("macs")
        return found

    @property
    def epochs(self) -> int:
        """1: the loop calls the method once."""
        return 1

    @property
    def precision(self) -> Precision:
        """That of the base."""
        found: Precision = self.of_base.get("precision", "fp32")
        return found


class Attack(WithBase):
    """Recipe of the method `attack`: the score of a trained network on the test split, under an attack."""

    method: Literal["attack"] = "attack"
    FIXED: ClassVar[frozenset[str]] = WithBase.FIXED | {"attack"}

    attack: Literal["none"] = Field(description="what is done to the images; none: the score of the clean images")

    @property
    def needs_weights(self) -> WeightsOf:
        """Those of a training of the same architecture."""
        return "architecture"

    def passes(self, train_images: int, test_images: float) -> float:
        """One evaluation."""
        return test_images

    def steps(self, train_images: int) -> int:
        """None of training."""
        return 0
