"""A cluster whose machines come with the work: what it can grow to counts, and it grows."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from ray._private.services import get_node_ip_address
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.cluster_utils import Cluster

from .conftest import Write, cli

pytestmark = [pytest.mark.ray, pytest.mark.cluster, pytest.mark.xdist_group("clusters")]
SMALL = 100 * 2**20
COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


@pytest.fixture
def growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head that takes no trial, and Ray's autoscaler, which may start two machines with one (declared) GPU each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {
        "cluster_name": "growing",
        "max_workers": 2,
        "idle_timeout_minutes": 5,
        "upscaling_speed": 1.0,
        "provider": {
            "type": "fake_multinode",
            "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": f"{get_node_ip_address()}:{port}",
        },
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        **{name: [] for name in COMMANDS},
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpu": {
                "resources": {"CPU": 1, "GPU": 1, "object_store_memory": SMALL},
                "node_config": {},
                "min_workers": 0,
                "max_workers": 2,
            },
        },
    }
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("RAY_FAKE_CLUSTER", "1")
    monkeypatch.setenv("ARCHSWEEP_DEVICE", "cpu")
    monkeypatch.setenv("AUTOSCALER_UPDATE_INTERVAL_S", "1")
    monkeypatch.setenv("RAY_enable_autoscaler_v2", "0")
    head = {
        "num_cpus": 0,
        "gcs_server_port": port,
        "include_dashboard": False,
        "object_store_memory": SMALL,
        "autoscaling_config": str(file),
        "env_vars": {"RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID},
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    address = cluster.address
    yield cluster
    cluster.shutdown()
    _end_machines(address)


def _end_machines(gcs_address: str) -> None:
    """The autoscaler's machines would look for their cluster for another minute."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"address={gcs_address}".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def test_a_study_starts_on_a_cluster_that_has_no_machine_yet(study: Write, growing: Cluster, tmp_path: Path) -> None:
    wish = study(archs=1, engine="tune", execution="gpus_per_trial = 4")
    refused = cli("run", wish, RAY_ADDRESS=growing.address)
    assert refused.code == 2, refused.out
    assert "gpus_per_trial = 4, but the cluster has 2 GPUs and cannot" in refused.err

    ended = cli("run", study(archs=1, tasks=("jig",), engine="tune"), RAY_ADDRESS=growing.address)
    assert ended.code == 0, ended.err
    rows = pd.read_parquet(tmp_path / "run" / "rows")
    assert rows["gpu_share"].tolist() == [1.0]
    assert json.loads(cli("status", tmp_path / "run", "--json").out)["left"] == 0
