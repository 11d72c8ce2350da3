"""The fields of a recipe: everything but data, task, architecture and seed that changes a trial's numbers.

There is one class per method (workers/methods).  `AnyRecipe` is what a trial has: its field `method` names the class
and recipes stored before there was such a field are those of method `train`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

import spaces

Precision = Literal["fp32", "tf32", "bf16"]
_IMAGES = 2**31 - 1  # more than any split holds; with the limits of width and depth, every cost fits 64 bits

_FACTS = TypeAdapter(dict[str, Any])
_FIRST = "train"  # the method of recipes that name none


class Base(BaseModel):
    """What recipes of all methods have: a label, a method, an identity.

    Frozen and checked.  A subclass adds the fields of its method, and `method` as a literal with its default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    FIXED: ClassVar[frozenset[str]] = frozenset({"method"})  # fields that `replace` does not take

    name: str = Field(description="family of the recipe; a label, no part of a trial's identity")
    method: str = Field(description="what is done with the network: a name of workers.methods")

    @property
    def facts(self) -> dict[str, Any]:
        """The fields that are part of a trial's identity: all but the label, what is not set, and the first method."""
        unnamed = {"name"} | ({"method"} if self.method == _FIRST else set())
        return self.model_dump(exclude=unnamed, exclude_none=True)

    @property
    def of_seg(self) -> dict[str, Any]:
        """What is set of segmentation; nothing where the method has no such fields."""
        return {}

    @property
    def json_text(self) -> str:
        """The canonical JSON of `facts`: sorted keys, no spaces."""
        return json.dumps(self.facts, sort_keys=True, separators=(",", ":"))

    @property
    def id(self) -> str:
        """Twelve hex digits that name the resolved recipe."""
        return hashlib.sha256(self.json_text.encode()).hexdigest()[:12]

    @classmethod
    def read(cls, name: str, json_text: str) -> Self:
        """The recipe of a name and the JSON of its facts; ValueError where that is not valid for this class.

        `workers.recipes.read` finds the class.
        """
        return cls.model_validate({"name": name} | _FACTS.validate_json(json_text))

    def replace(self, /, **changes: Any) -> Self:
        """A checked copy with other values; ValueError names the key, what was given and what is known."""
        unknown = sorted(set(changes) - (set(type(self).model_fields) - self.FIXED))
        if unknown:
            known = ", ".join(k for k in type(self).model_fields if k not in {"name"} | self.FIXED)
            raise ValueError(f"a recipe has no {', '.join(map(spaces.quoted, unknown[:5]))}; it has {known}")
        try:
            return type(self).model_validate(self.model_dump() | self._unnamed(changes) | changes)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"recipe {where} = {spaces.quoted(first['input'])}: {first['msg']}") from None

    def _unnamed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Fields that follow from the changes of others."""
        return {}


class Speed(BaseModel):
    """The settings that change nothing but speed and memory."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    test_batch: int
    threads: int


class Sgd(Base):
    """SGD with a cosine per epoch and an evaluation after every epoch.

    The learning rate of epoch e = 0..E-1 is `0.5 * lr * (1 + cos(pi * e / E))`; no warm-up, no clipping, no label
    smoothing; weight decay on every parameter (Liu et al. 2020, release).

    `test_batch` and `threads` change nothing but speed and memory.  They were part of the identity from the beginning,
    so stored ids depend on them.  Hence the identity holds the values that the recipe was made with (by its family, or
    read from a stored row), in `counted` once others are executed: `replace(test_batch=...)` changes what is executed
    and neither `facts` nor `id`.
    """

    FIXED: ClassVar[frozenset[str]] = frozenset({"method", "counted"})

    epochs: int = Field(ge=1, le=100_000, description="passes over the training split")
    lr: float = Field(gt=0, lt=1e3, description="peak learning rate, a step of SGD on the mean loss of a batch")
    batch: int = Field(
        ge=2, le=_IMAGES, description="training images a step (rot: 4 samples each; jig: all tiles of each)"
    )
    test_batch: int = Field(ge=1, le=_IMAGES, description="test images a step; changes nothing but speed and memory")
    weight_decay: float = Field(ge=0, lt=1, description="L2 penalty of every parameter, BN and biases included")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD; dampening is 0")
    nesterov: bool = Field(True, description="Nesterov's momentum")
    precise_bn: int = Field(
        1024,
        ge=0,
        le=_IMAGES,
        description="training images whose batches give the BN statistics of an evaluation; 0: running averages",
    )
    width: int = Field(
        ge=1, le=16_384, description="channels of the first cell (darts), stack (nasbench101) or stage (nasbench201)"
    )
    depth: int = Field(ge=1, le=1_000, description="cells (darts), or modules a stack or stage")
    precision: Precision = Field(
        "fp32",
        description="arithmetic of convolutions and matrix products. The studies' protocol is fp32: these "
        "networks amplify rounding about 100,000 times, so another precision is another experiment",
    )
    threads: int = Field(1, ge=1, le=1024, description="torch threads of a training on the CPU")
    counted: Speed | None = Field(None, description="test_batch and threads of the identity, where others are executed")

    @property
    def facts(self) -> dict[str, Any]:
        """The fields that are part of a trial's identity."""
        found = super().facts
        return found | (found.pop("counted", None) or {})

    @property
    def executed(self) -> dict[str, int]:
        """The settings that are executed with other values than the identity has."""
        if self.counted is None:
            return {}
        return {k: getattr(self, k) for k, value in self.counted.model_dump().items() if getattr(self, k) != value}

    def counted_as(self, facts: Mapping[str, Any]) -> Self:
        """The same recipe with the identity's test_batch and threads from `facts`; what is executed stays."""
        counted = {name: facts[name] for name in Speed.model_fields}
        same = all(getattr(self, name) == value for name, value in counted.items())
        return type(self).model_validate(self.model_dump() | {"counted": None if same else counted})

    def _unnamed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        before = self.counted or Speed(test_batch=self.test_batch, threads=self.threads)
        same = all(changes.get(name, getattr(self, name)) == value for name, value in before.model_dump().items())
        return {"counted": None if same else before.model_dump()}


class Train(Sgd):
    """Train an architecture."""

    method: Literal["train"] = "train"
    # Of segmentation alone; None: as in UnNAS's searches.  A recipe without them has the identity that it had before
    # there were any.
    aspp: int | None = Field(None, ge=1, le=16_384, description="seg: channels of the ASPP; default 64")
    rates: tuple[Annotated[int, Field(ge=1, le=1_000)], ...] | None = Field(
        None, strict=False, min_length=1, max_length=16, description="seg: dilations of the ASPP; default [6]"
    )
    crop: int | None = Field(None, ge=17, le=16_384, description="seg: side of a training crop; default the dataset's")
    scaled: int | None = Field(
        None, ge=16, le=16_384, description="seg: training scales the shorter side to half to twice so many pixels"
    )

    @property
    def of_seg(self) -> dict[str, Any]:
        """What is set of segmentation."""
        found = {"aspp": self.aspp, "rates": self.rates, "crop": self.crop, "scaled": self.scaled}
        return {name: value for name, value in found.items() if value is not None}


def method_of(recipe: Any) -> str | None:
    """The method of a recipe, or of its fields: `train` where they name none; None where neither is given."""
    found = recipe.method if isinstance(recipe, Base) else None
    if isinstance(recipe, Mapping):
        found = recipe.get("method", _FIRST)
    return found if isinstance(found, str) else None


# The next method joins it as `| Annotated[Darts, Tag("darts")]`.
AnyRecipe = Annotated[Annotated[Train, Tag("train")], Discriminator(method_of)]
_ANY: TypeAdapter[AnyRecipe] = TypeAdapter(AnyRecipe)


def read(name: str, json_text: str) -> AnyRecipe:
    """The recipe of a name and the JSON of its facts, of the class of its method; ValueError where it is not valid."""
    return _ANY.validate_python({"name": name} | _FACTS.validate_json(json_text))


def question(json_text: str) -> str:
    """The JSON of a recipe's facts without what changes nothing but speed and memory: equal for recipes of one
    question, whatever their ids."""
    facts = {key: value for key, value in _FACTS.validate_json(json_text).items() if key not in Speed.model_fields}
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))
