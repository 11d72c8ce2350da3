"""A checksum inside a file, at a place that readers of the format ignore: it detects damage by a disk or a transfer.

Parquet files hold it between their data and their footer, which readers find by its length.  Checkpoints, which are
ZIP archives, hold it as the archive's comment.  A file without a checksum (written by an earlier version or by another
program) is accepted.
"""

import hashlib
import io
import zipfile

_MARK = b"archsweep sha256 "
_SIZE = len(_MARK) + 64  # bytes of the mark and the digest in hexadecimal
_TAIL = 8  # bytes after a Parquet footer: its length and the magic number


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
    """ValueError if the file holds a checksum that does not match its bytes."""
    end = len(data) - _TAIL - int.from_bytes(data[-_TAIL:-4], "little")
    start = end - _SIZE
    if start < 0 or data[start : start + len(_MARK)] != _MARK:
        return
    whole = memoryview(data)
    if _line(whole[:start], whole[end:]) != data[start:end]:
        raise ValueError("its checksum does not match: it was damaged on the disk or during a transfer")


def add_to_zip(data: bytes) -> bytes:
    """The archive (without a comment) with a comment that holds a checksum over all its other bytes."""
    return data[:-2] + _SIZE.to_bytes(2, "little") + _line(data)


def check_zip(data: bytes) -> None:
    """ValueError if the archive's bytes do not match the checksum in its comment.

    For an archive without that checksum, the members are compared with their own checksums instead.
    """
    start = len(data) - _SIZE
    if start > 2 and data[start : start + len(_MARK)] == _MARK:
        matches = _line(memoryview(data)[: start - 2], bytes(2)) == data[start:]
        matches &= int.from_bytes(data[start - 2 : start], "little") == _SIZE
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            matches = archive.testzip() is None
    if not matches:
        raise ValueError("its checksum does not match: it was damaged on the disk or during a transfer")
