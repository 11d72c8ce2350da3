"""A Ray that dies under a run, or was never there: the run ends with a sentence, and the same command goes on."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from tests.soak import processes

from .conftest import Ended, Spoil, Write, cli, slow, start, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.soak, pytest.mark.xdist_group("clusters")]


def own(driver: int, name: str) -> int:
    """The process of that name in a driver's own Ray."""
    (pid,) = [pid for pid in processes.titled(name, driver) if f"/{name}" in processes.title(pid).split()[0]]
    return pid


def attempts(run: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(p) for p in [*run.glob("rows/part-*"), *run.glob("attempts/*")]])


@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_a_run_whose_own_ray_dies_says_so_and_goes_on_when_called_again(
    victim: str, study: Write, spoil: Spoil, tmp_path: Path
) -> None:
    file, run = (
        study(archs=5, tasks=("jig",), epochs=2, engine="tune", execution="max_concurrent = 1"),
        tmp_path / "run",
    )
    driver = start("run", file, **spoil(slow(1.0)))
    wait_for(lambda: list(run.glob("attempts/*.parquet")))
    descendants = processes.below(driver.pid)
    os.kill(own(driver.pid, victim), signal.SIGKILL)
    ended = Ended(driver, timeout=120)
    assert ended.code == 3, ended.out + ended.err
    assert f"the Ray of this run has died (its {victim} was ended by signal 9)" in ended.err
    assert "run the same command again" in ended.err
    assert not (run / "lease.json").exists()
    wait_for(lambda: not any(map(processes.title, descendants)))  # nothing trains on without a driver
    assert (attempts(run)["status"] == "ok").all(), "nothing is held against the trials"
    ended = cli("run", file, "--engine", "inline")
    assert ended.code == 0, ended.err
    assert sorted(attempts(run)["attempt"]) == [1] * 5


def test_a_cluster_that_is_lost_ends_the_run(study: Write, tmp_path: Path) -> None:
    """Half a minute: its head may be starting again."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        file = study(archs=2, tasks=("jig",), epochs=100_000, engine="tune", execution="checkpoint_s = 0")
        driver = start("run", file, RAY_ADDRESS=cluster.address)
        wait_for(lambda: list(tmp_path.glob("run/trials/*/checkpoint.pt")))
        cluster.head_node.all_processes["gcs_server"][0].process.kill()
        ended = Ended(driver, timeout=120)
    finally:
        cluster.shutdown()
    assert ended.code == 3, ended.out + ended.err
    assert "has not answered for" in ended.err
    assert "run the same command again" in ended.err
    assert not (tmp_path / "run" / "lease.json").exists()


def test_sigterm_while_ray_starts_ends_in_order(study: Write, tmp_path: Path) -> None:
    driver = start("run", study(engine="tune"))
    wait_for(lambda: processes.titled("gcs_server", driver.pid))
    assert driver.out == "starting Ray\n"
    descendants = processes.below(driver.pid)
    driver.send_signal(signal.SIGTERM)
    ended = Ended(driver, timeout=120)
    assert ended.code == 3, ended.out + ended.err
    assert "SIGTERM came before any trial had started" in ended.err
    assert not (tmp_path / "run" / "lease.json").exists()
    wait_for(lambda: not any(map(processes.title, descendants)))
