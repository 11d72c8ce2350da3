"""The storage of a campaign's runs and its failures: a full disk, an unavailable object store."""

import contextlib
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class Place(Protocol):
    """Runs lie below it, until `end`."""

    fault: str  # the kind of its failing

    def url(self, number: int) -> str:
        """The URL of a round's run."""

    def failing(self) -> contextlib.AbstractContextManager[None]:
        """Take no writes for a while."""

    def keep(self, number: int, folder: Path) -> None:
        """Move a round's run where a person can look at it."""

    def end(self) -> None:
        """Take it down."""


class MissingError(RuntimeError):
    """This place cannot be had on this machine; the message says why."""


class Disk:
    """A small disk of its own."""

    fault = "disk"

    def __init__(self, at: Path) -> None:
        self.at = at
        at.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(at)]
        try:
            mounted = subprocess.run(mount, capture_output=True, text=True)
        except OSError as error:
            raise MissingError(f"no disk can be mounted here: {error}") from None
        if mounted.returncode:
            raise MissingError(f"no disk can be mounted here: {mounted.stderr.strip()}")

    def url(self, number: int) -> str:
        return str(self.at / f"run-{number}")

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Not a byte is left."""
        ballast = self.at / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (2**20, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size) == size:
                        pass
        try:
            yield
        finally:
            ballast.unlink()

    def keep(self, number: int, folder: Path) -> None:
        shutil.copytree(self.url(number), folder / "run")
        shutil.rmtree(self.url(number))

    def end(self) -> None:
        subprocess.run(["umount", "-l", str(self.at)], check=True)


class Folder:
    """A place that never fails, where no other can be had."""

    fault = ""

    def __init__(self, at: Path) -> None:
        self.at = at

    def url(self, number: int) -> str:
        return str(self.at / f"run-{number}")

    def failing(self) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError

    def keep(self, number: int, folder: Path) -> None:
        """It stays where it is."""

    def end(self) -> None:
        """Nothing to take down."""


class Bucket:
    """An object store of this process on the loopback interface."""

    fault = "endpoint"

    def __init__(self) -> None:
        try:
            import fsspec
            import s3fs  # noqa: F401

            from tests.orchestrator.s3 import S3, environment
        except ImportError as error:
            raise MissingError(f"no object store can be had here: {error}") from None
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = S3()
        self._server.start()
        os.environ.update(environment(self._server))
        fsspec.filesystem("s3").mkdir("soak")

    def url(self, number: int) -> str:
        return f"s3://soak/runs/run-{number}"

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Connections are refused; the objects are kept."""
        self._server.stop()
        try:
            yield
        finally:
            self._server.start()
            time.sleep(0.2)  # until it listens

    def keep(self, number: int, folder: Path) -> None:
        import fsspec

        fsspec.filesystem("s3").get(self.url(number), str(folder / "run"), recursive=True)

    def end(self) -> None:
        self._server.stop()


def places(folder: Path) -> tuple[list[Place], list[str]]:
    """The places that can be had here, and what cannot, with the reason."""
    found: list[Place] = []
    missing = []
    for make in (lambda: Disk(folder / "disk"), Bucket):
        try:
            found.append(make())
        except MissingError as error:
            missing.append(str(error))
    return found or [Folder(folder / "runs")], missing
