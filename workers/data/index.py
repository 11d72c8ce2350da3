"""The index of a prepared large dataset: one line per image, and which chunks it refers to.

<cache_dir>/photographs/<dataset_id>.arrow           see workers/data/large.py
<cache_dir>/photographs/<dataset_id>.checked.json    when its files were listed last and found unchanged
"""

import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from workers.data.chunks import Chunk, Keep, Plan
from workers.data.dataset import Maps
from workers.data.image_types import DECODED, SPLITS
from workers.data.walk import shown
from workers.files import publish_local

FORM = 2  # version of the index; other versions are rebuilt
SLOW_S, SHARE = 2.0, 20  # a listing that takes longer than SLOW_S is valid for SHARE times as long as it took


def skipped(broken: Collection[str]) -> str:
    """`<number>-<16 hex digits over the names>` of the images that are left out; "" if there are none."""
    names = "".join(f"{name}\n" for name in sorted(broken))
    digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{len(broken)}-{digest}" if broken else ""


def decoder_version(maps: Maps | None) -> str:
    """The version of decoding pixels and classes: an index of another version is not used."""
    return f"{DECODED} {maps.values if maps else ''}"


def metadata(index: Path) -> dict[str, Any]:
    """The metadata of an index; {} if it cannot be read."""
    try:
        found = json.loads(pa.ipc.open_file(pa.memory_map(str(index))).schema.metadata[b"archsweep"])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return {}
    return found if isinstance(found, dict) else {}


def write(file: Any, plans: list[Plan], chunks: list[Chunk], keep: Keep, unused: str) -> None:
    """Write the index: what is stored, in which chunks, and one batch of lines per split."""
    lines: dict[str, list[tuple[Any, ...]]] = {split: [] for split in SPLITS}
    for number, (plan, chunk) in enumerate(zip(plans, chunks, strict=True)):
        lines[plan.split] += _lines(number, plan, chunk)
    facts = {
        "form": FORM,
        "decoded": decoder_version(plans[0].maps),
        "keep": keep,
        "skipped": unused,
        "crcs": [chunk.crc for chunk in chunks],
        "train": len(lines["train"]),
        "chunks": [chunk.key for chunk in chunks],
        "bytes": [sum(chunk.lengths) for chunk in chunks],
    }
    more = [("stamp", pa.string())] if keep == "nothing" else []
    more += [("map", pa.string())] if plans[0].maps is not None else []
    schema = pa.schema([*_SCHEMA, *more])
    table = {split: list(zip(*lines[split], strict=True)) or [()] * len(schema) for split in SPLITS}
    # Names of files are bytes.  If some are not valid UTF-8, the bytes are stored too, and the names are for display.
    for name in ("name", "map"):
        place = schema.get_field_index(name)
        if place >= 0 and any(shown(file) != file for split in SPLITS for file in table[split][place]):
            schema = schema.append(pa.field(f"{name}_bytes", pa.binary()))
            for split in SPLITS:
                table[split].append(tuple(map(os.fsencode, table[split][place])))
                table[split][place] = tuple(map(shown, table[split][place]))
    schema = schema.with_metadata({"archsweep": json.dumps(facts)})
    with pa.ipc.new_file(file, schema) as writer:
        for split in SPLITS:
            arrays = [pa.array(column, field.type) for column, field in zip(table[split], schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def file_of(table: pa.Table, column: str, number: int) -> str:
    """The file that a line names in `name` or `map`, in the system's encoding."""
    if f"{column}_bytes" in table.column_names:
        return os.fsdecode(table.column(f"{column}_bytes")[number].as_py())
    return str(table.column(column)[number])


_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("label", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("chunk", pa.int32()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
    ]
)


def _lines(number: int, plan: Plan, chunk: Chunk) -> Iterator[tuple[Any, ...]]:
    offset = 0
    for entry, height, width, length in zip(plan.entries, chunk.heights, chunk.widths, chunk.lengths, strict=True):
        if height:
            line: tuple[Any, ...] = (entry.name, entry.label, height, width, number, offset, length)
            line += (entry.stamp,) if plan.keep == "nothing" else ()
            yield line if plan.maps is None else (*line, entry.map)
        offset += length


def _checked(cache: Path, dataset_id: str) -> Path:
    return cache / "photographs" / f"{dataset_id}.checked.json"


def record_check(cache: Path, dataset_id: str, root: Path | None, seconds: float) -> None:
    """Record a slow listing, so that the next trials on this machine skip it: 1.3 million files on a network disk."""
    if seconds < SLOW_S:
        return
    text = json.dumps({"root": str(root), "seconds": seconds, "until": time.time() + SHARE * seconds})
    with suppress(OSError):  # the cache may be read-only
        publish_local(_checked(cache, dataset_id), lambda file: file.write(text.encode()))


def checked_recently(cache: Path, dataset_id: str, root: Path | None) -> bool:
    """Whether a recorded slow listing is recent enough to be reused."""
    try:
        known = json.loads(_checked(cache, dataset_id).read_bytes())
        left = float(known["until"]) - time.time()
        return bool(known["root"] == str(root) and 0 < left <= SHARE * float(known["seconds"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
