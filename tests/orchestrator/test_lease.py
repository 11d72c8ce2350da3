"""One driver a run: a dead holder is replaced, a living one is named."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator import lease
from orchestrator.store import RunStore


@pytest.fixture(params=["disk", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    return RunStore(str(tmp_path / "run") if request.param == "disk" else f"memory://{tmp_path.name}/run")


def test_a_second_driver_is_refused_and_told_who_holds_it(store: RunStore) -> None:
    lease.acquire(store, "first")
    with pytest.raises(lease.Held, match=rf"process {os.getpid()} on .*first"):
        lease.acquire(store, "second")
    lease.release(store, "second")
    assert lease.current(store) is not None
    lease.release(store, "first")
    assert lease.acquire(store, "second").launch == "second"


def test_a_dead_process_of_this_host_holds_nothing(store: RunStore) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        theirs = dataclasses.replace(
            lease.Lease.mine("theirs"), pid=process.pid, process_start=lease._start(process.pid)
        )
        store.write(lease._bytes(theirs), lease.NAME)
        with pytest.raises(lease.Held):
            lease.acquire(store, "mine")
        process.communicate(b"\n")
    assert lease.acquire(store, "mine").launch == "mine"


def test_a_pid_used_again_by_another_process_holds_nothing(store: RunStore) -> None:
    ours = dataclasses.replace(lease.Lease.mine("theirs"), process_start="1")
    store.write(lease._bytes(ours), lease.NAME)
    assert lease.acquire(store, "mine").launch == "mine"


def test_a_lease_of_another_host_counts_until_it_expires(store: RunStore) -> None:
    there = dataclasses.replace(lease.Lease.mine("theirs"), host="elsewhere", expires=time.time() + 60)
    store.write(lease._bytes(there), lease.NAME)
    with pytest.raises(lease.Held, match=r"elsewhere.*ends in \d+ s"):
        lease.acquire(store, "mine")
    store.write(lease._bytes(dataclasses.replace(there, expires=time.time() - 1)), lease.NAME)
    assert lease.acquire(store, "mine").launch == "mine"


def test_renewing_says_when_the_run_was_taken_over(store: RunStore) -> None:
    lease.acquire(store, "mine")
    assert lease.renew(store, "mine")
    store.write(lease._bytes(lease.Lease.mine("theirs")), lease.NAME)
    assert not lease.renew(store, "mine")
