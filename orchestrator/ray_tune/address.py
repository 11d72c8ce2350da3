"""Which Ray a run uses: the cluster that RAY_ADDRESS names, or a local Ray that the run starts.

Ray tries an address where nothing listens for minutes, prints log lines and cannot be interrupted meanwhile.  So the
address is checked here first, before anything is written.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from pathlib import Path

PRIVATE = (b"archsweep", b"private")  # namespace and key that mark the local Ray of a run
_CONNECT_S = 4.0  # for a head node that is just starting
_ANSWER_S = 30.0  # for the first answer of a busy one
_SOCKET = 107  # bytes of the longest path of a Unix socket
_LONGEST = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_SHORT = "/tmp"


class AddressError(ValueError):
    """RAY_ADDRESS names no cluster that can be joined, or Ray cannot be started here; says what to set instead."""


def named() -> str | None:
    """The value of RAY_ADDRESS; None where it is not set or is `local`."""
    value = os.environ.get("RAY_ADDRESS", "").strip()
    return None if value in ("", "local") else value


def check() -> None:
    """AddressError where the cluster of RAY_ADDRESS cannot be joined, or no Ray can be started here."""
    if named() is None:
        temporary_folder()
    else:
        resolved()


def resolved() -> str:
    """HOST:PORT of the cluster that RAY_ADDRESS names, after it has answered; AddressError where it does not."""
    given = named()
    if given == "auto":
        return _started_here()
    assert given is not None
    problem = _problem(given)
    if problem:
        raise AddressError(f"RAY_ADDRESS={given}: {problem}; {_advice()}")
    return given


def _advice() -> str:
    return "start that cluster, name another, or unset RAY_ADDRESS to start a Ray on this machine"


def _started_here() -> str:
    """The cluster of RAY_ADDRESS=auto: the last one that `ray start` started or joined on this machine.

    If that cluster has ended, Ray itself would join any other on this machine, such as the local Ray of another run,
    which ends with that run.
    """
    from ray._private import services

    with contextlib.suppress(ImportError, AttributeError):  # Ray 2.50 has no such module
        from ray._private.authentication import authentication_token_setup as token

        token.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)  # as `ray.init("auto")` does
    address = services.find_bootstrap_address(None)
    problem = _problem(address) if address else "no Ray was started on this machine by `ray start`"
    if problem:
        raise AddressError(f"RAY_ADDRESS=auto: {f'at {address} ' * bool(address)}{problem}; {_advice()}")
    return str(address)


def _problem(address: str) -> str | None:
    """Why the cluster at an address cannot be joined; None where it can."""
    if "://" in address:
        return "a driver joins its cluster directly: give HOST:PORT of the head, as `ray start` prints it"
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return "expected HOST:PORT, `auto` or `local`"
    return _refused(host.strip("[]"), int(port)) or _silent(address)


def _refused(host: str, port: int) -> str | None:
    """Why no connection is possible, after retries for some seconds; None where one is."""
    end = time.monotonic() + _CONNECT_S
    while True:
        try:
            socket.create_connection((host, port), timeout=_CONNECT_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            if time.monotonic() >= end or isinstance(error, socket.gaierror | OverflowError | UnicodeError):
                return f"nothing answers there ({error})"
            time.sleep(0.5)
        else:
            return None


def _silent(address: str) -> str | None:
    """Why the process at an address cannot be joined: it does not answer as Ray, or is the local Ray of another run."""
    answer: list[object] = []
    # Ray's client tries for most of a minute and ignores signals: it is left running in its thread.
    asking = threading.Thread(target=_ask, args=(address, answer), daemon=True, name="ray-address")
    asking.start()
    asking.join(_ANSWER_S)
    if not answer:
        return f"what listens there does not answer as Ray does within {_ANSWER_S:g} s"
    (found,) = answer
    if isinstance(found, Exception):
        return f"Ray says: {str(found).strip().splitlines()[0] if str(found).strip() else type(found).__name__}"
    return "that is the private Ray of another run, which ends with it" if found else None


def _ask(address: str, answer: list[object]) -> None:
    """Append whether a cluster is the local Ray of a run, or the exception of the request."""
    import ray

    namespace, key = PRIVATE
    try:
        answer.append(bool(ray._raylet.GcsClient(address=address).internal_kv_get(key, namespace=namespace)))
    except Exception as error:
        answer.append(error)


def mark_as_private() -> None:
    """Mark the connected Ray as the local Ray of this run, so that other runs do not join it."""
    import ray

    namespace, key = PRIVATE
    with contextlib.suppress(Exception):  # optional: this run does not depend on it
        ray._private.worker.global_worker.gcs_client.internal_kv_put(key, b"1", True, namespace=namespace)


def temporary_folder() -> Path | None:
    """The folder for the files of a local Ray, None for Ray's default.

    Ray's sockets are below TMPDIR, and their paths must be short.  Where TMPDIR is too long, the folder is in /tmp;
    AddressError where that is not writable.
    """
    name = "RAY_TMPDIR" if "RAY_TMPDIR" in os.environ else "TMPDIR"
    folder = os.environ.get(name) if name == "RAY_TMPDIR" or sys.platform.startswith("linux") else None
    if folder is None or _fits(folder):
        return None
    if _fits(_SHORT) and os.access(_SHORT, os.W_OK | os.X_OK):
        return Path(_SHORT) / "ray"
    raise AddressError(
        f"{name}={folder} is too long for Ray, whose sockets lie below it and may have {_SOCKET} bytes of path: set "
        "RAY_TMPDIR to a shorter folder that can be written, or train without Ray by --engine inline"
    )


def _fits(folder: str) -> bool:
    return len(os.fsencode(os.path.abspath(folder) + "/ray" + _LONGEST)) <= _SOCKET
