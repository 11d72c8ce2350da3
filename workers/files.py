"""Whole files that appear at once or not at all, on local and shared disks and on object stores.

A path is local or any URL that fsspec knows.  On a local (or shared) disk a file is written beside its place and
renamed; on an object store one PUT is atomic and a rename is not, so the object is put directly.

Whatever goes wrong with the storage is an OSError that names the file, also where a store has errors of its own.
"""

import contextlib
import logging
import os
import re
import secrets
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import fsspec

T = TypeVar("T")
log = logging.getLogger(__name__)
WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)  # between tries, on top of what a store's own client tries
_CHANGED = (409, 412)  # HTTP: a conditional request came too late


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")


def place(text: str) -> str:
    """A path or URL in the one spelling that every reader understands alike; ValueError where it has none.

    fsspec and the operating system read `file:x` in two ways, so what could be either is refused.  `file:///x` becomes
    the path `/x`; all other URLs stay as they are.
    """
    found = _SCHEME.match(text)
    if found is None:
        if "://" in text:
            raise ValueError(f"{text}: a URL begins with its protocol, as in s3://bucket/folder")
        return text
    scheme, slashes = found.groups()
    rest = text[found.end() :]
    if scheme.lower() in ("file", "local"):
        if slashes and rest.startswith("/"):
            return "/" + rest.lstrip("/")
        raise ValueError(f"{text}: write the path alone, {rest or 'without a protocol'}")
    if scheme.lower() == "data":
        raise ValueError(f"{text}: a data URL holds no files")
    if not slashes:
        raise ValueError(
            f"{text} is no path and no URL: a URL has // after its colon; for a folder of that name write ./{text}"
        )
    if len(scheme) == 1:
        raise ValueError(f"{text}: {scheme}:// is no protocol; drives with letters are unknown here")
    return text


def disk_path(text: str) -> str:
    """A path on this machine's disks (a shared one too), in one spelling; ValueError for a URL of another kind."""
    found = place(text) if text.lower().startswith(("file://", "local://")) else text
    if _SCHEME.match(found) or "://" in found:
        raise ValueError(
            f"{text}: expected a path on a disk, without a protocol; a name that holds a colon is written ./{text}"
        )
    return found


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path inside it; local paths become absolute.

    Listings are never cached: other machines write the same folders.  ValueError where there is no such file system.
    """
    if "::" in url:
        raise ValueError(f"{url}: a chain of file systems (::) may cache or wrap what others write; name one place")
    where = os.path.expanduser(place(url))
    try:
        fs, path = fsspec.core.url_to_fs(where, use_listings_cache=False)
    except ImportError as error:
        scheme = url.partition("://")[0]
        raise ValueError(f"{url} cannot be reached: {error}; for s3:// install archsweep[{scheme}]") from None
    except Exception as error:  # each file system has its own way to refuse an address
        raise ValueError(f"{url}: its file system cannot be used here ({error})") from error
    return fs, path


def is_local(fs: Any) -> bool:
    """Whether the operating system's own file calls reach it."""
    return "file" in _protocols(fs)


def _is_s3(fs: Any) -> bool:
    return "s3" in _protocols(fs)


def _protocols(fs: Any) -> tuple[str, ...]:
    return tuple(fs.protocol) if isinstance(fs.protocol, tuple | list) else (fs.protocol,)


@contextlib.contextmanager
def _named(url: str) -> Iterator[None]:
    """Turns what a store raises into an OSError of the same kind that names the file."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        kind = type(error) if isinstance(error, FileNotFoundError | FileExistsError | PermissionError) else OSError
        raise kind(f"{url}: {error}") from error
    except ValueError:
        raise  # of a reader: the content is wrong, not the store
    except Exception as error:
        raise OSError(f"{url}: {type(error).__name__}: {error}") from error


def with_retries(action: Callable[[], T], what: str, errors: tuple[type[Exception], ...] = (OSError,)) -> T:
    """The action's value; one that the storage refuses is tried again for a while, then its OSError is raised.

    `errors` are those after which it is tried again.
    """
    for wait in WAITS_S:
        try:
            return action()
        except errors as error:
            log.warning("%s: %s; trying again", what, error)
            time.sleep(wait)
    return action()


def publish(url: str, data: bytes) -> None:
    """Write a whole file; a reader sees the old content or the new, never a part."""
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
    """Write the data to a new file beside a local path, safely on the disk; gives its name."""
    folder = os.path.dirname(path)
    _make_folder(folder)
    # The leading underscore hides it from every reader of a folder of rows.
    temporary = os.path.join(folder, f"_{uuid.uuid4().hex}.tmp")
    try:
        _write_synced(temporary, lambda file: file.write(data))
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, path) from error  # a full disk names no file
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
            return  # another process was faster
        raise
    _open_as(parent, folder)


def _open_as(folder: str, path: str) -> None:
    """Let those write a new file or folder who may write, and so replace anything in, the folder that it lies in."""
    shared, ours = os.stat(folder), os.stat(path)
    if shared.st_mode & stat.S_ISVTX:  # as in /tmp, where all may write but nobody may replace what another has
        return
    wanted = shared.st_mode & stat.S_IWOTH
    with contextlib.suppress(OSError):  # some disks have neither groups nor modes
        if shared.st_mode & stat.S_IWGRP:
            if ours.st_gid != shared.st_gid:
                os.chown(path, -1, shared.st_gid)  # a group that we are not in stays without: no other gets its rights
            wanted |= stat.S_IWGRP
    mode = stat.S_IMODE(ours.st_mode)
    if mode | wanted != mode:
        with contextlib.suppress(OSError):
            os.chmod(path, mode | wanted)


def create(url: str, data: bytes) -> bool:
    """Publish a file where there is none; False where there is one.

    Of several that try at once exactly one succeeds: on disks by a hard link (where the disk has none, as `replace`
    does), on S3 by a conditional PUT (If-None-Match).  Other stores are as good as the exclusive write of their fsspec
    implementation.
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
            return read(url) == data  # a PUT that was answered too late and sent again meets itself
        raise
    return True


def replace(url: str, data: bytes, expected: bytes) -> bool:
    """Publish a file in place of one with the expected content; False where that is no longer there.

    Of several that try at once exactly one succeeds: on disks under a lock (where the disk has locks), on S3 by a
    conditional PUT (If-Match).  On other stores the last writer wins, and the others see it a moment later: two may
    overlap for that moment.
    """
    fs, path = filesystem(url)
    if not _is_s3(fs):
        return _replaced(url, path if is_local(fs) else None, data, expected)
    try:
        with _named(url):
            tag = fs.info(path)["ETag"]  # asked for first: content that is newer than the tag fails the condition
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
    """Publish a file in place of the expected content (None: of no file); `path` where it can be locked."""
    with _locked(path) as alone:
        if read(url) != expected:
            return False
        publish(url, data)
        if alone:
            return True
    time.sleep(0.2)
    return read(url) == data


def _refused(error: BaseException | None) -> bool:
    """Whether a conditional write failed for its condition."""
    while error is not None:
        response = getattr(error, "response", None) or {}
        if isinstance(error, FileExistsError) or response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _CHANGED:
            return True
        error = error.__cause__
    return False


@contextlib.contextmanager
def _locked(path: str | None) -> Iterator[bool]:
    """Alone on this path among all processes that ask, on every machine that shares the disk's locks.

    Gives False where nothing can be locked: some shared disks have no locks, and the lock of another user may not be
    open to this one.
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
    """A descriptor of a lock file, which may be another user's; None where it cannot be opened at all."""
    _make_folder(os.path.dirname(path))
    with contextlib.suppress(FileExistsError):
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        _open_as(os.path.dirname(path), path)
        return made
    for how in (os.O_RDWR, os.O_RDONLY):  # on NFS a lock needs a file that is open for writing, on a disk it does not
        with contextlib.suppress(PermissionError, FileNotFoundError):
            return os.open(path, how | os.O_CLOEXEC)
    return None


def read(url: str) -> bytes | None:
    """The content of a file, or None where there is none."""
    fs, path = filesystem(url)
    try:
        with _named(url):
            return _whole(fs, path)
    except FileNotFoundError:
        return None


def _whole(fs: Any, path: str) -> bytes:
    """The content of a file as it was at one moment; on S3 one request, where s3fs would make two or more."""
    data: bytes = fs.cat_file(path, **({"max_concurrency": 1} if _is_s3(fs) else {}))
    return data


@contextlib.contextmanager
def opened(url: str) -> Iterator[Any]:
    """A file to read pieces of, as few bytes as asked for; FileNotFoundError where there is none."""
    fs, path = filesystem(url)
    with _named(url), fs.open(path, "rb", **({} if is_local(fs) else {"cache_type": "none"})) as file:
        yield file


def modified(url: str) -> float | None:
    """When a file was last written, in seconds by the clock of the storage; None where it does not say.

    FileNotFoundError where there is none.
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
    """Take a file away; it is no error if it is gone already."""
    fs, path = filesystem(url)
    try:
        with _named(url):
            fs.rm_file(path)
    except FileNotFoundError:
        return


def remove_folder(url: str) -> None:
    """Take a folder away with all it holds; it is no error if there is none."""
    fs, path = filesystem(url)
    try:
        with _named(url):
            fs.rm(path, recursive=True)
    except FileNotFoundError:
        return


def names(url: str) -> list[str]:
    """Names of what lies in a folder, sorted; none where it is missing."""
    fs, path = filesystem(url)
    try:
        with _named(url):
            fs.invalidate_cache()
            return sorted(str(found).rstrip("/").rsplit("/", 1)[-1] for found in fs.ls(path, detail=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def exists(url: str) -> bool:
    """Whether there is a file."""
    fs, path = filesystem(url)
    with _named(url):
        return bool(fs.exists(path))
