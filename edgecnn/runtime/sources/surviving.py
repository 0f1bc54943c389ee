"""A live source that is lost is opened again, for as long as it takes."""

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
    """Exponential backoff with full jitter: cameras that were lost together do not come back all at once."""

    first_s: float = 0.5
    longest_s: float = 30.0

    def delay_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row: from 0 to `first_s` doubled each time, evenly."""
        doublings = min(failures, 63)
        return random.uniform(0, min(self.longest_s, self.first_s * 2.0**doublings))  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source that survives its losses is doing."""

    state: Literal["connected", "reconnecting"]
    losses: int
    """How often it was lost."""
    attempts: int
    """How often it was tried to open it again."""
    reconnects: int
    """How often frames came again."""
    bad_pictures: int
    """Pictures that came cut or could not be decoded."""
    last_error: str
    """Why it was lost, or could not be opened, last: one line without a password; empty if it never was."""


class SurvivingSource(Closeable):
    """Owns a live source, and puts a newly opened one in its place when it is lost.

    `read` waits for as long as that takes; any thread may look at `status` meanwhile, and `close` ends the wait. Frames
    are numbered on through a loss. A source that ends, as stdin does, has ended.
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
        # `read` alone uses the three below.
        self._next_number = 0
        self._first_number = 0
        self._failures = 0
        # The lock is for what other threads see: the source in use and the status without its own bad pictures.
        self._lock = threading.Lock()
        self._source = first
        self._status = SourceStatus("connected", 0, 0, 0, 0, "")
        self._dropped = 0

    @property
    def status(self) -> SourceStatus:
        with self._lock:
            bad = self._status.bad_pictures + self._source.bad_pictures
            return dataclasses.replace(self._status, bad_pictures=bad)

    @property
    def bad_pictures(self) -> int:
        return self.status.bad_pictures

    @property
    def dropped(self) -> int:
        with self._lock:
            return self._dropped + self._source.dropped

    def read(self, reuse: Image | None = None) -> Frame | None:
        """The next frame, after a loss the first of the source opened anew; None at the end of it or after `close`.

        Raises `SourceError` for a source whose first frame cannot be used.
        """
        while not self._closing.is_set():
            try:
                frame = self._source.read(reuse)
            except (SourceLost, SourceError) as error:
                if isinstance(error, SourceError) and self._next_number == 0:
                    raise
                self._lose(error)
                self._open_again()
            else:
                return None if frame is None else self._continued(frame)
        return None

    def close(self) -> None:
        """Ends a `read` under way in another thread, be it in a stall or between two attempts."""
        self._closing.set()
        with self._lock:
            source = self._source
        source.close()

    def _continued(self, frame: Frame) -> Frame:
        if self._failures:
            self._failures = 0
            self._note(state="connected", reconnects=self._status.reconnects + 1)
        number = self._first_number + frame.number
        self._next_number = number + 1
        return frame if number == frame.number else dataclasses.replace(frame, number=number)

    def _lose(self, error: EdgecnnError) -> None:
        self._source.close()
        if self._closing.is_set():
            return
        lost_while_connected = self._status.state == "connected"
        self._note(state="reconnecting", losses=self._status.losses + lost_while_connected, last_error=_one_line(error))

    def _open_again(self) -> None:
        """Tries until a source is open; a frame of it will tell whether it is any better than the one before."""
        while not self._closing.wait(self._backoff.delay_s(self._failures)):
            self._failures += 1
            self._note(attempts=self._status.attempts + 1)
            try:
                opened = self._reopen()
            except EdgecnnError as error:
                self._note(last_error=_one_line(error))
            else:
                self._take(opened)
                return

    def _take(self, opened: FrameSource) -> None:
        with self._lock:
            bad = self._status.bad_pictures + self._source.bad_pictures
            self._status = dataclasses.replace(self._status, bad_pictures=bad)
            self._dropped += self._source.dropped
            self._source = opened
            self._first_number = self._next_number
        # `close` closed either this one or the one before it.
        if self._closing.is_set():
            opened.close()

    def _note(self, **changes: Any) -> None:
        with self._lock:
            self._status = dataclasses.replace(self._status, **changes)


def _one_line(error: EdgecnnError) -> str:
    return " ".join(str(error).split())
