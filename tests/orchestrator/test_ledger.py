"""Which trials are left, which are quarantined, and the effect of `retry`."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger


def failed(attempt: int, kind: str = "error", trace: str = "boom") -> dict[str, Any]:
    return {
        "trial_id": "t",
        "attempt": attempt,
        "status": "failed",
        "error_class": kind,
        "error_text": trace,
        "traceback": trace,
    }


def ledger(*rows: dict[str, Any]) -> Ledger:
    book = Ledger()
    for row in rows:
        book.add(row)
    return book


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        ([], "left"),
        ([failed(1)], "failed"),
        ([failed(1), failed(2)], "quarantined"),
        ([failed(1), failed(2, trace="another")], "failed"),
        ([failed(1, trace="at 0x7f01"), failed(2, trace="at 0x7e99")], "quarantined"),
        ([failed(1, "worker_died"), failed(2, "worker_died")], "failed"),
        ([failed(n, "worker_died") for n in (1, 2, 3)], "quarantined"),
        ([failed(1, "oom_cuda"), failed(2, "oom_cuda")], "quarantined"),
        ([failed(1), failed(2), {"trial_id": "t", "attempt": 3, "status": "ok"}], "done"),
    ],
)
def test_states(rows: list[dict[str, Any]], state: str) -> None:
    assert ledger(*rows).state("t") == state


def test_attempts_count_on() -> None:
    assert ledger().next_attempt("t") == 1
    assert ledger(failed(1), failed(2)).next_attempt("t") == 3


def test_forgiven_failures_count_no_more_and_stay_known(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    book = ledger(failed(1), failed(2))
    book.forgive(store, ["t"])
    assert book.state("t") == "left"
    assert book.next_attempt("t") == 3
    book.add(failed(3))
    assert book.state("t") == "failed"
    book.add(failed(4))
    assert book.state("t") == "quarantined"
    assert Ledger.of(store).forgiven == {"t": 2}
