"""Finds the files of a published dataset: the original ones, or Parquet files as on dataset hubs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from workers.data.dataset import IncompleteError
from workers.data.image_types import SPLITS, SplitName
from workers.data.parquet import shards


@dataclass(frozen=True)
class PublishedFiles:
    """The files to look for in `data_root/<name>` or `data_root`."""

    name: str  # of the dataset, and of its folder
    folder: str  # of the original files; "." if they lie directly in the dataset's folder
    files: Mapping[SplitName, Sequence[str]]
    layouts: tuple[str, ...]  # folders in which Parquet files may lie
    download: bool = True  # whether `prepare --download` can fetch them
    test: str = "test"  # how the names of the test split's Parquet files begin

    def locate(self, root: Path | None) -> tuple[bool, dict[SplitName, list[Path]]]:
        """Whether the files are the original ones, and the files of each split in order; FileNotFoundError without any.

        Original files are preferred to Parquet files if both are complete.  IncompleteError if neither is complete and
        some files exist.
        """
        if root is None:
            raise FileNotFoundError(
                f"{self.name} needs data_root: a folder that contains {self.name}/, or is that folder"
            )
        for base in (root / self.name, root):
            folder = base if base.name == self.folder else base / self.folder
            paths: dict[SplitName, list[Path]] = {s: [folder / name for name in self.files[s]] for s in SPLITS}
            every = [path for split in SPLITS for path in paths[split]]
            missing = [path for path in every if not path.is_file()]
            if not missing:
                return True, paths
            if found := self._parquet(base):
                return False, found
            if len(missing) < len(every) or (self.folder != "." and folder.is_dir()):
                also = f" and {len(missing) - 1} more of {len(every)}" if missing[1:] else ""
                raise IncompleteError(
                    f"{missing[0]}{also} is missing from the original archive's files of {self.name}: copy or unpack "
                    "all of them"
                )
        original = f"{self.folder}/" if self.folder != "." else " and ".join(n for s in SPLITS for n in self.files[s])
        also = f" (here or in {' or '.join(self.layouts[1:])})" if self.layouts[1:] else ""
        fetch = f"`archsweep prepare {self.name} --data-root FOLDER --download` downloads it"
        raise FileNotFoundError(
            f"no {self.name} at {root} or {root / self.name}: neither {original} nor train*.parquet and "
            f"{self.test}*.parquet{also}. "
            + (fetch if self.download else "archsweep cannot download it: put it there yourself")
        )

    def all_files(self, root: Path | None) -> tuple[Path, ...]:
        """The files of both splits; FileNotFoundError without any."""
        _, files = self.locate(root)
        return tuple(path for split in SPLITS for path in files[split])

    def _parquet(self, base: Path) -> dict[SplitName, list[Path]] | None:
        for layout in self.layouts:
            prefix: dict[SplitName, str] = {"train": "train", "test": self.test}
            try:
                found: dict[SplitName, list[Path]] = {s: shards(base / layout, prefix[s]) for s in SPLITS}
            except FileNotFoundError as error:  # shards of a split are missing
                raise IncompleteError(str(error)) from error
            if all(found.values()):
                return found
            if any(found.values()):
                absent = next(prefix[split] for split in SPLITS if not found[split])
                raise IncompleteError(f"{base / layout} holds no {absent}*.parquet; {self.name} needs both splits")
        return None


def check_complete(files: Sequence[Path], split: SplitName, md5: Mapping[str, str]) -> None:
    """FileNotFoundError naming a missing original file; ValueError naming one with another checksum."""
    from torchvision.datasets.utils import check_integrity

    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file} ({split}) is missing from the original archive's files")
        if file.name in md5 and not check_integrity(str(file), md5[file.name]):
            raise ValueError(
                f"{file} ({split}) is not the original: its MD5 differs from {md5[file.name]}; copy it again"
            )


@contextmanager
def download_errors(name: str, folder: Path, addresses: Sequence[str], md5: Mapping[str, str]) -> Iterator[None]:
    """Context of torchvision's download into `folder`: a failure becomes an OSError with address, folder and reason.

    `md5` has the checksum of each downloaded file; an existing file with another checksum is named.
    """
    from torchvision.datasets.utils import check_integrity

    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and not isinstance(error, URLError) and error.filename is not None:
            raise  # the folder cannot be written; the message already names it
        reason = " ".join(str(error.reason if isinstance(error, URLError) else error).split())
        damaged = [
            f for f in (folder / file for file in md5) if f.is_file() and not check_integrity(str(f), md5[f.name])
        ]
        also = f"; {damaged[0]} lies there, but its MD5 is not {md5[damaged[0].name]}" if damaged else ""
        raise OSError(
            f"{name} cannot be fetched from {' or '.join(addresses)}: {reason}{also}; put {', '.join(md5)} into "
            f"{folder} yourself, then call this again"
        ) from error
