"""Atomic writing and reading of whole files, on local and shared disks and on object stores.

A path is local or any URL that fsspec knows (workers/paths.py).  On a local (or shared) disk a file is written to a
temporary name in the same folder and renamed.  On an object store one PUT is atomic and a rename is not, so the object
is put directly.

Every failure of the storage is an OSError that names the file, also for stores with their own exceptions.
"""

import contextlib
import logging
import os
import secrets
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from workers.paths import filesystem, is_local, is_s3

T = TypeVar("T")
log = logging.getLogger(__name__)
WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)  # between attempts, in addition to the retries of a store's client
_CHANGED = (409, 412)  # HTTP: the condition of a request no longer holds


@contextlib.contextmanager
def _named(url: str) -> Iterator[None]:
    """Convert exceptions of a store to an OSError of the same kind that names the file."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        kind = type(error) if isinstance(error, FileNotFoundError | FileExistsError | PermissionError) else OSError
        raise kind(f"{url}: {error}") from error
    except ValueError:
        raise  # of a reader: the content is wrong, the storage is fine
    except Exception as error:
        raise OSError(f"{url}: {type(error).__name__}: {error}") from error


def with_retries(action: Callable[[], T], what: str, errors: tuple[type[Exception], ...] = (OSError,)) -> T:
    """The result of `action()`, repeated after increasing waits (`WAITS_S`) while it raises one of `errors`.

    The error of the last attempt is raised.
    """
    for wait in WAITS_S:
        try:
            return action()
        except errors as error:
            log.warning("%s: %s; trying again", what, error)
            time.sleep(wait)
    return action()


def publish(url: str, data: bytes) -> None:
    """Write a whole file atomically: a reader sees the old content or the new content, never a part."""
    fs, path = filesystem(url)
    if not is_local(fs):
        with _named(url):
            fs.pipe_file(path, data)
        return
    temporary = _beside(path, data)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def publish_local(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a whole file on a local disk by calling `write`; a reader sees all of it or nothing, also after a crash."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        _write_synced(draft, write)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _write_synced(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Create a file and wait until its content is on the disk."""
    with open(path, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _beside(path: str, data: bytes) -> str:
    """Write the data to a new file in the folder of a local path and sync it to the disk; returns its name."""
    folder = os.path.dirname(path)
    _make_folder(folder)
    # Readers of a folder of rows ignore names with a leading underscore.
    temporary = os.path.join(folder, f"_{uuid.uuid4().hex}.tmp")
    try:
        _write_synced(temporary, lambda file: file.write(data))
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, path) from error  # the error of a full disk has no file name
        raise
    return temporary


def _make_folder(folder: str) -> None:
    """Make a folder and those above it.

    Who may write a folder may write those made inside it: people who share a run's folder share all of it.
    """
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    _make_folder(parent)
    try:
        os.mkdir(folder)
    except FileExistsError:
        if os.path.isdir(folder):
            return  # created by another process meanwhile
        raise
    _open_as(parent, folder)


def _open_as(folder: str, path: str) -> None:
    """Give a new file or folder the group and write permissions of the folder that contains it."""
    shared, ours = os.stat(folder), os.stat(path)
    if shared.st_mode & stat.S_ISVTX:  # sticky, as /tmp: users may not replace the files of others
        return
    wanted = shared.st_mode & stat.S_IWOTH
    with contextlib.suppress(OSError):  # some file systems support neither groups nor modes
        if shared.st_mode & stat.S_IWGRP:
            if ours.st_gid != shared.st_gid:
                os.chown(path, -1, shared.st_gid)  # fails for a group of which this user is not a member
            wanted |= stat.S_IWGRP
    mode = stat.S_IMODE(ours.st_mode)
    if mode | wanted != mode:
        with contextlib.suppress(OSError):
            os.chmod(path, mode | wanted)


def create(url: str, data: bytes) -> bool:
    """Write a file that does not exist yet; False if it exists.

    Of several concurrent calls exactly one succeeds: on disks by a hard link (on file systems without hard links, as
    `replace` does), on S3 by a conditional PUT (If-None-Match).  On other stores this depends on the exclusive write of
    their fsspec implementation.
    """
    fs, path = filesystem(url)
    if is_local(fs):
        temporary = _beside(path, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # exFAT, many SMB and FUSE mounts
            return _replaced(url, path, data, None)
        finally:
            os.unlink(temporary)
        return True
    try:
        with _named(url):
            fs.pipe_file(path, data, mode="create")
    except OSError as error:
        if _refused(error):
            return read(url) == data  # the client may have repeated a PUT that had succeeded
        raise
    return True


def replace(url: str, data: bytes, expected: bytes) -> bool:
    """Replace a file that has the expected content; False if its content is different or the file is gone.

    Of several concurrent calls exactly one succeeds: on disks by a lock (if the file system supports locks), on S3 by a
    conditional PUT (If-Match).  On other stores the last writer wins and the others notice it shortly afterwards,
    so two may overlap for a moment.
    """
    fs, path = filesystem(url)
    if not is_s3(fs):
        return _replaced(url, path if is_local(fs) else None, data, expected)
    try:
        with _named(url):
            tag = fs.info(path)["ETag"]  # read before the content: if the content is newer, the condition fails
            if _whole(fs, path) != expected:
                return False
            fs.pipe_file(path, data, IfMatch=tag)
    except FileNotFoundError:
        return False
    except OSError as error:
        if _refused(error):
            return read(url) == data
        raise
    return True


def _replaced(url: str, path: str | None, data: bytes, expected: bytes | None) -> bool:
    """Write a file if its content is as expected (None: no file); `path` is given if it can be locked."""
    with _locked(path) as alone:
        if read(url) != expected:
            return False
        publish(url, data)
        if alone:
            return True
    time.sleep(0.2)
    return read(url) == data


def _refused(error: BaseException | None) -> bool:
    """Whether a conditional write failed because of its condition."""
    while error is not None:
        response = getattr(error, "response", None) or {}
        if isinstance(error, FileExistsError) or response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _CHANGED:
            return True
        error = error.__cause__
    return False


@contextlib.contextmanager
def _locked(path: str | None) -> Iterator[bool]:
    """Hold an exclusive lock for a path, among all processes and machines that share the file system's locks.

    Yields False if no lock is possible: some shared file systems have no locks, and the lock file of another user may
    not be accessible.
    """
    import fcntl

    descriptor = None if path is None else _lock_file(f"{path}.lock")
    if descriptor is None:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _lock_file(path: str) -> int | None:
    """A file descriptor of a lock file, which may belong to another user; None if it cannot be opened."""
    _make_folder(os.path.dirname(path))
    with contextlib.suppress(FileExistsError):
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        _open_as(os.path.dirname(path), path)
        return made
    for how in (os.O_RDWR, os.O_RDONLY):  # NFS locks need a file opened for writing, local locks do not
        with contextlib.suppress(PermissionError, FileNotFoundError):
            return os.open(path, how | os.O_CLOEXEC)
    return None


def read(url: str) -> bytes | None:
    """The content of a file, or None if it does not exist."""
    fs, path = filesystem(url)
    try:
        with _named(url):
            return _whole(fs, path)
    except FileNotFoundError:
        return None


def _whole(fs: Any, path: str) -> bytes:
    """The content of a file at one moment; on S3 by a single request, where s3fs would make two or more."""
    data: bytes = fs.cat_file(path, **({"max_concurrency": 1} if is_s3(fs) else {}))
    return data


@contextlib.contextmanager
def opened(url: str) -> Iterator[Any]:
    """A file opened for reading parts of it, without read-ahead; FileNotFoundError if it does not exist."""
    fs, path = filesystem(url)
    with _named(url), fs.open(path, "rb", **({} if is_local(fs) else {"cache_type": "none"})) as file:
        yield file


def modified(url: str) -> float | None:
    """When a file was last written, in seconds by the clock of the storage; None if the storage does not tell.

    FileNotFoundError if the file does not exist.
    """
    fs, path = filesystem(url)
    with _named(url):
        fs.invalidate_cache()
        try:
            when = fs.modified(path)
        except NotImplementedError:
            return None
    return float(when.timestamp())


def remove(url: str) -> None:
    """Delete a file if it exists."""
    fs, path = filesystem(url)
    try:
        with _named(url):
            fs.rm_file(path)
    except FileNotFoundError:
        return


def remove_folder(url: str) -> None:
    """Delete a folder and its content if it exists."""
    fs, path = filesystem(url)
    try:
        with _named(url):
            fs.rm(path, recursive=True)
    except FileNotFoundError:
        return


def names(url: str) -> list[str]:
    """Sorted names of the files and folders in a folder; empty if the folder does not exist."""
    fs, path = filesystem(url)
    try:
        with _named(url):
            fs.invalidate_cache()
            return sorted(str(found).rstrip("/").rsplit("/", 1)[-1] for found in fs.ls(path, detail=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def exists(url: str) -> bool:
    """Whether the file exists."""
    fs, path = filesystem(url)
    with _named(url):
        return bool(fs.exists(path))
