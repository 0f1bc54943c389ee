"""The newest frame of a live source, however slow its reader."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from edgecnn.core.errors import SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image
from edgecnn.runtime.sources import FrameSource


class NewestFrame:
    """Owns a thread that reads `source` without pause and keeps its newest frame only; itself a `FrameSource`.

    `source` stays the caller's to close, after this. When `read` is given back the previous frame's pixels, three
    arrays go round: one being written, one waiting, one in the reader's hands; each has one owner at any time.
    """

    live = True
    unreadable: tuple[str, ...] = ()

    def __init__(self, source: FrameSource, *, stall_timeout_s: float) -> None:
        self.name = source.name
        self.dropped = 0
        self._source = source
        self._stall_timeout_s = stall_timeout_s
        self._closing = threading.Event()
        self._changed = threading.Condition()
        # The five below are touched under the condition's lock only.
        self._newest: Frame | None = None
        self._overwritten = 0
        self._free: list[Image] = []
        self._ended = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._read_on, name=f"newest frame of {self.name}", daemon=True)
        self._thread.start()

    def read(self, reuse: Image | None = None) -> Frame | None:
        """The newest frame not given out yet, waiting for one if need be; `dropped` then counts those before it.

        Raises `SourceLost` after `stall_timeout_s` without a frame, and whatever ended the source.
        """
        with self._changed:
            if reuse is not None:
                self._free.append(reuse)
            if not self._changed.wait_for(lambda: self._newest or self._ended, self._stall_timeout_s):
                waited = f"{self.name} gave no frame for {self._stall_timeout_s:g} s"
                raise SourceLost(f"{waited}; check the camera and its connection, then start again")
            frame, self._newest = self._newest, None
            if frame is None and self._failure is not None:
                raise self._failure
            self.dropped += self._overwritten
            self._overwritten = 0
            return frame

    def close(self) -> None:
        """Ends the thread, waiting for the source's `read` under way; a frame that waits is forgotten."""
        self._closing.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
                self._overwritten += 1
            self._newest = frame
            self._changed.notify_all()
            return self._free.pop() if self._free else None
