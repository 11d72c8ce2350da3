"""Parts of a study file: which architectures, and which dataset in which form."""

import os
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

import spaces
from workers import datasets, files
from workers.datasets import SIDES, Source
from workers.scrub import LOGIN


def check_place(path: str) -> str:
    """A path or URL that can be opened as it stands, in its one spelling."""
    return files.place(_checked(path))


def check_disk_path(path: str) -> str:
    """A path on a disk that can be opened as it stands, in its one spelling."""
    return files.disk_path(_checked(path))


def _checked(path: str) -> str:
    if "\0" in path:
        raise ValueError("a path holds no NUL character")
    if path.startswith("~") and os.path.expanduser(path).startswith("~"):
        raise ValueError("there is no such user's home folder")
    if LOGIN.search(path):
        raise ValueError("a path holds no login: give that in the environment, where no file of the run keeps it")
    return path


Place = Annotated[str, AfterValidator(check_place)]
DiskPath = Annotated[str, AfterValidator(check_disk_path)]


class Part(BaseModel):
    """Frozen and checked; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Architectures(Part):
    """Which architectures: `sample` of them drawn from the space, a `file` with one a line, or a `list`."""

    sample: int | None = Field(None, ge=1, le=1_000_000, description="number of distinct architectures to draw")
    seed: int = Field(0, ge=0, lt=2**63, description="of the draw; the first n of a longer draw are the same n")
    min_params: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="draw only networks with at least so many parameters (CIFAR-10 classification size)",
    )
    file: DiskPath | None = Field(None, description="a text file, one architecture a line; # begins a comment")
    list: tuple[str, ...] | None = Field(None, strict=False, min_length=1)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [k for k in ("sample", "file", "list") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of sample, file, list; given: {', '.join(given) or 'none'}")
        if given != ["sample"] and {"seed", "min_params"} & self.model_fields_set:
            raise ValueError(f"seed and min_params belong to a sample, not to a {given[0]}")
        return self


class DatasetChoice(Part):
    """A dataset by name, the folder it lies in where that is not under the study's data_root, and which form of it.

    Mode, fraction, short_side and skip_broken are for images of many sizes, and part of every trial's identity.
    """

    name: str
    path: DiskPath | None = None
    mode: Literal["exact", "array"] = Field(
        "exact", description="decode original files in every epoch, as the papers do, or once a node and for all"
    )
    fraction: float = Field(1.0, gt=0, le=1, description="of the training images, equally of each class")
    short_side: int = Field(256, ge=SIDES[0], le=SIDES[1], description="pixels that mode array keeps of an image")
    skip_broken: bool = Field(False, description="leave out images that cannot be decoded, instead of stopping")

    @property
    def choice(self) -> datasets.Form:
        """The form of the dataset."""
        return datasets.Form(self.mode, self.fraction, self.short_side, self.skip_broken)

    @property
    def source(self) -> Source | None:
        """Where the files of a dataset of one's own lie and how they are seen; None where the name says all."""
        return None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.choice == datasets.Form():
            return self
        if self.source.size <= 64 if self.source else self._is_small():
            raise ValueError(
                f"{self.name} has one form only: mode, fraction, short_side and skip_broken are for images of many "
                "sizes, as imagenet's are, and for datasets of one's own above 64 px"
            )
        return self

    def _is_small(self) -> bool:
        return self.name in datasets.names() and datasets.get(self.name).large is None


class OwnDataset(DatasetChoice, Source):
    """A dataset of one's own: besides where its files lie (`path`, else the folder of its name in data_root), what they
    are and at which size they are seen.  Those of more than 64 px have the forms of ImageNet.
    """

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,39}$", description="a small letter, then small letters, digits and underscores"
    )

    @property
    def source(self) -> Source:
        """The part that workers need."""
        return Source(**{key: getattr(self, key) for key in Source.model_fields})

    @model_validator(mode="after")
    def _new(self) -> Self:
        if self.name in datasets.names():
            raise ValueError(f"there is a dataset {spaces.quoted(self.name)} already; give yours another name")
        return self


def _kind(value: object) -> str:
    """A key that only a dataset of one's own has says that it is one."""
    its = Source.model_fields.keys()
    return "own" if isinstance(value, OwnDataset) or (isinstance(value, dict) and value.keys() & its) else "known"


AnyDataset = Annotated[Annotated[DatasetChoice, Tag("known")] | Annotated[OwnDataset, Tag("own")], Discriminator(_kind)]
DATASETS: dict[str, type[Part]] = {
    "known": DatasetChoice,
    "own": OwnDataset,
}  # their keys are steps of an error's path, which nobody wrote
