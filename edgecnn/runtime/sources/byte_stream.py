"""Byte streams with interruptible reads: the protocol, and the implementation for pipes."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Protocol

CHUNK_BYTES = 1 << 16

_SLICE_S = 0.1
"""Longest wait before checking again for an interruption."""
_LOG_TAIL_BYTES = 4096
_MAX_FINAL_READS = 16


class ByteStream(Protocol):
    """Byte stream that a Motion-JPEG source reads from."""

    def read_some(self, timeout_s: float) -> bytes:
        """Wait for data and return up to `CHUNK_BYTES` of it; return b"" at the end or when interrupted.

        Raises:
            TimeoutError: If no data arrived for `timeout_s`.
        """

    def ready(self) -> bool:
        """Return True if more data has already arrived, as far as that is known without reading it."""

    def exit_message(self) -> str:
        """Return the reason that the other side gave for its end, on one line; usually ""."""

    def interrupt(self) -> None:
        """Make a `read_some` running in another thread return soon, and every later one immediately."""

    def close(self) -> None:
        """Release everything. Must not be called during a read."""


class PipeStream:
    """Owner of the reading end of a pipe, FIFO or redirected file, and optionally of the pipe with its writer's log."""

    def __init__(self, fd: int, *, log_fd: int | None = None) -> None:
        self._fd = fd
        self._log_fd = log_fd
        self._log = b""
        self._interrupted = threading.Event()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        if log_fd is not None:
            self._poll.register(log_fd, select.POLLIN)

    def read_some(self, timeout_s: float) -> bytes:
        """Wait for data and return up to `CHUNK_BYTES` of it; return b"" at the end or when interrupted.

        Raises:
            TimeoutError: If no data arrived for `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._interrupted.is_set():
            left_s = max(0.0, deadline_s - time.monotonic())
            if self._wait(min(left_s, _SLICE_S)):
                return os.read(self._fd, CHUNK_BYTES)
            if left_s == 0:
                raise TimeoutError
        return b""

    def ready(self) -> bool:
        """Return True if a read would return immediately."""
        return self._wait(0)

    def exit_message(self) -> str:
        """Return the last line of the writer's log, or ""."""
        # A writer that exited has written everything, but some of it may still be in transit.
        for _ in range(_MAX_FINAL_READS):
            if self._log_fd is None or not _has_more(self._log_fd, _SLICE_S):
                break
            self._read_log(self._log_fd)
        lines = self._log.decode("utf-8", "replace").splitlines()
        last_line = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return "".join(character if character.isprintable() else "?" for character in last_line[:200])

    def interrupt(self) -> None:
        """Make the current read return soon, and every later one immediately."""
        self._interrupted.set()

    def close(self) -> None:
        """Close all descriptors."""
        os.close(self._fd)
        self._close_log()

    def _wait(self, timeout_s: float) -> bool:
        """Return True if there is data to read, or the end of the data.

        The log is read meanwhile: a writer whose log pipe is full would block.
        """
        ready = {fd for fd, _ in self._poll.poll(timeout_s * 1000)}
        if self._log_fd is not None and self._log_fd in ready:
            self._read_log(self._log_fd)
        return self._fd in ready

    def _read_log(self, log_fd: int) -> None:
        chunk = os.read(log_fd, _LOG_TAIL_BYTES)
        if chunk:
            self._log = (self._log + chunk)[-_LOG_TAIL_BYTES:]
        else:
            self._poll.unregister(log_fd)
            self._close_log()

    def _close_log(self) -> None:
        if self._log_fd is not None:
            os.close(self._log_fd)
            self._log_fd = None


def _has_more(fd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
