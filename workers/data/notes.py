"""Notes that are told outside of a lock."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Note = Callable[[str], None]


@contextmanager
def delivered(note: Note) -> Iterator[Note]:
    """A function to call with notes while a lock is held: a thread of its own tells them, all before the block ends.

    Enter it before the lock, so that the lock is free when the last notes are waited for: a terminal that has stopped
    then stops nobody else on the machine.
    """
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def tell() -> None:
        while (text := waiting.get()) is not None:
            note(text)

    thread = threading.Thread(target=tell, name="notes", daemon=True)
    thread.start()
    try:
        yield waiting.put
    finally:
        waiting.put(None)
        thread.join()
