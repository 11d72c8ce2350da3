"""The schema of results: one row per attempt, the only interface between training and analysis."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workers import checksum

SCHEMA_VERSION = 1

_STAMP = pa.timestamp("us", tz="UTC")
_CURVE = pa.list_(pa.float64())

SCHEMA = pa.schema(
    [
        # Identity of the trial.
        ("trial_id", pa.string()),
        ("launch", pa.string()),  # one `run` of a driver; identifies the row together with trial_id and attempt
        ("attempt", pa.int32()),  # starts at 1
        ("status", pa.string()),  # ok | failed
        ("space", pa.string()),
        ("arch", pa.string()),
        ("arch_id", pa.string()),
        ("dataset", pa.string()),
        ("dataset_id", pa.string()),
        ("task", pa.string()),
        ("seed", pa.int64()),
        ("recipe", pa.string()),
        ("recipe_id", pa.string()),
        ("recipe_json", pa.string()),
        # Results.  Higher is better.  Scores of trainings are fractions, measured on the test split; others any number.
        ("metric", pa.string()),
        ("score_best", pa.float64()),  # maximum over the evaluations after each epoch, as UnNAS reports it
        ("score_final", pa.float64()),
        ("best_epoch", pa.int32()),  # starts at 1
        ("epochs", pa.int32()),  # trained
        ("train_loss", pa.float64()),  # mean of the last epoch
        ("diverged", pa.bool_()),
        ("curve_train_loss", _CURVE),
        ("curve_test_score", _CURVE),
        ("curve_seconds", _CURVE),  # of each epoch: training, statistics, evaluation
        # Cost.
        ("params", pa.int64()),
        ("macs", pa.int64()),
        ("train_s", pa.float64()),  # all epochs, including those before a resume
        ("wall_s", pa.float64()),  # this attempt, from its start until its row is written
        ("peak_mem_bytes", pa.int64()),
        # Machine and time.
        ("device", pa.string()),
        ("gpu_share", pa.float64()),
        ("host", pa.string()),
        ("started_at", _STAMP),
        ("finished_at", _STAMP),
        # Failure.
        ("error_class", pa.string()),
        ("error_text", pa.string()),
        ("traceback", pa.string()),
        # Software.
        ("project_version", pa.string()),
        ("git_revision", pa.string()),
        ("git_dirty", pa.bool_()),
        ("torch_version", pa.string()),
        ("ray_version", pa.string()),
        ("python_version", pa.string()),
        ("precision", pa.string()),
        ("resumed", pa.int32()),  # epochs restored from a checkpoint
        ("device_mem_bytes", pa.int64()),  # of a GPU; null on a CPU
        ("step_mode", pa.string()),  # graph | eager | eager: why the capture failed | graph; evaluation eager...
        ("peak_reserved_bytes", pa.int64()),  # peak reserved by torch on a GPU; null on a CPU
        # Imported results only; null for trials trained here.
        ("source", pa.string()),  # format:file#digest that it was imported from
        ("repeats", pa.int64()),  # number of measurements that the score is the mean of
        ("graph", pa.string()),  # the cell as in the plan, if the architecture belongs to a known space
        ("plugins", pa.string()),  # plug-ins used, `space mine: distribution 1.0; ...`; null if none
        ("test_images", pa.int64()),  # images that the score is measured on
        ("test_targets", pa.int64()),  # predictions that it is the mean over: 4 per image in rot, one per pixel in col
        ("chance", pa.float64()),  # score of guessing: 1 / classes, for col the share of the most frequent colour
        ("method", pa.string()),  # train | score | ...: a name in workers.methods; null in older rows means train
        ("executed", pa.string()),  # JSON of test_batch and threads if they differ from recipe_json; else null
        ("base", pa.string()),  # trial_id of the trial whose weights were used; null if there is none
        # Of searches only, whose `arch` is `*`.
        ("found", pa.string()),  # the architecture that was found; null if the search diverged
        ("found_arch_id", pa.string()),
        ("curve_found", pa.list_(pa.string())),  # the architecture after each epoch
        ("found_top", pa.list_(pa.string())),  # the best architectures of a search that scores them, the best first
        ("curve_arch", pa.list_(_CURVE)),  # the architecture parameters after each epoch, in the order of arch_shape
        ("arch_shape", pa.string()),  # JSON of the name and shape of each table of architecture parameters
        ("arch_ops", pa.string()),  # JSON of the edges (rows) and operations (columns) of each table
        ("found_graph", pa.string()),  # the cell that was found, as `graph` in the plan
        ("curve_graph", pa.list_(pa.string())),  # the cell after each epoch
    ],
    metadata={"schema_version": str(SCHEMA_VERSION)},
)


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of the schema; missing columns are null, unknown columns raise ValueError."""
    for row in rows:
        if unknown := sorted(set(row) - set(SCHEMA.names)):
            raise ValueError(f"a row has columns that the schema lacks: {', '.join(unknown)}")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA)


def parquet_bytes(rows: Sequence[Mapping[str, Any]] | pa.Table) -> bytes:
    """The bytes of a Parquet file with these rows and with checksums: one of the whole file, and one per page."""
    buffer = io.BytesIO()
    found = rows if isinstance(rows, pa.Table) else table(rows)
    # A dictionary for a single value only costs time, both in writing and in reading.
    pq.write_table(found, buffer, compression="zstd", use_dictionary=len(found) > 1, write_page_checksum=True)
    return checksum.add_to_parquet(buffer.getvalue())
