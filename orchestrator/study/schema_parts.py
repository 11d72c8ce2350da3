"""Parts of a study file: architectures, and the dataset in one of its forms."""

import os
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

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


class Architectures(Part):
    """Which architectures: a `sample` of the space, a `file` with one per line, a `list`, or `all` of them."""

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

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [k for k in ("sample", "file", "list", "all") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of sample, file, list, all; given: {', '.join(given) or 'none'}")
        if given != ["sample"] and {"seed", "min_params"} & self.model_fields_set:
            raise ValueError(f"seed and min_params belong to a sample, not to {given[0]}")
        return self


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
