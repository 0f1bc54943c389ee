"""A wrapper that reopens a lost live source until it is back."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from edgecnn.core.errors import EdgecnnError, SourceError, SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.sources.source import FrameSource


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter, so that cameras lost together are not all reopened at once."""

    first_s: float = 0.5
    """Upper limit of the delay before the first attempt."""
    longest_s: float = 30.0
    """Upper limit of every delay."""

    def delay_s(self, failures: int) -> float:
        """Draw the delay after a number of consecutive failures.

        It is uniform between 0 and `first_s` doubled once per failure, limited to `longest_s`.
        """
        doublings = min(failures, 63)
        return random.uniform(0, min(self.longest_s, self.first_s * 2.0**doublings))  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """Status of a source that is reopened after losses."""

    state: Literal["connected", "reconnecting"]
    """`reconnecting` from a loss until frames resume."""
    losses: int
    """Number of times the source was lost."""
    attempts: int
    """Number of attempts to reopen it."""
    reconnects: int
    """Number of times frames resumed."""
    bad_pictures: int
    """Number of pictures that were truncated or could not be decoded."""
    last_error: str
    """Reason of the last loss or failed attempt: one line without a password, empty if there was none."""


class SurvivingSource(Closeable):
    """Owner of a live source, which is replaced by a newly opened one when it is lost.

    `read` waits as long as that takes; any thread may read `status` meanwhile, and `close` ends the wait. Frame numbers
    continue after a loss. A source that ends, such as stdin, is not reopened.
    """

    live = True
    unreadable: tuple[str, ...] = ()

    def __init__(
        self, reopen: Callable[[], FrameSource], first: FrameSource, *, backoff: Backoff | None = None
    ) -> None:
        self.name = first.name
        self._reopen = reopen
        self._backoff = backoff or Backoff()
        self._closing = threading.Event()
        # Only `read` uses these three.
        self._next_number = 0
        self._first_number = 0
        self._failures = 0
        # The lock protects what other threads access: the current source, the number of dropped frames, and the status,
        # which does not include the bad pictures of the current source.
        self._lock = threading.Lock()
        self._source = first
        self._status = SourceStatus("connected", 0, 0, 0, 0, "")
        self._dropped = 0

    @property
    def status(self) -> SourceStatus:
        """The current status."""
        with self._lock:
            bad = self._status.bad_pictures + self._source.bad_pictures
            return dataclasses.replace(self._status, bad_pictures=bad)

    @property
    def bad_pictures(self) -> int:
        """Number of pictures that were truncated or could not be decoded, over all sources so far."""
        return self.status.bad_pictures

    @property
    def dropped(self) -> int:
        """Number of frames dropped, over all sources so far."""
        with self._lock:
            return self._dropped + self._source.dropped

    def read(self, reuse: Image | None = None) -> Frame | None:
        """Return the next frame, after a loss the first of the reopened source; None at its end or after `close`.

        Raises:
            SourceError: If the very first frame cannot be used.
        """
        while not self._closing.is_set():
            try:
                frame = self._source.read(reuse)
            except (SourceLost, SourceError) as error:
                if isinstance(error, SourceError) and self._next_number == 0:
                    raise
                self._lose(error)
                self._reopen_until_open()
            else:
                return None if frame is None else self._renumbered(frame)
        return None

    def close(self) -> None:
        """End a `read` running in another thread, during a stall as well as between two attempts."""
        self._closing.set()
        with self._lock:
            source = self._source
        source.close()

    def _renumbered(self, frame: Frame) -> Frame:
        if self._failures:
            self._failures = 0
            self._update_status(state="connected", reconnects=self._status.reconnects + 1)
        number = self._first_number + frame.number
        self._next_number = number + 1
        return frame if number == frame.number else dataclasses.replace(frame, number=number)

    def _lose(self, error: EdgecnnError) -> None:
        self._source.close()
        if self._closing.is_set():
            return
        lost_while_connected = self._status.state == "connected"
        self._update_status(
            state="reconnecting", losses=self._status.losses + lost_while_connected, last_error=_one_line(error)
        )

    def _reopen_until_open(self) -> None:
        """Try until a source is open; only its first frame shows whether it works."""
        while not self._closing.wait(self._backoff.delay_s(self._failures)):
            self._failures += 1
            self._update_status(attempts=self._status.attempts + 1)
            try:
                opened = self._reopen()
            except EdgecnnError as error:
                self._update_status(last_error=_one_line(error))
            else:
                self._replace_source(opened)
                return

    def _replace_source(self, opened: FrameSource) -> None:
        with self._lock:
            bad = self._status.bad_pictures + self._source.bad_pictures
            self._status = dataclasses.replace(self._status, bad_pictures=bad)
            self._dropped += self._source.dropped
            self._source = opened
            self._first_number = self._next_number
        # A concurrent `close` closed either this source or its predecessor.
        if self._closing.is_set():
            opened.close()

    def _update_status(self, **changes: Any) -> None:
        with self._lock:
            self._status = dataclasses.replace(self._status, **changes)


def _one_line(error: EdgecnnError) -> str:
    return " ".join(str(error).split())
