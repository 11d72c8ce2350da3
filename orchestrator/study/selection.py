"""The option `--only`: selects trials of a plan."""

from typing import Any

import pyarrow as pa

import spaces

_KEYS = ("space", "arch", "arch_id", "dataset", "task", "seed", "recipe", "trial_id")
_SHOWN = 10  # values of a column in a message


class Selection:
    """Values by column of the plan; a row matches if each of these columns has one of its values."""

    def __init__(self, wanted: dict[str, set[str]]) -> None:
        self._wanted = wanted

    @classmethod
    def read(cls, text: str) -> "Selection":
        """From text such as `task=rot,seed=1`; a key given twice selects both values.  ValueError for anything else."""
        wanted: dict[str, set[str]] = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            key, equals, value = part.partition("=")
            if not equals or key not in _KEYS:
                raise ValueError(f"--only {spaces.quoted(part)}: give KEY=VALUE with a key of {', '.join(_KEYS)}")
            wanted.setdefault(key, set()).add(value)
        return cls(wanted)

    def __call__(self, row: dict[str, Any]) -> bool:
        return all(str(row[key]) in values for key, values in self._wanted.items())

    def check(self, plan: pa.Table) -> None:
        """ValueError where a value is not in the plan, or no trial matches."""
        if not self._wanted:
            return
        columns = {key: [str(value) for value in plan[key].to_pylist()] for key in self._wanted}
        for key, values in self._wanted.items():
            there = sorted(set(columns[key]))
            if strange := sorted(values - set(there)):
                more = f" and {len(there) - _SHOWN:,} more" if len(there) > _SHOWN else ""
                raise ValueError(
                    f"--only: no planned trial has {key} = {spaces.quoted(strange[0])}; "
                    f"there are {', '.join(there[:_SHOWN])}{more}"
                )
        if not any(self(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)):
            wanted = " and ".join(f"{key} = {' or '.join(sorted(values))}" for key, values in self._wanted.items())
            raise ValueError(f"--only: no planned trial has {wanted}")
