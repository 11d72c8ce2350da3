"""The index of what was prepared of a dataset of images of many sizes: a line an image, and what it was made of.

<cache_dir>/photographs/<dataset_id>.arrow           see `_photographs`
<cache_dir>/photographs/<dataset_id>.checked.json    that its files were listed and found unchanged, and when
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

FORM = 2  # of the index; one of another form is made anew
SLOW_S, SHARE = 2.0, 20  # where listing takes longer, it is done again after so many times as long at the earliest


def skipped(broken: Collection[str]) -> str:
    """How many images are left out, and 16 hex digits over their names; "" for none."""
    names = "".join(f"{name}\n" for name in sorted(broken))
    digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{len(broken)}-{digest}" if broken else ""


def way(maps: Maps | None) -> str:
    """How files become pixels and classes: an index that was made another way is not used."""
    return f"{DECODED} {maps.values if maps else ''}"


def about(index: Path) -> dict[str, Any]:
    """What an index says of itself; {} where it cannot be read."""
    try:
        found = json.loads(pa.ipc.open_file(pa.memory_map(str(index))).schema.metadata[b"archsweep"])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return {}
    return found if isinstance(found, dict) else {}


def write(file: Any, plans: list[Plan], chunks: list[Chunk], keep: Keep, unused: str) -> None:
    """The index: what was kept, of which chunks, and a batch of lines for each split."""
    lines: dict[str, list[tuple[Any, ...]]] = {split: [] for split in SPLITS}
    for number, (plan, chunk) in enumerate(zip(plans, chunks, strict=True)):
        lines[plan.split] += _lines(number, plan, chunk)
    facts = {
        "form": FORM,
        "decoded": way(plans[0].maps),
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
    # Names of files are bytes: where some are no UTF-8, files are found by these and the names are for people.
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
    """The file that a line names in `name` or `map`, as the system knows it."""
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


def remember_check(cache: Path, dataset_id: str, root: Path | None, seconds: float) -> None:
    """Spare the next trials on this machine a listing that takes long: 1.3 million files on a network disk."""
    if seconds < SLOW_S:
        return
    text = json.dumps({"root": str(root), "seconds": seconds, "until": time.time() + SHARE * seconds})
    with suppress(OSError):  # of a cache that may only be read
        publish_local(_checked(cache, dataset_id), lambda file: file.write(text.encode()))


def checked_lately(cache: Path, dataset_id: str, root: Path | None) -> bool:
    """Whether a listing that took long is recent enough to serve once more."""
    try:
        known = json.loads(_checked(cache, dataset_id).read_bytes())
        left = float(known["until"]) - time.time()
        return bool(known["root"] == str(root) and 0 < left <= SHARE * float(known["seconds"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
