"""A worker process whose graphs may have lost memory ends after its trial: the row is there, and nothing is lost."""

import json
from pathlib import Path

from orchestrator.execution.job import Job
from orchestrator.store.run_folder import RunStore
from tests.forks import program
from tests.workers.prepared import small

WORKER = """
import json, sys
from dataclasses import asdict
import torch
from orchestrator.execution import node_check
from orchestrator.ray_tune.worker import SweepTrial
from workers.cuda_graphs import Captured

def no_capture(work, device):
    raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

config = {"job": json.loads(sys.argv[1]), "room": {"CPU": 1.0}, "per_epoch": False, "driver": asdict(node_check.here())}
worker = SweepTrial.__new__(SweepTrial)
worker.setup(config)
Captured(lambda part: None, list, torch.device("cpu"), no_capture)({})
print(worker.step())
"""


def test_a_worker_ends_after_a_failed_capture_with_its_row_published(pictures: Path, tmp_path: Path) -> None:
    store = RunStore(str(tmp_path / "run"))
    t = small(pictures, tmp_path / "cache", "cls")
    settings = {
        "run_url": str(tmp_path / "run"),
        "launch": "a",
        "data_roots": {t.dataset_id: str(pictures)},
        "cache_dir": str(tmp_path / "cache"),
        "gpus": 0.0,
        "checkpoint_s": 60.0,
        "keep": False,
        "timeout_s": None,
    }
    job = Job.from_json({"trial_json": t.model_dump_json(), "trial_id": t.id, "attempt": 1, "settings": settings})
    done = program(WORKER, json.dumps(job.to_json()))
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert store.attempt(t.id, "a", 1)["status"] == "ok"
