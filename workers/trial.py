"""A trial: the configuration of one training, and its identifier."""

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

import spaces
from workers import datasets, settings, tasks
from workers.datasets import CustomDataset, Dataset
from workers.recipes import AnyRecipe

if TYPE_CHECKING:
    from workers.tasks import Task

# Part of every trial's identity.  Increase it when the same trial would give different numbers than before.
PROTOCOL = 1


@lru_cache(maxsize=65_536)
def _normal(space: str, arch: str) -> str:
    return spaces.get(space).normal(arch)


@lru_cache(maxsize=4_096)
def _facts(recipe: AnyRecipe) -> dict[str, Any]:
    return recipe.facts


class Trial(BaseModel):
    """One training: an architecture of a space, on a task of a dataset, with a seed and a recipe.

    `arch` is converted to its normal spelling; it is `*` (`spaces.WHOLE`) exactly if the recipe searches.
    LookupError for unknown names, for a task that does not support the dataset, and for a search that needs a space
    with a supernet; ValueError for a malformed architecture.  `dataset_id` identifies the content of the dataset; None:
    use the files found at the data root.  `own` holds the facts of a custom dataset, which is described by a study and
    not registered (`workers.datasets.describe`).

    `base` is the id of the trial whose final weights are used.  It is given exactly if the recipe needs weights, else
    ValueError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    space: str
    arch: str
    dataset: str
    task: str
    seed: int = Field(1, ge=0, lt=2**63)
    recipe: AnyRecipe
    dataset_id: str | None = None
    own: CustomDataset | None = None
    base: str | None = Field(None, pattern=r"^[0-9a-f]{16}$")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: dict[str, object]) -> dict[str, object]:
        space, arch = values.get("space"), values.get("arch")
        if isinstance(dataset := values.get("dataset"), str) and values.get("own") is None:
            datasets.get(dataset)
        if isinstance(task := values.get("task"), str):
            tasks.get(task)
        if isinstance(space, str) and isinstance(arch, str) and arch != spaces.WHOLE:
            return values | {"arch": _normal(space, arch)}
        return values

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.recipe.searches != (self.arch == spaces.WHOLE):
            recipe = f"recipe {spaces.quoted(self.recipe.name)} of the method {self.recipe.method!r}"
            raise ValueError(
                f"{recipe} searches for an architecture; expected arch {spaces.WHOLE!r}, not {spaces.quoted(self.arch)}"
                if self.recipe.searches
                else f"arch {spaces.WHOLE!r} stands for a search, but {recipe} needs one architecture"
            )
        if (self.base is not None) != (self.recipe.needs_weights is not None):
            recipe = f"recipe {spaces.quoted(self.recipe.name)} of the method {self.recipe.method!r}"
            raise ValueError(
                f"{recipe} uses the weights of another trial; expected its id as `base`"
                if self.base is None
                else f"{recipe} uses no weights of another trial; expected no `base`, given {self.base}"
            )
        if self.recipe.needs_searchable:
            spaces.searchable(self.space)
        if self.own is not None and self.own.name != self.dataset:
            raise ValueError(f"dataset {self.dataset!r} is given with the facts of dataset {self.own.name!r}")
        if objection := self.configured_task.unsupported_reason(self.data) or self._no_answer():
            raise LookupError(objection)
        if objection := settings.objection(self.recipe, self.space, self.data, self.configured_task):
            raise LookupError(objection)
        return self

    def _no_answer(self) -> str | None:
        """Why the task has no answer in generated images; None if it has one."""
        from workers.data.generated import Generated

        source = self.own.source if self.own is not None else None
        reason = source.NO_ANSWER.get(self.task) if isinstance(source, Generated) else None
        return None if reason is None else f"task {self.task} has no answer in {self.dataset}: {reason}"

    @property
    def data(self) -> Dataset:
        """The facts of the dataset."""
        return datasets.get(self.dataset) if self.own is None else self.own

    @property
    def configured_task(self) -> "Task":
        """The task with the settings that the recipe has for it."""
        return tasks.get(self.task).configured(self.recipe)

    @property
    def metric(self) -> str:
        """The name of the score in rows: what the method measures, if it names it, else the task's."""
        return self.recipe.measures or tasks.get(self.task).metric

    @property
    def id(self) -> str:
        """`trial_id`: 16 hexadecimal digits, a hash of everything that changes the results and of nothing else."""
        if self.dataset_id is None:
            raise ValueError("a trial's id needs its dataset_id; see workers.datasets.identify")
        question = {
            "space": self.space,
            "arch": self.arch,
            "dataset_id": self.dataset_id,
            "task": self.task,
            "seed": self.seed,
            "recipe": _facts(self.recipe),
            "protocol": PROTOCOL,
        } | ({} if self.base is None else {"base": self.base})
        text = json.dumps(question, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
