"""Paths and URLs: one unambiguous spelling for each place, and the file system behind it."""

import os
import re
from typing import Any

import fsspec

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")


def place(text: str) -> str:
    """A path or URL in its unambiguous spelling; ValueError if it has none.

    fsspec and the operating system interpret `file:x` differently, so ambiguous text is rejected.  `file:///x` becomes
    the path `/x`; all other URLs are returned unchanged.
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
            f"{text} is not a valid path or URL: a URL has // after its colon; for a folder of that name write ./{text}"
        )
    if len(scheme) == 1:
        raise ValueError(f"{text}: {scheme}:// is not a known protocol; drive letters are not supported")
    return text


def disk_path(text: str) -> str:
    """A path on this machine's disks, shared disks included, in one spelling; ValueError for other URLs."""
    found = place(text) if text.lower().startswith(("file://", "local://")) else text
    if _SCHEME.match(found) or "://" in found:
        raise ValueError(
            f"{text}: expected a path on a disk, without a protocol; a name that holds a colon is written ./{text}"
        )
    return found


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path inside it; local paths become absolute.

    Listings are never cached, since other machines write to the same folders.  ValueError for an unknown file system.
    """
    if "::" in url:
        raise ValueError(f"{url}: chained file systems (::) are not supported, they may cache files that others write")
    where = os.path.expanduser(place(url))
    try:
        fs, path = fsspec.core.url_to_fs(where, use_listings_cache=False)
    except ImportError as error:
        scheme = url.partition("://")[0]
        raise ValueError(f"{url} cannot be reached: {error}; for s3:// install archsweep[{scheme}]") from None
    except FileNotFoundError as error:
        if "://" in url or os.path.isabs(url):
            raise
        raise FileNotFoundError(
            error.errno, f"{url} is in the working directory, which was removed; change to one that is there"
        ) from None
    except Exception as error:  # file systems raise different errors for invalid addresses
        raise ValueError(f"{url}: its file system cannot be used here ({error})") from error
    return fs, path


def is_local(fs: Any) -> bool:
    """Whether the operating system's file functions can access it."""
    return "file" in _protocols(fs)


def is_s3(fs: Any) -> bool:
    return "s3" in _protocols(fs)


def _protocols(fs: Any) -> tuple[str, ...]:
    return tuple(fs.protocol) if isinstance(fs.protocol, tuple | list) else (fs.protocol,)
