"""The fields of a recipe: everything that changes a trial's numbers besides data, task, architecture and seed.

There is one class per method (workers/methods): `_train.py`, those of searches in `_searches.py` and `_candidates.py`,
those of methods that train nothing in `_untrained.py`.  `AnyRecipe` (`_any.py`) is the union of these classes; the
field `method` selects one.  Recipes stored before this field existed belong to the method `train`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

import spaces

Precision = Literal["fp32", "tf32", "bf16"]
WeightsOf = Literal["architecture", "supernet"]
RandomLabels = Annotated[
    Literal["permuted"] | None,
    Field(description="rand: the true labels in random order; unset: independent labels, uniform over the classes"),
]
Uncertain = Annotated[
    Literal["zeros", "ones", "ignore"] | None,
    Field(description="multi: uncertain labels count as negative, as positive (also if unset), or not at all"),
]
WhichFindings = Annotated[
    Literal["five", "all"] | None,
    Field(description="multi: findings that the score is the mean over; unset: the five that the paper evaluates"),
]
MostMacs = Annotated[int | None, Field(ge=1, description="most multiply-adds of an architecture; unset: no limit")]
MostParams = Annotated[int | None, Field(ge=1, description="most parameters of an architecture; unset: no limit")]
RandomPart = Annotated[
    Literal["network", "architecture"] | None,
    Field(
        description="rand: the part of the images that has random labels, the one that trains the network or the one "
        "that trains the architecture weights; the other keeps its true labels; unset: both"
    ),
]
RandomClasses = Annotated[
    int | None, Field(ge=2, le=100_000, description="rand: the number of classes; unset: that of the dataset")
]
IMAGES = 2**31 - 1  # more than any split holds; with the limits of width and depth, every cost fits 64 bits

FACTS = TypeAdapter(dict[str, Any])
FIRST = "train"  # the method of recipes without the field `method`


class Base(BaseModel):
    """The common part of the recipes of all methods: a label, a method, the size of the network, an identity.

    Frozen and validated.  A subclass adds the fields of its method, and `method` as a literal with its default.  It
    also has `epochs`, `precision` and `threads`: fields of methods that train, constants of the others (`Untrained`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    FIXED: ClassVar[frozenset[str]] = frozenset({"method"})  # fields that `replace` does not accept

    name: str = Field(description="family of the recipe; a label, not part of a trial's identity")
    method: str = Field(description="what is done with the network: a name in workers.methods")
    width: int | None = Field(
        ge=1, le=16_384, description="channels of the first cell (darts), stack (nasbench101) or stage (nasbench201)"
    )
    depth: int = Field(ge=1, le=1_000, description="cells (darts), or modules per stack or stage")

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if (self.width is None) == (self.budget is None):
            both = f"width = {self.width} and macs = {self.budget}" if self.budget else "none"
            raise ValueError(f"the size of the network is given by width or macs; expected exactly one, given {both}")
        return self

    @property
    def budget(self) -> int | None:
        """The most multiply-adds of a network whose width follows from its architecture; None: `width` is given."""
        return None

    @property
    def given_width(self) -> int:
        """`width`; ValueError if it follows from the architecture."""
        if self.width is None:
            raise ValueError(f"recipe {spaces.quoted(self.name)} has macs = {self.budget}; expected a width")
        return self.width

    @property
    def facts(self) -> dict[str, Any]:
        """The fields that are part of a trial's identity: all except the label, unset fields and the method `train`."""
        unnamed = {"name"} | ({"method"} if self.method == FIRST else set())
        return self.model_dump(exclude=unnamed, exclude_none=True)

    @property
    def of_seg(self) -> dict[str, Any]:
        """The segmentation fields that are set; empty for methods without such fields."""
        return {}

    @property
    def of_multi(self) -> dict[str, Any]:
        """The settings of several labels per image that are set; empty for methods without such fields."""
        found = {name: getattr(self, name, None) for name in ("uncertain", "findings")}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def of_rand(self) -> dict[str, Any]:
        """The settings of random labels that are set; empty for methods without such fields."""
        found = {name: getattr(self, name, None) for name in ("labels", "classes", "random_part")}
        return {name: value for name, value in found.items() if value is not None}

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if "classes" in self.of_rand and len(self.of_rand) > 1:
            others = ", ".join(f"{name} = {value!r}" for name, value in self.of_rand.items() if name != "classes")
            raise ValueError(f"{others}: such labels have the classes of the dataset; leave out classes")
        return self

    def check_task(self, task: str) -> None:
        """LookupError if the recipe has settings that are for another task alone."""
        for other, settings in (("seg", self.of_seg), ("rand", self.of_rand), ("multi", self.of_multi)):
            if settings and other != task:
                raise LookupError(f"recipe settings {', '.join(settings)} are for task {other} alone")

    @property
    def measures(self) -> str | None:
        """The name of what the method measures (the row's `metric`); None: the score of the task."""
        return None

    @property
    def searches(self) -> bool:
        """Whether the method finds an architecture: its trials have `*` in place of one."""
        return False

    @property
    def finds(self) -> bool:
        """Whether its trials end with an architecture, which other sweeps may train."""
        return self.searches

    @property
    def supernet(self) -> dict[str, Any] | None:
        """Options of the space's supernet; None for a recipe without one."""
        return None

    @property
    def needs_searchable(self) -> bool:
        """Whether the space must be `spaces.Searchable`."""
        return self.supernet is not None

    @property
    def keeps_weights(self) -> bool:
        """Whether the method ends with weights that other trials may use."""
        return False

    @property
    def needs_weights(self) -> WeightsOf | None:
        """Whose weights the method uses: those of a trial of the same architecture, or of a supernet; None: no other
        trial's.  A trial has a `base` exactly if the method uses weights."""
        return None

    @property
    def reads_images(self) -> bool:
        """Whether the method opens the dataset; else a trial runs on a machine without it."""
        return True

    @property
    def least_images(self) -> int:
        """The training images that a trial needs at least; it fails with fewer."""
        return 0

    @property
    def step_images(self) -> int:
        """The training images of one step, as far as memory is concerned."""
        return self.least_images

    def passes(self, train_images: int, test_images: float) -> float:
        """Forward passes of one image that take as long as a trial; a backward pass counts as two."""
        raise NotImplementedError

    def steps(self, train_images: int) -> int:
        """Steps of a trial, each of which takes some time however small the network is."""
        raise NotImplementedError

    @property
    def rehearsed(self) -> bool:
        """Whether the times in a trial's row are those of another machine, and not the time that the trial takes."""
        return False

    @property
    def executed(self) -> dict[str, Any]:
        """The settings that are not part of the identity, where they are needed to run the trial: settings of speed
        that differ from those in the identity, places of files."""
        return {}

    def counted_as(self, facts: Mapping[str, Any]) -> Self:
        """The same recipe with the settings of speed of `facts` in its identity; methods without such: itself."""
        return self

    @property
    def json_text(self) -> str:
        """The canonical JSON of `facts`: sorted keys, no spaces."""
        return json.dumps(self.facts, sort_keys=True, separators=(",", ":"))

    @property
    def id(self) -> str:
        """The recipe's identifier: twelve hexadecimal digits, a hash of `facts`."""
        return hashlib.sha256(self.json_text.encode()).hexdigest()[:12]

    @classmethod
    def read(cls, name: str, json_text: str) -> Self:
        """The recipe with this name and these facts (JSON); ValueError if they are not valid for this class.

        `workers.recipes.read` selects the class.
        """
        return cls.model_validate({"name": name} | FACTS.validate_json(json_text))

    def replace(self, /, **changes: Any) -> Self:
        """A validated copy with other values; ValueError names the key, the given value and the known keys."""
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
        """Further fields that change as a consequence of `changes`."""
        return {}


class Speed(BaseModel):
    """The settings that affect only speed and memory, not results."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    test_batch: int
    threads: int


Schedule = Literal["cosine", "linear", "linear_tail"]
"""How a learning rate falls: by a cosine, once per epoch; linearly, after every step; linearly, once per epoch, and in
the last five epochs with a fifth of the slope (PC-DARTS's release)."""

Decayed = Literal["all", "kernels", "kernels_and_classifier"]
"""Weights with weight decay: all, those of convolutions, or also those of linear layers."""


class Sgd(Base):
    """SGD with a cosine schedule, updated once per epoch, and an evaluation after every epoch.

    The learning rate of epoch e = 0..E-1 is `0.5 * lr * (1 + cos(pi * e / E))`, if it has no warm-up and no other end;
    weight decay on every parameter (Liu et al. 2020, release).

    `test_batch` and `threads` affect only speed and memory.  They have been part of the identity from the beginning,
    so stored ids depend on them.  The identity therefore keeps the values with which the recipe was created (by its
    family, or read from a stored row).  `replace(test_batch=...)` changes the executed value and leaves `facts` and
    `id` as they are; the values of the identity are then kept in `counted`.
    """

    FIXED: ClassVar[frozenset[str]] = frozenset({"method", "counted"})

    epochs: int = Field(ge=1, le=100_000, description="passes over the training split")
    lr: float = Field(gt=0, lt=1e3, description="peak learning rate of SGD on the mean loss of a batch")
    batch: int = Field(
        ge=2, le=IMAGES, description="training images per step (rot: 4 samples each; jig: all tiles of each)"
    )
    test_batch: int = Field(ge=1, le=IMAGES, description="test images per step; affects only speed and memory")
    weight_decay: float = Field(ge=0, lt=1, description="L2 penalty on every parameter, BN and biases included")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD; dampening is 0")
    nesterov: bool = Field(True, description="use Nesterov momentum")
    precise_bn: int = Field(
        1024,
        ge=0,
        le=IMAGES,
        description="training images used to compute the BN statistics before an evaluation; 0: running averages",
    )
    precision: Precision = Field(
        "fp32",
        description="arithmetic of convolutions and matrix products. The studies' protocol is fp32: these "
        "networks amplify rounding about 100,000 times, so another precision is another experiment",
    )
    threads: int = Field(1, ge=1, le=1024, description="torch threads of a training on the CPU")
    labels: RandomLabels = None
    classes: RandomClasses = None
    uncertain: Uncertain = None
    findings: WhichFindings = None
    counted: Speed | None = Field(
        None, description="test_batch and threads in the identity, if the executed values differ"
    )

    @property
    def keeps_weights(self) -> bool:
        """True: those of the trained network."""
        return True

    @property
    def least_images(self) -> int:
        """One batch."""
        return self.batch

    @property
    def lr_floor(self) -> float:
        """The learning rate that the schedule ends at."""
        return 0.0

    @property
    def falls(self) -> Schedule:
        """How the learning rate falls."""
        return "cosine"

    @property
    def decays(self) -> Decayed:
        """The weights with weight decay."""
        return "all"

    def warmed(self, epoch: int) -> float:
        """The factor of the learning rate in an epoch (from 0) of a warm-up; else 1."""
        return 1.0

    def passes(self, train_images: int, test_images: float) -> float:
        """Training, the statistics of batch norm, and the evaluation of every epoch."""
        return (3 * train_images + self.precise_bn + test_images) * self.epochs

    def steps(self, train_images: int) -> int:
        """The steps of the optimiser."""
        return self.epochs * train_images // self.batch

    @property
    def facts(self) -> dict[str, Any]:
        """The fields that are part of a trial's identity."""
        found = super().facts
        return found | (found.pop("counted", None) or {})

    @property
    def executed(self) -> dict[str, Any]:
        """The executed values of test_batch and threads, if they differ from those in the identity."""
        if self.counted is None:
            return {}
        return {k: getattr(self, k) for k, value in self.counted.model_dump().items() if getattr(self, k) != value}

    def counted_as(self, facts: Mapping[str, Any]) -> Self:
        """The same recipe with test_batch and threads of `facts` in its identity; the executed values stay."""
        counted = {name: facts[name] for name in Speed.model_fields}
        same = all(getattr(self, name) == value for name, value in counted.items())
        return type(self).model_validate(self.model_dump() | {"counted": None if same else counted})

    def _unnamed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        before = self.counted or Speed(test_batch=self.test_batch, threads=self.threads)
        same = all(changes.get(name, getattr(self, name)) == value for name, value in before.model_dump().items())
        return {"counted": None if same else before.model_dump()}


def question(json_text: str) -> str:
    """The JSON of a recipe's facts without `test_batch` and `threads`: equal for recipes that give the same numbers,
    even if their ids differ."""
    facts = {key: value for key, value in FACTS.validate_json(json_text).items() if key not in Speed.model_fields}
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))
