"""Progress notes that are delivered by a separate thread, outside of a lock."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Note = Callable[[str], None]


@contextmanager
def background_notes(note: Note) -> Iterator[Note]:
    """A function that queues notes; a separate thread passes them to `note`, all of them before the block ends.

    Enter this block before the lock.  The lock is then already released while the last notes are written, so a blocked
    terminal does not block other processes of the machine.
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
