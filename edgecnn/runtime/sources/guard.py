"""A guard for a resource that one thread reads from and any thread may close."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType


class ReleaseGuard:
    """Owner of the right to release the resource of a source: exactly once, and never during a read.

    Every read runs inside `with guard:`. `close` never waits: if a read is running, the reading thread releases the
    resource when the read ends.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self.closed = threading.Event()
        self._release = release
        self._released = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Set `closed`, and release the resource unless a read is running."""
        self.closed.set()
        self._release_unless_reading()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        # `close` may have found the lock taken. It sets `closed` before it tries, so one of the two releases.
        if self.closed.is_set():
            self._release_unless_reading()

    def _release_unless_reading(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self._released:
                self._released = True
                self._release()
        finally:
            self._lock.release()
