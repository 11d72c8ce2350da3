"""Parts of a study file: architectures, the dataset in one of its forms, how trials are run."""

import os
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_serializer,
    field_validator,
    model_validator,
)

import spaces
from workers import datasets, paths
from workers.datasets import SIDES, Scenes, Source
from workers.scrub import LOGIN


def check_place(path: str) -> str:
    """A path or URL in its normal spelling; ValueError where it cannot be used."""
    return paths.place(_checked(path))


def check_disk_path(path: str) -> str:
    """A path on a disk in its normal spelling; ValueError where it cannot be used."""
    return paths.disk_path(_checked(path))


def _checked(path: str) -> str:
    if "\0" in path:
        raise ValueError("a path must not contain a NUL character")
    if path.startswith("~") and os.path.expanduser(path).startswith("~"):
        raise ValueError("this user's home folder does not exist")
    if LOGIN.search(path):
        raise ValueError("a path must not contain a login: give it in the environment, which no file of the run stores")
    return path


FILES = ("folder", "parquet")  # the kinds of custom datasets that have files
CUSTOM_NAME = r"^[a-z][a-z0-9_]{0,39}$"
_NAMED = "a small letter, then small letters, digits and underscores"
Place = Annotated[str, AfterValidator(check_place)]
DiskPath = Annotated[str, AfterValidator(check_disk_path)]


class Part(BaseModel):
    """Base class: frozen and strictly checked, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class Architectures(Part):
    """Which architectures: a `sample` of the space, a `file` with one per line, a `list`, `all` of them, published ones
    that are `named`, or what searches `found`.

    A sweep whose recipe searches has none: there, all keys are unset.
    """

    sample: int | None = Field(None, ge=1, le=1_000_000, description="number of distinct architectures to draw")
    seed: int = Field(0, ge=0, lt=2**63, description="of the draw; the first n of a longer draw are the same n")
    min_params: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="draw only networks with at least this many parameters (counted for CIFAR-10 classification)",
    )
    file: DiskPath | None = Field(None, description="a text file, one architecture per line; # begins a comment")
    list: tuple[str, ...] | None = Field(None, strict=False, min_length=1)
    all: Literal[True] | None = Field(None, description="every text of a space that can be listed")
    named: tuple[str, ...] | None = Field(None, strict=False, min_length=1, description="published ones, by name")
    found: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None,
        strict=False,
        min_length=1,
        description="what the searches of a sweep (its name) or of another run (its folder) found, or of several",
    )

    @field_validator("found", mode="before")
    @classmethod
    def _one_search(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("found")
    @classmethod
    def _named_once(cls, found: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if found and len(set(found)) < len(found):
            raise ValueError(f"{spaces.quoted(list(found))} names one twice")
        return found

    @field_serializer("found")
    def _as_in_files(self, found: tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        return found[0] if found and len(found) == 1 else found

    @property
    def given(self) -> str | None:
        """The key that says which; None for a sweep that searches."""
        return next(iter(self._given()), None)

    def _given(self) -> tuple[str, ...]:
        return tuple(k for k in _SOURCES if getattr(self, k) is not None)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = self._given()
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_SOURCES)}; given: {', '.join(given) or 'none'}")
        if given != ("sample",) and {"seed", "min_params"} & self.model_fields_set:
            raise ValueError(f"seed and min_params belong to a sample, not to {given[0]}")
        return self


_SOURCES = ("sample", "file", "list", "all", "named", "found")
NONE = Architectures.model_construct()  # of a sweep that searches


AnySource = Source | Scenes  # files, or one of the generators


class DatasetChoice(Part):
    """A dataset: its name, its folder where that is not below the study's data_root, and its form.

    mode, fraction, short_side and skip_broken are for images of many sizes, and part of every trial's identity.
    """

    name: str
    path: DiskPath | None = None
    mode: Literal["exact", "array"] = Field(
        "exact",
        description="exact: decode the files in every epoch, as the papers do; array: decode them once per node",
    )
    fraction: float = Field(1.0, gt=0, le=1, description="share of the training images, equal for each class")
    short_side: int = Field(
        256, ge=SIDES[0], le=SIDES[1], description="pixels of the shorter side of an image in mode array"
    )
    skip_broken: bool = Field(False, description="leave out images that cannot be decoded, instead of failing")

    @property
    def choice(self) -> datasets.Form:
        """The form of the dataset."""
        return datasets.Form(self.mode, self.fraction, self.short_side, self.skip_broken)

    @property
    def source(self) -> AnySource | None:
        """The files of a custom dataset and how they are read; None for a dataset that is known by its name."""
        return None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.choice == datasets.Form():
            return self
        if self.source.size <= 64 if self.source else self._is_small():
            raise ValueError(
                f"{self.name} has one form only: mode, fraction, short_side and skip_broken are for images of many "
                "sizes, such as imagenet's, and for custom datasets above 64 px"
            )
        return self

    def _is_small(self) -> bool:
        return self.name in datasets.names() and datasets.get(self.name).large is None


def _check_new(name: str) -> None:
    if name in datasets.names():
        raise ValueError(f"there is a dataset {spaces.quoted(name)} already; give the custom one another name")


class OwnDataset(DatasetChoice, Source):
    """A custom dataset: the folder of its files (`path`, else the folder of its name in data_root), their kind, and the
    size of the images.  Those of more than 64 px have the forms of ImageNet.
    """

    name: str = Field(pattern=CUSTOM_NAME, description=_NAMED)

    @property
    def source(self) -> Source:
        """The keys that workers need."""
        return Source(**{key: getattr(self, key) for key in Source.model_fields})

    @field_validator("kind", mode="before")
    @classmethod
    def _known_kind(cls, kind: object) -> object:
        kinds = *FILES, *_GENERATED
        if kind not in FILES:
            raise ValueError(f"not a kind of dataset; expected {', '.join(kinds[:-1])} or {kinds[-1]}")
        return kind

    @model_validator(mode="after")
    def _new(self) -> Self:
        _check_new(self.name)
        return self


class GeneratedDataset(Part):
    """A dataset whose images are drawn from the numbers given here; it has no files and one form."""

    name: str = Field(pattern=CUSTOM_NAME, description=_NAMED)

    @property
    def path(self) -> None:
        """None: there are no files."""
        return

    @property
    def choice(self) -> datasets.Form:
        """The only form."""
        return datasets.Form()

    @model_validator(mode="after")
    def _new(self) -> Self:
        _check_new(self.name)
        return self


class ScenesDataset(GeneratedDataset, Scenes):
    """Drawn scenes."""

    kind: Literal["scenes"]  # no default: a study that is stored without default values must keep it

    @property
    def source(self) -> Scenes:
        """The keys that workers need."""
        return Scenes(**{key: getattr(self, key) for key in Scenes.model_fields})


_GENERATED: dict[str, type[GeneratedDataset]] = {"scenes": ScenesDataset}  # by kind


def _kind(value: object) -> str:
    """The kind of a dataset: generated by its `kind`, else custom if it has a key that only custom datasets have."""
    if isinstance(value, GeneratedDataset):
        return next(kind for kind, model in _GENERATED.items() if isinstance(value, model))
    if isinstance(value, OwnDataset):
        return "own"
    if not isinstance(value, dict):
        return "known"
    if isinstance(kind := value.get("kind"), str) and kind in _GENERATED:
        return kind
    return "own" if value.keys() & Source.model_fields.keys() else "known"


AnyDataset = Annotated[
    Annotated[DatasetChoice, Tag("known")]
    | Annotated[OwnDataset, Tag("own")]
    | Annotated[ScenesDataset, Tag("scenes")],
    Discriminator(_kind),
]
DATASETS: dict[str, type[Part]] = {
    "known": DatasetChoice,
    "own": OwnDataset,
    **_GENERATED,
}  # the tags are steps of pydantic's error paths that are not in the file


class Execution(Part):
    """How trials are run; not part of a trial's identity."""

    engine: Literal["tune", "inline"] = Field("tune", description="Ray Tune, or one by one in this process")
    gpus_per_trial: float | None = Field(
        None,
        ge=0,
        description="GPUs per trial, of one machine; a fraction shares one; default 1 where there are GPUs, else 0",
    )
    cpus_per_trial: float = Field(1, gt=0, description="CPU cores per trial")
    max_concurrent: int | None = Field(
        None, ge=1, le=1_000_000, description="trials at a time; default: what resources allow"
    )
    trial_timeout_s: float = Field(
        86_400,
        gt=0,
        le=366 * 86_400,
        description="seconds after which an attempt is killed and counted as timed out (engine tune)",
    )
    checkpoint_s: float = Field(60, ge=0, description="seconds between checkpoints of one training")
    cache_dir: DiskPath | None = Field(
        None, description="folder of prepared arrays on each node; default ~/.cache/archsweep"
    )
    cuda_graphs: bool = Field(
        True, description="replay training steps on GPUs as CUDA graphs; same numbers, less waiting"
    )
    keep_checkpoints: bool = Field(False, description="keep each trial's folder (log, checkpoint) after success")
    loggers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = Field(
        (), strict=False, description="show curves of running trials there (engine tune)"
    )

    @field_validator("gpus_per_trial")
    @classmethod
    def _schedulable(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError(f"more than one GPU must be a whole number, or a fraction below 1; given {gpus}")
        return gpus
