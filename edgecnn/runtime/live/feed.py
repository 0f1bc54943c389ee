"""A thread that reads a source ahead of the classifier: the newest frame of a camera, each one of a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from edgecnn.core.errors import SourceLost
from edgecnn.core.frame import Frame, PreparedFrame
from edgecnn.core.preprocess import Image
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.sources import FrameSource

CLOSE_TIMEOUT_S = 0.4
"""How long closing waits for a camera that is just being opened or cannot be interrupted."""

Prepare = Callable[[Image, Image | None], Image | None]
"""Makes the classifier's pixels of a frame's (uint8 HWC RGB), in the array given second where there is one.

None where there is nothing to be made of this frame.
"""


class NoFrameYet(Exception):
    """`read` has waited for as long as it was told to; the source is not lost, as far as is known."""


class FedFrame(NamedTuple):
    """A frame, and what the classifier needs of it where that is made ahead."""

    frame: Frame
    prepared: PreparedFrame | None


class Feed(Closeable):
    """Owns a thread that reads `source`, and what it read last.

    Of a live source the newest frame takes the place of one that nobody has read; of any other the thread waits until
    it is read. Capture, decoding and `prepare` thus go on while the caller's thread runs the network. When `read` is
    given back the previous frame, three sets of arrays go round: one being written, one waiting, one in the reader's
    hands; each has one owner at any time. A reader of several feeds gives them all the same `changed`, waits on that,
    and reads those that are `ready`.
    """

    def __init__(
        self,
        source: FrameSource,
        *,
        stall_timeout_s: float | None,
        prepare: Prepare | None = None,
        changed: threading.Condition | None = None,
    ) -> None:
        """`stall_timeout_s` is None for a source that survives its stalls by itself, and counts for live ones only."""
        self.dropped = 0
        self._source = source
        self._prepare = prepare
        self._stall_timeout_s = stall_timeout_s if source.live else None
        self._closing = threading.Event()
        self._changed = changed or threading.Condition()
        # Those below are touched under the condition's lock only.
        self._waiting: FedFrame | None = None
        self._came_s = time.monotonic()
        self._next_number = 0
        self._missed = 0
        self._free: list[FedFrame] = []
        self._ended = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._read_on, name=f"feed of {source.name}", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether `read` would return or raise without waiting for a frame."""
        return self._waiting is not None or self._ended

    def read(self, reuse: FedFrame | None = None, *, timeout_s: float | None = None) -> FedFrame | None:
        """The next frame not given out yet, waiting for one if need be; `dropped` then counts those missed before it.

        None after the last. `reuse` is an earlier one that the caller has no more use for. Raises `NoFrameYet` after
        `timeout_s`, `SourceLost` when for `stall_timeout_s` no frame has come, and whatever ended the source.
        """
        with self._changed:
            if reuse is not None:
                self._free.append(reuse)
            self._wait(timeout_s)
            fed, self._waiting = self._waiting, None
            if fed is None and self._failure is not None:
                raise self._failure
            self.dropped += self._missed
            self._missed = 0
            self._changed.notify_all()
            return fed

    def close(self) -> None:
        """Closes the source and ends the thread; a frame that waits is forgotten. See `close_feeds`."""
        close_feeds([self])

    def _wait(self, timeout_s: float | None) -> None:
        stalled_in_s = None
        if self._stall_timeout_s is not None:
            stalled_in_s = max(0.0, self._came_s + self._stall_timeout_s - time.monotonic())
        limits_s = [limit for limit in (timeout_s, stalled_in_s) if limit is not None]
        if self._changed.wait_for(lambda: self.ready, min(limits_s, default=None)):
            return
        if stalled_in_s is not None and (timeout_s is None or stalled_in_s <= timeout_s):
            waited = f"{self._source.name} gave no frame for {self._stall_timeout_s:g} s"
            raise SourceLost(f"{waited}; check the camera and its connection, then start again")
        raise NoFrameYet

    def _read_on(self) -> None:
        failure: Exception | None = None
        try:
            spare: FedFrame | None = None
            while not self._closing.is_set():
                frame = self._source.read(spare.frame.pixels if spare else None)
                if frame is None:
                    break
                spare = self._publish(FedFrame(frame, self._prepared(frame, spare)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader is told
            failure = error
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()

    def _prepared(self, frame: Frame, spare: FedFrame | None) -> PreparedFrame | None:
        if self._prepare is None:
            return None
        started_ns = time.perf_counter_ns()
        pixels = self._prepare(frame.pixels, spare.prepared.pixels if spare and spare.prepared else None)
        return None if pixels is None else PreparedFrame(pixels, (time.perf_counter_ns() - started_ns) / 1e6)

    def _publish(self, fed: FedFrame) -> FedFrame | None:
        """Puts `fed` where the reader finds it; returns one that nobody uses now, if there is any."""
        with self._changed:
            if self._source.live:
                self._make_room(fed.frame.number)
            else:
                self._changed.wait_for(lambda: self._waiting is None or self._closing.is_set())
            self._waiting, self._next_number, self._came_s = fed, fed.frame.number + 1, time.monotonic()
            self._changed.notify_all()
            return self._free.pop() if self._free else None

    def _make_room(self, number: int) -> None:
        """Counts what the frame of that `number` makes its reader miss."""
        if self._waiting is not None:
            self._free.append(self._waiting)
            self._missed += 1
        # A source that skips frames itself leaves their numbers out.
        self._missed += number - self._next_number

    def _begin_close(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._source.close()


def close_feeds(feeds: Sequence[Feed]) -> None:
    """Closes all of them at once, in the time of one.

    A source that takes more than `CLOSE_TIMEOUT_S` to return, as when a camera is just being opened, is left behind:
    its thread ends when it does.
    """
    for feed in feeds:
        feed._begin_close()
    deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
    for feed in feeds:
        feed._thread.join(max(0.0, deadline_s - time.monotonic()))
