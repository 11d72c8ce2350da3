"""The columns of a result row, as Arrow types, and their way into pandas."""

from typing import Any

import pandas as pd
import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")
WHOLE = "*"  # in place of an architecture, in the rows of searches

SCHEMA = pa.schema(
    [
        ("trial_id", pa.string()),
        ("launch", pa.string()),
        ("attempt", pa.int32()),  # from 1
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
        ("metric", pa.string()),
        ("score_best", pa.float64()),  # higher is better; accuracies are fractions in [0, 1]
        ("score_final", pa.float64()),
        ("best_epoch", pa.int32()),  # from 1; null where no evaluation was finite
        ("epochs", pa.int32()),
        ("train_loss", pa.float64()),
        ("diverged", pa.bool_()),
        ("curve_train_loss", pa.list_(pa.float64())),
        ("curve_test_score", pa.list_(pa.float64())),
        ("curve_seconds", pa.list_(pa.float64())),
        ("params", pa.int64()),
        ("macs", pa.int64()),
        ("train_s", pa.float64()),
        ("wall_s", pa.float64()),
        ("peak_mem_bytes", pa.int64()),
        ("device", pa.string()),
        ("gpu_share", pa.float64()),
        ("host", pa.string()),
        ("started_at", TIME),
        ("finished_at", TIME),
        ("error_class", pa.string()),
        ("error_text", pa.string()),
        ("traceback", pa.string()),
        ("project_version", pa.string()),
        ("git_revision", pa.string()),
        ("git_dirty", pa.bool_()),
        ("torch_version", pa.string()),
        ("ray_version", pa.string()),
        ("python_version", pa.string()),
        ("precision", pa.string()),
        ("resumed", pa.int32()),
        ("device_mem_bytes", pa.int64()),
        ("step_mode", pa.string()),
        ("peak_reserved_bytes", pa.int64()),  # of a GPU, held by torch; null on a CPU
        # Of results that others measured, null for trainings of this project.
        ("source", pa.string()),  # format:file#digest it was imported from
        ("repeats", pa.int64()),  # measurements that the score is the mean of
        ("graph", pa.string()),  # the cell as the plan has it, where the architecture is one of a known space
        ("plugins", pa.string()),  # `space mine: distribution 1.0; ...`: what is not of archsweep; else null
        ("test_images", pa.int64()),  # images that the score is measured on
        ("test_targets", pa.int64()),  # predictions that it is the mean over: 4 per image in rot, one per pixel in col
        ("chance", pa.float64()),  # score of guessing: 1 / classes, for col the share of the most frequent colour
        ("method", pa.string()),  # train | score | ...; null in older rows means train
        ("executed", pa.string()),  # JSON of test_batch and threads if they differ from recipe_json; else null
        ("base", pa.string()),  # trial_id of the trial whose weights were used
        # Of searches, whose `arch` is `*`.
        ("found", pa.string()),  # the architecture that was found; null if the search diverged
        ("found_arch_id", pa.string()),
        ("curve_found", pa.list_(pa.string())),  # the architecture after each epoch
        ("found_top", pa.list_(pa.string())),  # the best architectures of a search that scores them, the best first
        ("curve_arch", pa.list_(pa.list_(pa.float64()))),  # architecture parameters after each epoch
        ("arch_shape", pa.string()),  # JSON of the name and shape of each table of architecture parameters
        ("arch_ops", pa.string()),  # JSON of the edges (rows) and operations (columns) of each table
        ("found_graph", pa.string()),  # the cell that was found, as `graph` in the plan
        ("curve_graph", pa.list_(pa.string())),  # the cell after each epoch
    ]
)
CURVES = tuple(field.name for field in SCHEMA if field.name.startswith("curve_"))
CURVES_OF_NUMBERS = tuple(name for name in CURVES if SCHEMA.field(name).type == pa.list_(pa.float64()))

PLAN = pa.schema(
    [
        *(SCHEMA.field(name) for name in ("trial_id", "space", "arch", "arch_id", "dataset", "dataset_id")),
        *(SCHEMA.field(name) for name in ("task", "seed", "recipe", "recipe_id", "params", "macs")),
        pa.field("graph", pa.string()),
    ]
)

# Columns that may be empty in a row keep their type in pandas, so a frame's dtypes do not depend on its rows.
_NULLABLE = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
_NEVER_EMPTY = {"attempt": "int32", "seed": "int64"}


def conform(table: pa.Table, schema: pa.Schema = SCHEMA) -> pa.Table:
    """The table with the schema's columns first, in its order and types: what a table of an older schema
    lacks is null, what one of a newer schema has besides stays, last."""
    columns = {
        field.name: table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    }
    columns |= {name: table[name] for name in table.column_names if name not in columns}
    return pa.table(columns)


def nullable(kind: pa.DataType) -> Any:
    """The dtype of pandas for integers and booleans of which some may be missing; None for other types."""
    return _NULLABLE.get(kind)


def frame(table: pa.Table) -> pd.DataFrame:
    """The table as pandas, with the same dtypes whether it has rows or not.

    Integers and booleans that may be null are pandas' nullable ones; `seed` and `attempt` are plain; times
    are UTC.
    """
    df: pd.DataFrame = table.to_pandas(types_mapper=nullable)
    plain = {name: kind for name, kind in _NEVER_EMPTY.items() if name in df and not df[name].isna().any()}
    return df.astype(plain)
