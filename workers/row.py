"""The schema of a result: one row an attempt, the only interface between training and analysis."""

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
        # The question.
        ("trial_id", pa.string()),
        ("launch", pa.string()),  # one `run` of a driver; with trial_id and attempt it names this row
        ("attempt", pa.int32()),  # counts from 1
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
        # The answer.  Scores are higher-is-better fractions of the test split.
        ("metric", pa.string()),
        ("score_best", pa.float64()),  # over the evaluations after each epoch, as UnNAS reports
        ("score_final", pa.float64()),
        ("best_epoch", pa.int32()),  # counts from 1
        ("epochs", pa.int32()),  # trained
        ("train_loss", pa.float64()),  # mean of the last epoch
        ("diverged", pa.bool_()),
        ("curve_train_loss", _CURVE),
        ("curve_test_score", _CURVE),
        ("curve_seconds", _CURVE),  # of each epoch: training, statistics, evaluation
        # The cost.
        ("params", pa.int64()),
        ("macs", pa.int64()),
        ("train_s", pa.float64()),  # all epochs, also those before a resume
        ("wall_s", pa.float64()),  # this attempt, from its start to its row
        ("peak_mem_bytes", pa.int64()),
        # Where and when.
        ("device", pa.string()),
        ("gpu_share", pa.float64()),
        ("host", pa.string()),
        ("started_at", _STAMP),
        ("finished_at", _STAMP),
        # What went wrong.
        ("error_class", pa.string()),
        ("error_text", pa.string()),
        ("traceback", pa.string()),
        # Of what build.
        ("project_version", pa.string()),
        ("git_revision", pa.string()),
        ("git_dirty", pa.bool_()),
        ("torch_version", pa.string()),
        ("ray_version", pa.string()),
        ("python_version", pa.string()),
        ("precision", pa.string()),
        ("resumed", pa.int32()),  # epochs taken over from a checkpoint
        ("device_mem_bytes", pa.int64()),  # of a GPU; null on a CPU
        (
            "step_mode",
            pa.string(),
        ),  # graph | eager | eager: why no graph could be captured | graph; evaluation eager...
        ("peak_reserved_bytes", pa.int64()),  # what torch held of a GPU, which a share of it limits; null on a CPU
        # Of results that others measured, null for trainings of our own.
        ("source", pa.string()),  # format:file#digest it was imported from
        ("repeats", pa.int64()),  # measurements that the score is the mean of
        ("graph", pa.string()),  # the cell as the plan has it, where the architecture is one of a known space
        ("plugins", pa.string()),  # `space mine: distribution 1.0; ...`: what is not of this project; else null
    ],
    metadata={"schema_version": str(SCHEMA_VERSION)},
)


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of the schema; what a row leaves out is null, what the schema lacks is an error."""
    for row in rows:
        if strange := sorted(set(row) - set(SCHEMA.names)):
            raise ValueError(f"a row has columns that the schema lacks: {', '.join(strange)}")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA)


def parquet_bytes(rows: Sequence[Mapping[str, Any]] | pa.Table) -> bytes:
    """The bytes of a Parquet file that holds these rows, with checksums: of the whole file, and of each page for those
    who read a part of it.
    """
    buffer = io.BytesIO()
    found = rows if isinstance(rows, pa.Table) else table(rows)
    # A dictionary of a single value is only work, for whoever writes it and for whoever reads it.
    pq.write_table(found, buffer, compression="zstd", use_dictionary=len(found) > 1, write_page_checksum=True)
    return checksum.add_to_parquet(buffer.getvalue())
