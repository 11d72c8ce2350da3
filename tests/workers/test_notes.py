"""Output that blocks, as on a stopped terminal, does not block other threads."""

import threading
from pathlib import Path

from workers.data.arrays import lock
from workers.data.notes import background_notes


def test_notes_come_in_order_and_before_the_end() -> None:
    told: list[str] = []
    with background_notes(told.append) as note:
        note("one")
        note("two")
    assert told == ["one", "two"]


def test_a_lock_is_free_again_while_a_note_still_waits_to_be_read(tmp_path: Path) -> None:
    read, free = threading.Event(), threading.Event()

    def wait(text: str) -> None:
        read.wait(60)

    def first() -> None:
        with background_notes(wait) as note, lock(tmp_path, "making"):
            note("decoding")

    def second() -> None:
        with lock(tmp_path, "making"):
            free.set()

    threads = [threading.Thread(target=first, daemon=True)]
    threads[0].start()
    threads.append(threading.Thread(target=second, daemon=True))
    threads[1].start()
    assert free.wait(30)
    read.set()
    for thread in threads:
        thread.join(30)
