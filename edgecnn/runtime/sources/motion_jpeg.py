"""Motion-JPEG from a stream of bytes: network cameras, the Raspberry Pi's camera, FIFOs and stdin."""

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

_MOST_SKIPPED = 16
"""So many pictures at most are passed over for a newer one in a single `read`."""


class MotionJpegSource(Closeable):
    """Owns a byte stream; its pictures may follow each other bare or in a multipart's parts.

    Of a live one, pictures that have come already make way for the newest: a decoder slower than the camera drops
    frames and does not fall behind. With `ends` the end of the stream is the end of the source, else a loss.
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
        """Pictures that came cut or cannot be decoded."""
        return self._splitter.bad_pictures + self._undecodable

    def read(self, reuse: Image | None = None) -> Frame | None:
        """The newest picture that can be decoded; `reuse` is of no use here, as the decoder makes its own array.

        None at the end of a stream that has one. Raises `SourceLost` when the stream breaks off, is closed, or brings
        no picture for `stall_timeout_s`.
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
        """Breaks off a `read` under way in another thread, which then releases the stream."""
        # In this order a read that is broken off knows why.
        self._guard.closed.set()
        self._stream.interrupt()
        self._guard.close()

    def _next_jpeg(self, deadline_s: float) -> bytes | None:
        """The next picture's bytes, or the newest's of a live stream; None at the end."""
        skipped = 0
        while not self._guard.closed.is_set():
            if self._waiting and not (self.live and skipped < _MOST_SKIPPED and self._stream.ready()):
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
        # Bytes may come without end and be no picture.
        if left_s > 0 or self._waiting:
            try:
                return self._stream.read_some(max(left_s, 0))
            except TimeoutError:
                # What was there was less than anything that can be read, and a picture is waiting.
                if self._waiting:
                    return b""
        bad = f", {self.bad_pictures} were bad" if self.bad_pictures else ""
        raise SourceLost(
            f"{self.name} gave no frame for {self._stall_timeout_s:g} s{bad}; check the camera and its connection"
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
            raise SourceError(f"expected Motion-JPEG from {self.name}, no picture came; check what writes to it")
        said = self._stream.last_words()
        reason = f" ({said})" if said else ""
        raise SourceLost(f"{self.name} gives no more frames{reason}; check the camera and its connection, then retry")
