"""Whole files that appear at once or not at all, on local disks and object stores.

A path is local or any URL that fsspec knows.  On a local (or shared) disk a file is written beside its place and
renamed; on an object store one PUT is atomic and a rename is not, so the object is put directly.
"""

import os
import uuid
from typing import Any

import fsspec


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path inside it; local paths become absolute."""
    if "::" in url:
        raise ValueError(f"{url}: a chain of file systems (::) may cache or wrap what others write; name one place")
    try:
        fs, path = fsspec.core.url_to_fs(os.path.expanduser(url))
    except (ImportError, TypeError) as error:
        raise ValueError(f"{url}: its file system cannot be used here ({error})") from error
    return fs, path


def is_local(fs: Any) -> bool:
    """Whether the operating system's own file calls reach it."""
    return "file" in (fs.protocol if isinstance(fs.protocol, tuple | list) else (fs.protocol,))


def publish(url: str, data: bytes) -> None:
    """Write a whole file; a reader sees the old content or the new, never a part."""
    fs, path = filesystem(url)
    if not is_local(fs):
        fs.pipe_file(path, data)
        return
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    # The leading underscore hides it from every reader of a folder of rows.
    temporary = os.path.join(folder, f"_{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def read(url: str) -> bytes | None:
    """The content of a file, or None where there is none."""
    fs, path = filesystem(url)
    try:
        data: bytes = fs.cat_file(path)
    except FileNotFoundError:
        return None
    return data


def remove(url: str) -> None:
    """Take a file away; it is no error if it is gone already."""
    fs, path = filesystem(url)
    try:
        fs.rm_file(path)
    except FileNotFoundError:
        return
