"""A checksum inside a file, where readers of its format pass over it: bits that a disk or a transfer changed show.

Parquet files carry it between their data and their footer, which readers find by its length; checkpoints, which are
ZIP archives, as the archive's comment.  A file without one (of an earlier version, or written by something else) is
taken as it is.
"""

import hashlib
import io
import zipfile

_MARK = b"archsweep sha256 "
_SIZE = len(_MARK) + 64  # bytes of the mark and the digest in hexadecimal
_TAIL = 8  # bytes behind a Parquet footer: its length and the format's name


def _line(*pieces: bytes | memoryview) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return _MARK + digest.hexdigest().encode()


def add_to_parquet(data: bytes) -> bytes:
    """The file with a checksum over all its other bytes."""
    footer = len(data) - _TAIL - int.from_bytes(data[-_TAIL:-4], "little")
    return data[:footer] + _line(data) + data[footer:]


def check_parquet(data: bytes) -> None:
    """ValueError where the file carries a checksum that its bytes do not have."""
    end = len(data) - _TAIL - int.from_bytes(data[-_TAIL:-4], "little")
    start = end - _SIZE
    if start < 0 or data[start : start + len(_MARK)] != _MARK:
        return
    whole = memoryview(data)
    if _line(whole[:start], whole[end:]) != data[start:end]:
        raise ValueError("its checksum does not match: it was damaged on the disk or on the way")


def add_to_zip(data: bytes) -> bytes:
    """The archive (without a comment) with a comment that holds a checksum over all its other bytes."""
    return data[:-2] + _SIZE.to_bytes(2, "little") + _line(data)


def check_zip(data: bytes) -> None:
    """ValueError where an archive's bytes do not have the checksum in its comment; of one without, where the content
    of a member does not have the member's own.
    """
    start = len(data) - _SIZE
    if start > 2 and data[start : start + len(_MARK)] == _MARK:
        matches = _line(memoryview(data)[: start - 2], bytes(2)) == data[start:]
        matches &= int.from_bytes(data[start - 2 : start], "little") == _SIZE
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            matches = archive.testzip() is None
    if not matches:
        raise ValueError("its checksum does not match: it was damaged on the disk or on the way")
