"""Motion-JPEG from a byte stream: network cameras, the Raspberry Pi camera, FIFOs and stdin."""

from __future__ import annotations

import time
from collections import deque

from edgecnn.core.errors import SourceError, SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image, decode_image
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.sources.byte_stream import ByteStream
from edgecnn.runtime.sources.guard import ReleaseGuard
from edgecnn.runtime.sources.jpeg_splitter import JpegSplitter

_MAX_SKIPPED = 16
"""Number of pictures that a single `read` may skip in favor of newer ones."""


class MotionJpegSource(Closeable):
    """Owner of a byte stream whose pictures follow each other directly or as parts of a multipart message.

    For a live stream, pictures that have already arrived are replaced by the newest: if decoding is slower than the
    camera, frames are dropped and the source does not fall behind. With `ends`, the end of the stream is the end of the
    source; otherwise it counts as a loss.
    """

    unreadable: tuple[str, ...] = ()

    def __init__(
        self,
        stream: ByteStream,
        *,
        name: str,
        stall_timeout_s: float,
        live: bool = True,
        ends: bool = False,
        received: bytes = b"",
    ) -> None:
        self.name = name
        self.live = live
        self.dropped = 0
        self._stream = stream
        self._stall_timeout_s = stall_timeout_s
        self._ends = ends
        self._number = 0
        self._undecodable = 0
        self._splitter = JpegSplitter()
        self._waiting = deque(self._splitter.feed(received))
        self._complete_at, self._complete_ns = time.time(), time.monotonic_ns()
        self._guard = ReleaseGuard(stream.close)

    @property
    def bad_pictures(self) -> int:
        """Number of pictures that were truncated or could not be decoded."""
        return self._splitter.bad_pictures + self._undecodable

    def read(self, reuse: Image | None = None) -> Frame | None:
        """Return the newest decodable picture, or None at the end of a stream that ends.

        `reuse` is ignored, because the decoder allocates its own array.

        Raises:
            SourceLost: If the stream breaks off, is closed, or delivers no picture for the stall timeout.
            SourceError: If a stream that ends contained no picture.
        """
        with self._guard:
            deadline_s = time.monotonic() + self._stall_timeout_s
            while (jpeg := self._next_jpeg(deadline_s)) is not None:
                started_ns = time.monotonic_ns()
                pixels = decode_image(jpeg)
                if pixels is None:
                    self._undecodable += 1
                    continue
                capture_ms = (time.monotonic_ns() - started_ns) / 1e6
                frame = Frame(pixels, self.name, self._number, self._complete_at, self._complete_ns, capture_ms)
                self._number += 1
                return frame
            self._end()
            return None

    def close(self) -> None:
        """Interrupt a `read` running in another thread, which then releases the stream."""
        # Set `closed` first, so that the interrupted read knows why.
        self._guard.closed.set()
        self._stream.interrupt()
        self._guard.close()

    def _next_jpeg(self, deadline_s: float) -> bytes | None:
        """Return the bytes of the next picture, or of the newest for a live stream; None at the end."""
        skipped = 0
        while not self._guard.closed.is_set():
            if self._waiting and not (self.live and skipped < _MAX_SKIPPED and self._stream.ready()):
                break
            chunk = self._receive(deadline_s)
            if not chunk:
                self._splitter.end()
                break
            if pictures := self._splitter.feed(chunk):
                self._complete_at, self._complete_ns = time.time(), time.monotonic_ns()
                self._waiting.extend(pictures)
                skipped += self._skip_all_but_newest() if self.live else 0
        return self._waiting.popleft() if self._waiting else None

    def _receive(self, deadline_s: float) -> bytes:
        left_s = deadline_s - time.monotonic()
        # The deadline is needed even if data keeps arriving: it may never form a picture.
        if left_s > 0 or self._waiting:
            try:
                return self._stream.read_some(max(left_s, 0))
            except TimeoutError:
                # The stream was ready but had nothing readable after all; a picture is waiting.
                if self._waiting:
                    return b""
        bad = f" ({self.bad_pictures} bad pictures)" if self.bad_pictures else ""
        raise SourceLost(
            f"{self.name} sent no frame for {self._stall_timeout_s:g} s{bad}; check the camera and its connection"
        )

    def _skip_all_but_newest(self) -> int:
        skipped = max(0, len(self._waiting) - 1)
        for _ in range(skipped):
            self._waiting.popleft()
        self._number += skipped
        self.dropped += skipped
        return skipped

    def _end(self) -> None:
        if self._guard.closed.is_set():
            raise SourceLost(f"{self.name} was closed")
        if self._ends and self._number:
            return
        if self._ends:
            raise SourceError(f"expected Motion-JPEG from {self.name}, got no picture; check what writes to it")
        message = self._stream.exit_message()
        reason = f" ({message})" if message else ""
        raise SourceLost(f"{self.name} sends no more frames{reason}; check the camera and its connection, then retry")
