"""Time and memory of the statistics for a run of a million generated rows.

    python -m tests.soak.million --archs 55555

Six tasks, three seeds, curves of twelve epochs, which are not read.  Prints the seconds and peak memory of a separate
process that loads the rows and correlates all 15 pairs with 2,000 resamples (BCa).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.rows.schema import PLAN, SCHEMA

from .processes import ROOT

TASKS = ("cls", "rot", "col", "jig", "seg", "rand")
SEEDS = (1, 2, 3)
_EPOCHS = 12
_READ = """
import resource, time
start = time.perf_counter()
import analysis
begun = time.perf_counter()
df = analysis.load({path!r})
loaded = time.perf_counter()
found = analysis.correlate(df, resamples=2000)
done = time.perf_counter()
assert set(found["n"]) == {{{archs}}}, found["n"]
assert found["rho_low"].notna().all()
used = resource.getrusage(resource.RUSAGE_SELF)
cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
kinds = ",".join(set(found["interval_method"]))
print(len(df), len(found), begun - start, loaded - begun, done - loaded, cpu, peak, kinds)
"""


def write(folder: Path, archs: int, rng: np.random.Generator) -> int:
    """A run with every architecture trained on every task with every seed; how many rows it has."""
    (folder / "rows").mkdir(parents=True)
    names = pa.array([f"s3.0+d5.{k % 2}_{k:07d}" for k in range(archs)])
    ids = pa.array([f"{k:012x}" for k in range(archs)])
    quality = rng.normal(size=archs)
    size = (4e6 * np.exp(0.3 * quality + 0.3 * rng.normal(size=archs))).astype(np.int64)
    planned = []
    for t, task in enumerate(TASKS):
        ability = 0.9 * quality + 0.44 * rng.normal(size=archs)
        for seed in SEEDS:
            score = 0.9 + 0.02 * (ability + 0.4 * rng.normal(size=archs)).round(3)
            first = (t * len(SEEDS) + seed) * archs
            part = _table(archs, names, ids, task, seed, first, score, size, rng)
            pq.write_table(part, folder / "rows" / f"part-{t * len(SEEDS) + seed:06d}.parquet")
            planned.append(part.select([name for name in PLAN.names if name in part.column_names]))
    pq.write_table(pa.concat_tables(planned), folder / "plan.parquet")
    return sum(len(part) for part in planned)


def _table(
    n: int, names: Any, ids: Any, task: str, seed: int, first: int, score: Any, size: Any, rng: np.random.Generator
) -> pa.Table:
    curve = pa.ListArray.from_arrays(np.arange(0, n * _EPOCHS + 1, _EPOCHS), pa.array(rng.random(n * _EPOCHS)))
    columns: dict[str, Any] = {
        "trial_id": [f"{k:016x}" for k in range(first, first + n)],
        "attempt": np.ones(n, np.int32),
        "arch": names,
        "arch_id": ids,
        "seed": np.full(n, seed),
        "score_best": score,
        "score_final": score,
        "epochs": np.full(n, _EPOCHS, np.int32),
        "params": size,
        "macs": size * 100,
        "train_s": rng.random(n),
        "finished_at": pa.array(first + np.arange(n), pa.timestamp("us", tz="UTC")),
        "diverged": np.zeros(n, bool),
        **dict.fromkeys(("curve_train_loss", "curve_test_score", "curve_seconds"), curve),
    }
    same = {"launch": "a1", "status": "ok", "space": "darts", "dataset": "cifar10", "task": task, "metric": "top1"}
    same |= {"dataset_id": "cifar10-0123456789abcdef", "recipe": "unnas", "recipe_id": f"unnas-{task}", "host": "node"}
    columns |= {name: pa.repeat(value, n) for name, value in same.items()}
    # What a row says of its code and machine is the same text again and again.
    columns |= {name: pa.repeat("x" * 12, n) for name in ("git_revision", "torch_version", "project_version", "device")}
    return pa.table({f.name: pa.array(columns[f.name], f.type) for f in SCHEMA if f.name in columns})


def measure(run: Path, archs: int) -> dict[str, Any]:
    """Seconds to import, load and correlate, those of CPU in all, and peak resident GiB, in a process of its own."""
    code = _READ.format(path=str(run), archs=archs)
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    rows, pairs, *numbers = ended.stdout.strip().split(" ", 7)
    names = ("import_s", "load_s", "correlate_s", "cpu_s", "peak_gib")
    return {"rows": int(rows), "pairs": int(pairs), "interval": numbers[-1]} | dict(
        zip(names, map(float, numbers[:-1]), strict=True)
    )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--archs", type=int, default=55_555)
    archs = words.parse_args().archs
    with tempfile.TemporaryDirectory(prefix="million-") as name:
        start = time.perf_counter()
        run = Path(name) / "run"
        write(run, archs, np.random.default_rng(0))
        print(f"made up in {time.perf_counter() - start:.1f} s")
        for what, value in measure(run, archs).items():
            print(f"{what:<12} {value:.2f}" if isinstance(value, float) else f"{what:<12} {value}")
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
