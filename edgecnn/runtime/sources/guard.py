"""One thread reads, any thread closes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType


class ReleaseGuard:
    """Owns the right to release what a source reads from: never while a read is under way, and once only.

    `with guard:` is around every read. `close` never waits: a read under way releases on its way out.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self.closed = threading.Event()
        self._release = release
        self._released = False
        self._lock = threading.Lock()

    def close(self) -> None:
        self.closed.set()
        self._release_unless_read()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        # `close` may have found the lock taken. It sets `closed` before it tries, so one of the two gets here.
        if self.closed.is_set():
            self._release_unless_read()

    def _release_unless_read(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self._released:
                self._released = True
                self._release()
        finally:
            self._lock.release()
