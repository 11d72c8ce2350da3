"""A file for the user that appears whole or not at all: an earlier one of its name stays until the new one is there."""

import contextlib
import os
import shutil
import uuid
from pathlib import Path


def write(file: Path, data: bytes | str) -> None:
    """Puts the data (text as UTF-8) in the place of the file, and makes its folder.

    Where it is a link, the file that it leads to is replaced; permissions stay. OSError naming the file.
    """
    place = Path(os.path.realpath(file))
    temporary = place.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and not place.is_file():  # a device or a pipe has no earlier content to lose
            place.write_bytes(data.encode() if isinstance(data, str) else data)
            return
        with temporary.open("xb") as out:
            out.write(data.encode() if isinstance(data, str) else data)
            out.flush()
            os.fsync(out.fileno())
        if place.is_file():
            with contextlib.suppress(PermissionError):  # the file of somebody else
                shutil.copymode(place, temporary)
        os.replace(temporary, place)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):  # a full disk names no file, others the temporary one
            raise OSError(error.errno, error.strerror or str(error), str(file)) from error
        raise
