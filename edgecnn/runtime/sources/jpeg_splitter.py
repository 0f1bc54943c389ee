"""Extraction of JPEG pictures from a byte stream that may contain anything between them."""

from __future__ import annotations

import re

MAX_PICTURE_BYTES = 16 << 20
"""Longest picture; anything that claims to be longer did not come from a camera."""

_START = b"\xff\xd8\xff"
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))
_FILL = 0xFF
_LOWEST_MARKER = 0xC0
"""Lowest marker in use that is followed by a length."""

# In entropy-coded data FF is followed by 00 or a restart marker; anything else (after fill bytes) is the next segment.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


class JpegSplitter:
    """Owner of the bytes of the picture being received; between calls never more than `max_bytes` of them.

    Segments are skipped by their lengths, because the end of a thumbnail inside the EXIF data is not the end of the
    picture. Where no marker follows a segment, or a new picture starts inside a picture, the picture is truncated: it
    is counted in `bad_pictures`, and the search for the next one resumes there. The result does not depend on how the
    stream is divided into chunks.
    """

    def __init__(self, max_bytes: int = MAX_PICTURE_BYTES) -> None:
        self.bad_pictures = 0
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        # Once a start is found, the picture begins at index 0 of `_buffer` and is parsed up to `_position`.
        self._position = 0
        self._segment = 0
        self._in_picture = False
        self._in_scan = False

    @property
    def buffered_bytes(self) -> int:
        """Number of bytes kept for the next call."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Append a chunk of the stream and return the pictures that it completes, each from SOI to EOI."""
        self._buffer += chunk
        pictures: list[bytes] = []
        while self._in_picture or self._find_start():
            end = self._find_end()
            if end is None:
                break
            if end:
                pictures.append(bytes(self._buffer[:end]))
                self._drop(end)
        return pictures

    def end(self) -> None:
        """Mark the end of the stream: a picture that has begun is truncated."""
        if self._in_picture:
            self._give_up(len(self._buffer))

    def _find_start(self) -> bool:
        start = self._buffer.find(_START)
        if start < 0:
            # The last two bytes may be the beginning of a start.
            del self._buffer[: max(0, len(self._buffer) - len(_START) + 1)]
            return False
        self._drop(start)
        self._in_picture, self._position, self._segment = True, 2, 2
        return True

    def _find_end(self) -> int | None:
        """Return the end of the picture at index 0, None if it has not arrived yet, or 0 if the picture was dropped."""
        while self._in_picture:
            # Bytes beyond the longest picture are ignored, so that the result does not depend on whether they are here.
            available = min(len(self._buffer), self._max_bytes)
            end = self._next_in_scan(available) if self._in_scan else self._next_segment(available)
            if end:
                return end
            if end is None:
                return None if available < self._max_bytes else self._give_up(available)
        return 0

    def _next_in_scan(self, available: int) -> int | None:
        """Skip the entropy-coded data; return 0 if the marker after it has arrived, otherwise None."""
        match = _MARKER_IN_SCAN.search(self._buffer, self._position, available)
        if match is None:
            # A trailing FF is searched again together with the byte that follows it.
            self._position = max(self._position, available - 1)
            return None
        self._position = match.start()
        self._in_scan = False
        return 0

    def _next_segment(self, available: int) -> int | None:
        """Skip the segment at `_position`; return the end of the picture if it is the last, 0 if not."""
        if self._position + 2 > available:
            return None
        lead, marker = self._buffer[self._position], self._buffer[self._position + 1]
        if lead != _FILL:
            # The length of the previous segment was wrong: search again right after its marker.
            return self._give_up(self._segment + 2)
        if marker == _SOI:
            return self._give_up(self._position)
        if marker == _EOI:
            return self._position + 2
        if marker == _FILL:
            self._position += 1
            return 0
        return self._skip_segment(marker, available)

    def _skip_segment(self, marker: int, available: int) -> int | None:
        size = 2
        if marker not in _BARE_MARKERS:
            if self._position + 4 > available:
                return None
            length = int.from_bytes(self._buffer[self._position + 2 : self._position + 4], "big")
            if marker < _LOWEST_MARKER or length < 2 or self._position + 2 + length > self._max_bytes:
                return self._give_up(self._position + 2)
            size += length
        self._segment = self._position
        self._position += size
        self._in_scan = marker == _SOS
        return 0

    def _give_up(self, resume: int) -> int:
        self.bad_pictures += 1
        self._drop(resume)
        return 0

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._in_picture = self._in_scan = False
