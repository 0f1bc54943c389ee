"""The newest frame of a live source, however slow its reader."""

from __future__ import annotations

import threading
import time

from edgecnn.core.errors import SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image
from edgecnn.runtime.closing import Closing
from edgecnn.runtime.sources import FrameSource

CLOSE_TIMEOUT_S = 1.0
"""How long `close` waits for a camera that is just being opened or cannot be interrupted."""


class NoFrameYet(Exception):
    """`read` has waited for as long as it was told to; the source is not lost, as far as is known."""


class NewestFrame(Closing):
    """Owns a thread that reads `source` without pause and keeps its newest frame only; itself a `FrameSource`.

    When `read` is given back the previous frame's pixels, three arrays go round: one being written, one waiting, one in
    the reader's hands; each has one owner at any time. A reader of several sources gives them all the same `changed`,
    waits on that, and reads those that are `ready`.
    """

    live = True
    unreadable: tuple[str, ...] = ()

    def __init__(
        self, source: FrameSource, *, stall_timeout_s: float | None, changed: threading.Condition | None = None
    ) -> None:
        """`stall_timeout_s` is None for a source that survives its stalls by itself."""
        self.name = source.name
        self.dropped = 0
        self._source = source
        self._stall_timeout_s = stall_timeout_s
        self._closing = threading.Event()
        self._changed = changed or threading.Condition()
        # Those below are touched under the condition's lock only.
        self._newest: Frame | None = None
        self._came_s = time.monotonic()
        self._next_number = 0
        self._missed = 0
        self._free: list[Image] = []
        self._ended = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._read_on, name=f"newest frame of {self.name}", daemon=True)
        self._thread.start()

    @property
    def bad_pictures(self) -> int:
        return self._source.bad_pictures

    @property
    def ready(self) -> bool:
        """Whether `read` would return or raise without waiting for a frame."""
        return self._newest is not None or self._ended

    def read(self, reuse: Image | None = None, *, timeout_s: float | None = None) -> Frame | None:
        """The newest frame not given out yet, waiting for one if need be; `dropped` then counts those before it.

        Raises `NoFrameYet` after `timeout_s`, `SourceLost` when for `stall_timeout_s` no frame has come, and whatever
        ended the source.
        """
        with self._changed:
            if reuse is not None:
                self._free.append(reuse)
            self._wait(timeout_s)
            frame, self._newest = self._newest, None
            if frame is None and self._failure is not None:
                raise self._failure
            self.dropped += self._missed
            self._missed = 0
            return frame

    def close(self) -> None:
        """Closes the source and ends the thread; a frame that waits is forgotten.

        A source that takes more than `CLOSE_TIMEOUT_S` to return, as when a camera is just being opened, is left
        behind: the thread ends when it does.
        """
        self._closing.set()
        self._source.close()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _wait(self, timeout_s: float | None) -> None:
        stalled_in_s = None
        if self._stall_timeout_s is not None:
            stalled_in_s = max(0.0, self._came_s + self._stall_timeout_s - time.monotonic())
        limits_s = [limit for limit in (timeout_s, stalled_in_s) if limit is not None]
        if self._changed.wait_for(lambda: self.ready, min(limits_s, default=None)):
            return
        if stalled_in_s is not None and (timeout_s is None or stalled_in_s <= timeout_s):
            waited = f"{self.name} gave no frame for {self._stall_timeout_s:g} s"
            raise SourceLost(f"{waited}; check the camera and its connection, then start again")
        raise NoFrameYet

    def _read_on(self) -> None:
        failure: Exception | None = None
        try:
            spare: Image | None = None
            while not self._closing.is_set() and (frame := self._source.read(spare)) is not None:
                spare = self._publish(frame)
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader is told
            failure = error
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()

    def _publish(self, frame: Frame) -> Image | None:
        """Puts `frame` in the newest one's place; returns pixels that nobody uses now, if there are any."""
        with self._changed:
            if self._newest is not None:
                self._free.append(self._newest.pixels)
                self._missed += 1
            # A source that skips frames itself leaves their numbers out.
            self._missed += frame.number - self._next_number
            self._newest, self._next_number, self._came_s = frame, frame.number + 1, time.monotonic()
            self._changed.notify_all()
            return self._free.pop() if self._free else None
