"""Streams of bytes whose reading can be given up: the protocol, and pipes."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Protocol

CHUNK_BYTES = 1 << 16

_SLICE_S = 0.1
"""How long a wait goes on without looking whether it was interrupted."""
_LAST_WORDS_BYTES = 4096
_MOST_LAST_READS = 16


class ByteStream(Protocol):
    """What a Motion-JPEG source reads from."""

    def read_some(self, timeout_s: float) -> bytes:
        """What has come, at most `CHUNK_BYTES`, waiting for a first byte; empty at the end, or when interrupted.

        Raises `TimeoutError` if nothing came for `timeout_s`.
        """

    def ready(self) -> bool:
        """Whether more has come already, as far as can be told without reading it."""

    def last_words(self) -> str:
        """What the other side said about its end, in one line; mostly nothing."""

    def interrupt(self) -> None:
        """Makes a `read_some` under way in another thread return soon, and every later one at once."""

    def close(self) -> None:
        """Releases everything; not while a read is under way."""


class PipeStream:
    """Owns the reading end of a pipe, FIFO or redirected file, and where there is one the pipe of its writer's log."""

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
        deadline_s = time.monotonic() + timeout_s
        while not self._interrupted.is_set():
            left_s = max(0.0, deadline_s - time.monotonic())
            if self._wait(min(left_s, _SLICE_S)):
                return os.read(self._fd, CHUNK_BYTES)
            if left_s == 0:
                raise TimeoutError
        return b""

    def ready(self) -> bool:
        return self._wait(0)

    def last_words(self) -> str:
        # Whoever died has said everything, but it may still be on its way.
        for _ in range(_MOST_LAST_READS):
            if self._log_fd is None or not _has_more(self._log_fd, _SLICE_S):
                break
            self._read_log(self._log_fd)
        lines = self._log.decode("utf-8", "replace").splitlines()
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return "".join(character if character.isprintable() else "?" for character in said[:200])

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        os.close(self._fd)
        self._close_log()

    def _wait(self, timeout_s: float) -> bool:
        """Whether there is something to read, its end included; the log is read meanwhile, lest its writer block."""
        ready = {fd for fd, _ in self._poll.poll(timeout_s * 1000)}
        if self._log_fd is not None and self._log_fd in ready:
            self._read_log(self._log_fd)
        return self._fd in ready

    def _read_log(self, log_fd: int) -> None:
        said = os.read(log_fd, _LAST_WORDS_BYTES)
        if said:
            self._log = (self._log + said)[-_LAST_WORDS_BYTES:]
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
