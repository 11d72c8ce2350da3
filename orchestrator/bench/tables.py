"""What the kinds of bench found, as tables of at most 80 columns."""

from typing import Any

from rich.console import Console
from rich.table import Table

# (what the table calls it, key of a cell, how it is written)
Column = tuple[str, str, str]
_RATIO: list[Column] = [
    ("ours im/s", "ours_images_per_s", ",.0f"),
    ("plain im/s", "baseline_images_per_s", ",.0f"),
    ("ratio", "ratio", ".2f"),
]
_DATA: list[Column] = [("task", "task", ""), ("batch", "batch", ""), ("workers", "workers", ""), *_RATIO]
_MODES: list[Column] = [
    ("task", "task", ""),
    ("part", "part", ""),
    ("batch", "batch", ""),
    *((name.replace("ours", "array").replace("plain", "exact"), key, form) for name, key, form in _RATIO),
]
_STEP: list[Column] = [
    ("space", "space", ""),
    ("task", "task", ""),
    ("MACs", "quantile", ""),
    *((name.replace("plain", "other"), key, ".1f" if "im/s" in name else form) for name, key, form in _RATIO),
]


def sides(found: dict[str, Any], out: Console) -> None:
    """The table, at most 80 columns wide, and what it was measured with."""
    step = found["bench"] == "step"
    columns = {"step": _STEP, "modes": _MODES}.get(found["bench"], _DATA)
    view = Table(box=None, pad_edge=False)
    for place, (name, _, _) in enumerate(columns):
        view.add_column(name, justify="left" if place < (3 if step else 1) else "right", no_wrap=True)
    view.add_column("min..max", justify="right", no_wrap=True)
    if step:
        view.add_column("ceiling", justify="right", no_wrap=True)
    for cell in found["cells"]:
        values = [format(cell[key], form) for _, key, form in columns]
        values.append(f"{cell['ratio_min']:.2f}..{cell['ratio_max']:.2f}")
        if step:
            # An asterisk marks the lines whose other side is not the plain network.
            values[0] += "*" * (cell["baseline"] != "plain")
            values.append(f"{cell['ours_share']:.0%}")
        view.add_row(*values)
    out.print(view)
    here = found["conditions"]
    out.print(
        f"{here['device']}, {here['threads']} thread, torch {here['torch']}, load {here['load'][0]}; "
        f"median of {found['cells'][0]['rounds']} rounds in turns"
    )
    if found["bench"] == "modes":
        out.print("cut: decoded, cut and resized, as a GPU is sent it; batch: augmented on the CPU as well")
    if any(cell.get("workers") for cell in found["cells"]):
        out.print("with workers: seconds on the clock; ours makes its batches in one process")
    if any(cell.get("baseline") == "nasbench_pytorch" for cell in found["cells"]):
        out.print("* against nasbench_pytorch's own network and trainer")
    if step:
        out.print("ceiling: share of a large dense convolution's speed, measured between the rounds")


def packing(found: dict[str, Any], out: Console) -> None:
    """Steps a second of all trainings together, a line each; then the hours of a study."""
    view = Table(box=None, pad_edge=False)
    for place, name in enumerate(("space", "task", "MACs", "way", "at once", "steps/s", "x eager", "GB each")):
        view.add_column(name, justify="left" if place < 4 else "right", no_wrap=True)
    eager = {
        (line["space"], line["task"], line["quantile"]): line["steps_per_s"]
        for line in found["lines"]
        if line["way"] == "eager" and "error" not in line
    }
    for line in found["lines"]:
        cell = (line["space"], line["task"], line["quantile"])
        if "error" in line:
            view.add_row(*cell, line["way"], str(line["k"]), "-", "-", "-")
            continue
        ratio = f"{line['steps_per_s'] / eager[cell]:.2f}" if cell in eager else ""
        figures = f"{line['steps_per_s']:.2f}", ratio, f"{line['peak_mem_bytes'] / 1e9:.2f}"
        view.add_row(*cell, line["way"], str(line["k"]), *figures)
    out.print(view)
    for problem in sorted({f"{line['way']}: {line['error']}" for line in found["lines"] if "error" in line}):
        out.print(f"- {problem}")
    if found["study"]:
        hours = Table(box=None, pad_edge=False, title="device hours of 500 architectures, 100 epochs of CIFAR-10")
        for place, name in enumerate(("space", "task", "way", "at once", "hours")):
            hours.add_column(name, justify="left" if place < 3 else "right", no_wrap=True)
        for line in found["study"]:
            hours.add_row(line["space"], line["task"], line["way"], str(line["k"]), f"{line['hours']:,.1f}")
        out.print(hours)
    here = found["conditions"]
    out.print(f"{here['device']}, torch {here['torch']}, {found['seconds']:g} s a reading, one reading each")
