"""A thread that reads a source ahead of the classifier: the newest frame of a camera, every frame of a file."""

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
"""Longest time that closing waits for a camera that is being opened or cannot be interrupted."""

Prepare = Callable[[Image, Image | None], Image | None]
"""Function that preprocesses a frame's pixels (uint8 HWC RGB) for the classifier.

It writes into the array in its second argument, if that is not None. It returns None for a frame that it cannot
preprocess.
"""


class NoFrameYet(Exception):
    """`read` reached its timeout; as far as is known, the source is not lost."""


class FedFrame(NamedTuple):
    """A frame from a feed, with its preprocessed pixels if the feed prepares them."""

    frame: Frame
    prepared: PreparedFrame | None


class Feed(Closeable):
    """Owns a thread that reads a source, and the frame that waits for its reader.

    With a live source, a new frame replaces one that nobody has read yet. With any other source, the thread waits until
    its frame is read. Capture, decoding and `prepare` therefore run while the caller's thread runs the network.

    If the caller hands each frame back to `read`, three sets of arrays are reused in turn: one is being written, one
    waits, and one belongs to the reader. Each has exactly one owner at any time.

    To read several feeds in one thread, create them with the same `changed`, wait on that, and read those that are
    `ready`.
    """

    def __init__(
        self,
        source: FrameSource,
        *,
        stall_timeout_s: float | None,
        prepare: Prepare | None = None,
        changed: threading.Condition | None = None,
    ) -> None:
        """Start to read.

        Args:
            source: An open source. `close` closes it.
            stall_timeout_s: Time without a frame, in seconds, after which a live source is lost; None for a source
                that handles stalls itself.
            prepare: Preprocesses each frame in the feed's thread; None to leave that to the reader.
            changed: Condition that is notified when a frame arrives or the source ends; by default a new one.
        """
        self.dropped = 0
        self._source = source
        self._prepare = prepare
        self._stall_timeout_s = stall_timeout_s if source.live else None
        self._closing = threading.Event()
        self._changed = changed or threading.Condition()
        # The attributes below are accessed only under the condition's lock.
        self._waiting: FedFrame | None = None
        self._arrived_s = time.monotonic()
        self._next_number = 0
        self._missed = 0
        self._free: list[FedFrame] = []
        self._ended = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._read_frames, name=f"feed of {source.name}", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """True if `read` would return or raise without waiting for a frame."""
        return self._waiting is not None or self._ended

    def read(self, reuse: FedFrame | None = None, *, timeout_s: float | None = None) -> FedFrame | None:
        """Return the next frame, waiting for it if necessary, and add the frames missed before it to `dropped`.

        Args:
            reuse: An earlier frame that the caller no longer needs; its arrays are written again.
            timeout_s: Longest time to wait in seconds; None for no limit.

        Returns:
            The frame; None after the last one.

        Raises:
            NoFrameYet: No frame arrived within `timeout_s`.
            SourceLost: No frame arrived within the stall timeout, or the source was lost.
            Exception: Any other error that ended the source.
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
        """Close the source, end the thread and discard the waiting frame; see `close_feeds`."""
        close_feeds([self])

    def _wait(self, timeout_s: float | None) -> None:
        stalled_in_s = None
        if self._stall_timeout_s is not None:
            stalled_in_s = max(0.0, self._arrived_s + self._stall_timeout_s - time.monotonic())
        limits_s = [limit for limit in (timeout_s, stalled_in_s) if limit is not None]
        if self._changed.wait_for(lambda: self.ready, min(limits_s, default=None)):
            return
        if stalled_in_s is not None and (timeout_s is None or stalled_in_s <= timeout_s):
            waited = f"{self._source.name} gave no frame for {self._stall_timeout_s:g} s"
            raise SourceLost(f"{waited}; check the camera and its connection, then start again")
        raise NoFrameYet

    def _read_frames(self) -> None:
        failure: Exception | None = None
        try:
            spare: FedFrame | None = None
            while not self._closing.is_set():
                frame = self._source.read(spare.frame.pixels if spare else None)
                if frame is None:
                    break
                spare = self._publish(FedFrame(frame, self._prepare_frame(frame, spare)))
        except Exception as error:  # noqa: BLE001 - `read` raises it in the reader's thread
            failure = error
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()

    def _prepare_frame(self, frame: Frame, spare: FedFrame | None) -> PreparedFrame | None:
        if self._prepare is None:
            return None
        started_ns = time.perf_counter_ns()
        pixels = self._prepare(frame.pixels, spare.prepared.pixels if spare and spare.prepared else None)
        return None if pixels is None else PreparedFrame(pixels, (time.perf_counter_ns() - started_ns) / 1e6)

    def _publish(self, fed: FedFrame) -> FedFrame | None:
        """Offer a frame to the reader; return one whose arrays are free for reuse, if there is one."""
        with self._changed:
            if self._source.live:
                self._replace_waiting(fed.frame.number)
            else:
                self._changed.wait_for(lambda: self._waiting is None or self._closing.is_set())
            self._waiting, self._next_number, self._arrived_s = fed, fed.frame.number + 1, time.monotonic()
            self._changed.notify_all()
            return self._free.pop() if self._free else None

    def _replace_waiting(self, number: int) -> None:
        """Discard the waiting frame, and count the frames that the reader misses before the frame `number`."""
        if self._waiting is not None:
            self._free.append(self._waiting)
            self._missed += 1
        # Numbers are not consecutive if the source itself skips frames.
        self._missed += number - self._next_number

    def _begin_close(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._source.close()


def close_feeds(feeds: Sequence[Feed]) -> None:
    """Close all feeds at the same time, which takes no longer than closing one.

    If a source does not return within `CLOSE_TIMEOUT_S`, for example because its camera is being opened, it is left
    behind. Its thread ends when the source returns.

    Args:
        feeds: Feeds to close; those that are closed already are accepted.
    """
    for feed in feeds:
        feed._begin_close()
    deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
    for feed in feeds:
        feed._thread.join(max(0.0, deadline_s - time.monotonic()))
