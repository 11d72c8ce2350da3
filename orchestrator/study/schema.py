"""The schema of study files: TOML in, frozen models out; errors name the path to the key."""

import os
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, field_serializer, field_validator, model_validator

import spaces
from orchestrator.study.schema_parts import (
    DATASETS,
    LABEL,
    NONE,
    AnyDataset,
    Architectures,
    DatasetChoice,
    DiskPath,
    Execution,
    GeneratedDataset,
    Part,
    Place,
    check_disk_path,
    check_place,
)
from workers import datasets, tasks
from workers.recipes import AnyRecipe, cells, recipe
from workers.scrub import scrub

PRESETS = files("orchestrator") / "presets"
_MISTAKES = 20  # reported at a time
# Python's TOML parser takes time quadratic in the length of a dotted key; keys of a study have three parts at most.
_PART = r"""(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{20}}")


class Sweep(Part):
    """One block of trials: architectures of one space on tasks of one dataset, over seeds and recipes.

    In a file `recipe` is a name or a list of names.  A sweep whose recipes search has no `architectures`.
    """

    space: str
    architectures: Architectures = NONE
    dataset: AnyDataset
    tasks: tuple[str, ...] = Field(strict=False, min_length=1)
    seeds: tuple[int, ...] = Field((1,), strict=False, min_length=1)
    recipe: tuple[str, ...] = Field(("unnas",), strict=False, min_length=1)
    override: dict[str, Any] = Field(default_factory=dict)
    name: str | None = Field(
        None, pattern=LABEL, max_length=100, description="a label, for sweeps that refer to this one"
    )

    weights: str | None = Field(
        None, min_length=1, max_length=100, description="the sweep whose trials' final weights are used"
    )

    @field_validator("dataset", mode="before")
    @classmethod
    def _name_alone(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("recipe", mode="before")
    @classmethod
    def _one_recipe(cls, value: object) -> object:
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list | tuple):
            return value
        raise ValueError("expected the name of a recipe, or a list of names")

    @field_serializer("recipe")
    def _as_in_files(self, names: tuple[str, ...]) -> str | tuple[str, ...]:
        return names[0] if len(names) == 1 else names

    @field_validator("seeds")
    @classmethod
    def _real_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if min(seeds) < 0 or max(seeds) >= 2**63:
            raise ValueError(
                f"seeds count from 0 and fit 63 bits; given {spaces.quoted(min(seeds))} to {spaces.quoted(max(seeds))}"
            )
        return seeds

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Look the names up, so that a typo is reported before architectures are drawn."""
        try:
            # Only unknown names are looked up with `get`: known ones would import torch, which takes seconds.
            for registry, name in (
                (spaces, self.space),
                *([] if self.dataset.source else [(datasets, self.dataset.name)]),
                *((tasks, t) for t in self.tasks),
            ):
                if name not in registry.names():
                    registry.get(name)
            for task in self.tasks:
                for name in self.recipe:
                    self._check_cell(task, name)
        except LookupError as error:
            raise ValueError(str(error)) from None
        for key in ("tasks", "seeds", "recipe"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"{key} = {spaces.quoted(list(values))} names one twice")
        self._check_aliases()
        self._check_architectures()
        self._check_weights()
        return self

    def _check_architectures(self) -> None:
        """ValueError unless there are architectures exactly for recipes that need them."""
        searching = {name: self.resolved(self.tasks[0], name).searches for name in self.recipe}
        finds = next((name for name, searches in searching.items() if searches), None)
        needs = next((name for name, searches in searching.items() if not searches), None)
        if finds and needs:
            raise ValueError(
                f"recipe {spaces.quoted(finds)} searches for an architecture, and {spaces.quoted(needs)} needs "
                "`architectures`; give each a sweep of its own"
            )
        if finds and self.architectures.given:
            raise ValueError(
                f"recipe {spaces.quoted(finds)} searches for an architecture, so expected is no `architectures`; "
                f"given: {self.architectures.given}. Another sweep takes what it finds: give this one a name, and "
                "that one architectures = { found = NAME }"
            )
        if needs and not self.architectures.given:
            raise ValueError(
                f"recipe {spaces.quoted(needs)} needs `architectures`, and none are given; expected one of "
                "{ sample = 100 }, { file = ... }, { list = [...] }, { all = true }, { named = [...] }, { found = ... }"
            )

    def _check_weights(self) -> None:
        """ValueError unless `weights` are given exactly for recipes that need them."""
        for name in self.recipe:
            needs = self.resolved(self.tasks[0], name).needs_weights is not None
            if needs and self.weights is None:
                raise ValueError(
                    f"recipe {spaces.quoted(name)} needs `weights`, and none are given; expected weights = NAME, the "
                    "name of a sweep that trains the networks"
                )
            if self.weights is not None and not needs:
                raise ValueError(
                    f"recipe {spaces.quoted(name)} uses no weights of other trials, so expected is no `weights`; "
                    f"given: {spaces.quoted(self.weights)}"
                )

    @property
    def searches(self) -> bool:
        """Whether the recipes search for architectures."""
        return self.architectures.given is None

    def _check_cell(self, task: str, name: str) -> None:
        """LookupError where the dataset or the recipe does not support the task.  `plan` checks every trial again."""
        try:
            self.resolved(task, name)
            settled = (self.space, self.dataset.name, task) in cells(name)
        except LookupError:
            self._check_objection(task)
            raise
        if not settled:
            self._check_objection(task)

    def _check_aliases(self) -> None:
        """ValueError where two names mean one recipe: its trials would be one."""
        first: dict[tuple[str, ...], str] = {}
        for name in self.recipe:
            recipes = [self.resolved(task, name).model_dump_json(exclude={"name"}) for task in self.tasks]
            other = first.setdefault(tuple(recipes), name)
            if other != name:
                raise ValueError(
                    f"recipes {spaces.quoted(other)} and {spaces.quoted(name)} are the same here; name one"
                )

    def _check_objection(self, task: str) -> None:
        """LookupError with the task's own reason.  Imports the task and torch, so not called where a recipe exists."""
        known = None if self.dataset.source else datasets.get(self.dataset.name)
        if known and (objection := tasks.get(task).unsupported_reason(known)):
            raise LookupError(objection) from None

    def resolved(self, task: str, name: str | None = None) -> AnyRecipe:
        """The recipe of that name, by default the first, for one of the tasks, with overrides."""
        name = self.recipe[0] if name is None else name
        if "name" in self.override:
            raise ValueError("override: the name of a recipe cannot be overridden; choose another recipe")
        own = self.dataset.source
        found = recipe(name, space=self.space, dataset=self.dataset.name, task=task, size=own.size if own else None)
        try:
            return found.replace(**self.override)
        except ValueError as error:
            if len(self.recipe) == 1:
                raise
            raise ValueError(
                f"override of recipe {spaces.quoted(name)}: {error}; recipes with other overrides belong in a sweep of "
                "their own"
            ) from None


class Study(Part):
    """A study: its name, the folder of its rows, and its sweeps."""

    name: str = Field(pattern=LABEL, max_length=100, description="letters, digits, dot, dash, underscore")
    path: Place = ""
    data_root: DiskPath | None = None
    sweeps: tuple[Sweep, ...] = Field(strict=False, min_length=1)
    execution: Execution = Execution()

    @model_validator(mode="before")
    @classmethod
    def _default_path(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("path") and isinstance(values.get("name"), str):
            return values | {"path": f"runs/{values['name']}"}
        return values

    @model_validator(mode="after")
    def _known_searches(self) -> Self:
        """ValueError for a name of two sweeps, and where `found` names nothing that searches the sweep's space."""
        names = [sweep.name for sweep in self.sweeps if sweep.name]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two sweeps have the name {spaces.quoted(twice)}; expected a name of its own for each")
        for number, sweep in enumerate(self.sweeps):
            try:
                self._check_found(sweep)
            except ValueError as error:
                raise ValueError(f"sweeps[{number}].architectures.found: {error}") from None
        return self

    def _check_found(self, sweep: Sweep) -> None:
        for source in self.searched(sweep):
            self._check_source(sweep, source)

    def _check_source(self, sweep: Sweep, source: "Sweep | str") -> None:
        if isinstance(source, str):
            if "/" not in source:
                known = ", ".join(other.name for other in self.sweeps if other.name and other.searches) or "none"
                raise ValueError(
                    f"no sweep has the name {spaces.quoted(source)}; sweeps that search and have a name: {known}. "
                    "Expected one of these, or the folder of another run, with a slash, as runs/search"
                )
            if source.rstrip("/") == self.path.rstrip("/"):
                raise ValueError(
                    f"{source} is the folder of this study itself; expected the name of one of its sweeps, or the "
                    "folder of another run"
                )
        elif not source.searches:
            raise ValueError(
                f"sweep {spaces.quoted(source.name)} finds nothing: its recipe {spaces.quoted(source.recipe[0])} takes "
                "architectures that are given; expected a sweep whose recipe searches"
            )
        elif not all(source.resolved(source.tasks[0], name).finds for name in source.recipe):
            raise ValueError(
                f"sweep {spaces.quoted(source.name)} finds no architectures: its recipe trains the weights of a "
                f"supernet, which other sweeps use with weights = {spaces.quoted(source.name)}; expected a sweep whose "
                "recipe finds an architecture, as rlnas"
            )
        elif source.space != sweep.space:
            raise ValueError(
                f"sweep {spaces.quoted(source.name)} searches the space {source.space}, and this one is of the space "
                f"{sweep.space}; expected the same space"
            )

    def searched(self, sweep: Sweep) -> tuple[Sweep | str, ...]:
        """The sweeps whose searches find the architectures of this one, and the folders of runs; none if it has others.

        ValueError for a folder that cannot be used.
        """
        named = {other.name: other for other in self.sweeps if other.name}
        return tuple(
            named.get(found) or (check_place(found) if "/" in found else found)
            for found in sweep.architectures.found or ()
        )

    def at(self, data_root: str) -> Self:
        """This study with another data_root; unchanged where none is given."""
        if not data_root:
            return self
        try:
            return self.model_copy(update={"data_root": check_disk_path(data_root)})
        except ValueError as error:
            raise ValueError(f"--data-root {spaces.quoted(scrub(data_root))}: {error}") from None

    def looking_up(self, table: str, measured: str = "") -> Self:
        """This study with results of a table in place of trainings: every sweep that trains single architectures looks
        up their mean over the table's seeds (docs/rehearsal.md).  Unchanged where no table is given.

        `measured` is the recipe of the table; without it the table must have one only.  ValueError where no sweep
        trains, or where weights of a training are needed, which no table has.
        """
        if not table:
            return self
        sweeps, changed = [], False
        for sweep in self.sweeps:
            methods = {sweep.resolved(sweep.tasks[0], name).method for name in sweep.recipe}
            if methods != {"train"}:
                sweeps.append(sweep)
                continue
            if any(other.weights == sweep.name for other in self.sweeps if other.weights):
                raise ValueError(
                    f"--lookup: other sweeps use the weights of sweep {spaces.quoted(sweep.name)}, and a table has "
                    "none; train it, or leave those sweeps out"
                )
            changed = True
            values = sweep.model_dump(
                exclude_none=True, exclude_defaults=True, mode="json", exclude={"recipe", "override"}
            )
            recipe = f"lookup/{measured}" if measured else "lookup"
            looked_up = {"recipe": recipe, "override": {"table": table, "mean": True}, "seeds": [1]}
            sweeps.append(Sweep.model_validate(values | looked_up))
        if not changed:
            raise ValueError("--lookup: no sweep of this study trains single architectures; nothing can be looked up")
        return self.model_copy(update={"sweeps": tuple(sweeps)})

    def root_of(self, choice: DatasetChoice | GeneratedDataset) -> Path | None:
        """The folder in which a dataset is searched: its path, else the study's data_root; None if it is generated.

        For a custom dataset it is the folder of its files; below data_root that is the folder of its name.
        """
        if isinstance(choice, GeneratedDataset):
            return None
        root = choice.path or self.data_root
        if root and choice.source and not choice.path:
            root = os.path.join(root, choice.name)
        return Path(root).expanduser() if root else None


def presets() -> list[str]:
    """The names of the studies that the package contains."""
    return sorted(p.name.removesuffix(".toml") for p in PRESETS.iterdir() if p.name.endswith(".toml"))


def load(name: str) -> Study:
    """The study of a TOML file or of a preset; ValueError names the place and the error."""
    if name in presets():
        return parse((PRESETS / f"{name}.toml").read_text(), f"preset {name}")
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        path = path / "study.toml"
    if not path.is_file():
        raise FileNotFoundError(
            f"no study {spaces.quoted(name)}: there is no such file, and the presets are {', '.join(presets())}"
        )
    return parse(_text(path), str(path), folder=path.parent)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a valid study: TOML is UTF-8 text, and {error}") from None


def tables(text: str, where: str) -> dict[str, Any]:
    """TOML as plain values; ValueError naming `where` for text that is not valid."""
    text = text.removeprefix("\ufeff")  # the byte order mark that some editors write
    if found := _LONG_KEY.search(text):
        raise ValueError(
            f"{where} is not valid TOML for a study: a key of more than 20 parts, {spaces.quoted(found[0])}"
        )
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{where} is not valid TOML for a study: its values are nested too deep") from None
    except ValueError as error:  # TOMLDecodeError, and integers longer than Python reads
        raise ValueError(f"{where} is not valid TOML: {error}") from None


def parse(text: str, where: str, folder: Path | None = None) -> Study:
    """The study of a TOML text; `where` names it in errors, `file =` entries are relative to `folder`."""
    values = tables(text, where)
    for sweep in values.get("sweeps", []) if isinstance(values.get("sweeps"), list) else []:
        named = sweep.get("architectures", {}) if isinstance(sweep, dict) else {}
        if folder and isinstance(named, dict) and isinstance(named.get("file"), str) and "\0" not in named["file"]:
            named["file"] = str(folder / os.path.expanduser(named["file"]))
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"{where}:\n{explain(error)}") from None


def explain(error: ValidationError) -> str:
    """One line per mistake: the path to the key, what is wrong, what was given."""
    lines = []
    mistakes = error.errors(include_url=False)
    inner = {m["loc"][:k] for m in mistakes for k in range(len(m["loc"]))}
    # For a list with invalid items pydantic also reports that it is too short.
    mistakes = [m for m in mistakes if m["type"] != "too_short" or m["loc"] not in inner]
    for mistake in mistakes[:_MISTAKES]:
        steps = [
            str(k) for k, before in zip(mistake["loc"], ("", *mistake["loc"]), strict=False) if not _tag(k, before)
        ]
        where = re.sub(r"\.(\d+)", r"[\1]", ".".join(spaces.quoted(k)[1:-1] for k in steps))
        text = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            text = f"unknown key; known here: {', '.join(_known_keys(mistake['loc']))}"
        elif mistake["type"] != "missing" and not isinstance(mistake["input"], dict):
            given = mistake["input"]
            text += f" (given: {spaces.quoted(scrub(given) if isinstance(given, str) else given)})"
        # A mistake in how sweeps refer to each other names the place itself.
        lines.append(f"  {text}" if not where and text.startswith("sweeps[") else f"  {where or 'study'}: {text}")
    if len(mistakes) > _MISTAKES:
        lines.append(f"  and {len(mistakes) - _MISTAKES:,} more")
    return "\n".join(lines)


def _tag(step: int | str, before: int | str) -> bool:
    return before == "dataset" and step in DATASETS


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """The known keys of the table that contains an unknown key."""
    model: type[BaseModel] = Study
    inner: dict[str, type[BaseModel]] = {
        "sweeps": Sweep,
        "execution": Execution,
        "architectures": Architectures,
        **DATASETS,
    }
    for step in loc[:-1]:
        model = inner.get(str(step), model)
    return list(model.model_fields)
