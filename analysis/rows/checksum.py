"""The checksum that rows and plans of a run carry, between their data and their footer, where every reader of Parquet
passes over it.
"""

import hashlib

_MARK = b"archsweep sha256 "
_SIZE = len(_MARK) + 64  # bytes of the mark and the digest in hexadecimal


def check(data: bytes) -> None:
    """ValueError where a Parquet file carries a checksum that its other bytes do not have.

    A file without one, of an earlier version or written by something else, is taken as it is.
    """
    end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    start = end - _SIZE
    if start < 0 or data[start : start + len(_MARK)] != _MARK:
        return
    digest = hashlib.sha256(memoryview(data)[:start])
    digest.update(memoryview(data)[end:])
    if digest.hexdigest().encode() != data[start + len(_MARK) : end]:
        raise ValueError("its checksum does not match: it was damaged on the disk or on the way")
