"""Where the files of a published dataset lie: the original ones, or Parquet files as hubs keep them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.datasets._dataset import SPLITS, SplitName
from workers.datasets._parquet import shards


@dataclass(frozen=True)
class Originals:
    """What to look for in `data_root/<name>` or `data_root`."""

    name: str  # of the dataset, and of its folder
    folder: str  # that holds the original files; "." for none of their own
    files: Mapping[SplitName, Sequence[str]]
    layouts: tuple[str, ...]  # folders of Parquet files
    download: bool = True  # whether `prepare --download` can fetch them
    test: str = "test"  # how the names of the test split's Parquet files begin

    def locate(self, root: Path | None) -> tuple[bool, dict[SplitName, list[Path]]]:
        """Whether the files are the original ones, and those of each split in order; FileNotFoundError without any.

        Original files where both are there: the original before a copy.  They need not all be there.
        """
        if root is None:
            raise FileNotFoundError(f"{self.name} needs data_root: a folder that holds {self.name}/, or is that folder")
        for base in (root / self.name, root):
            folder = base if base.name == self.folder else base / self.folder
            paths: dict[SplitName, list[Path]] = {s: [folder / name for name in self.files[s]] for s in SPLITS}
            if folder.is_dir() and (self.folder != "." or any(p.exists() for s in SPLITS for p in paths[s])):
                return True, paths
            if found := self._parquet(base):
                return False, found
        original = f"{self.folder}/" if self.folder != "." else " and ".join(n for s in SPLITS for n in self.files[s])
        also = f" (here or in {' or '.join(self.layouts[1:])})" if self.layouts[1:] else ""
        fetch = f"`archsweep prepare {self.name} --data-root FOLDER --download` fetches it"
        raise FileNotFoundError(
            f"no {self.name} at {root} or {root / self.name}: neither {original} nor train*.parquet and "
            f"{self.test}*.parquet{also}. "
            + (fetch if self.download else "It is not fetched by archsweep: put it there yourself")
        )

    def every(self, root: Path | None) -> tuple[Path, ...]:
        """The files of both splits; FileNotFoundError without any."""
        _, files = self.locate(root)
        return tuple(path for split in SPLITS for path in files[split])

    def _parquet(self, base: Path) -> dict[SplitName, list[Path]] | None:
        for layout in self.layouts:
            prefix: dict[SplitName, str] = {"train": "train", "test": self.test}
            found: dict[SplitName, list[Path]] = {s: shards(base / layout, prefix[s]) for s in SPLITS}
            if all(found.values()):
                return found
            if any(found.values()):
                absent = next(prefix[split] for split in SPLITS if not found[split])
                raise FileNotFoundError(f"{base / layout} holds no {absent}*.parquet; {self.name} needs both splits")
        return None


def complete(files: Sequence[Path], split: SplitName, md5: Mapping[str, str]) -> None:
    """FileNotFoundError naming an original file that is missing, ValueError one that is not the original."""
    from torchvision.datasets.utils import check_integrity

    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file} ({split}) is missing from the original archive's files")
        if file.name in md5 and not check_integrity(str(file), md5[file.name]):
            raise ValueError(
                f"{file} ({split}) is not the original: its MD5 differs from {md5[file.name]}; copy it again"
            )
