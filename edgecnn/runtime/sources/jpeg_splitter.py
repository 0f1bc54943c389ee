"""Pictures out of a stream of bytes that has JPEGs in it, and whatever else between them."""

from __future__ import annotations

import re

LONGEST_PICTURE_BYTES = 16 << 20
"""What claims to be longer is no picture of a camera."""

_START = b"\xff\xd8\xff"
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))
_FILL = 0xFF
_LOWEST_MARKER = 0xC0
"""Of those that have a length and are in use."""

# In entropy-coded data FF is followed by 00 or a restart marker; anything else (after fill bytes) is the next segment.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


class JpegSplitter:
    """Owns the bytes of the one picture that has begun; between calls never more than `longest_bytes` of them.

    Segments are walked by their lengths: the end of a thumbnail inside a picture's EXIF is not the picture's end. Where
    the walk finds no marker, or a start in the middle, the picture was cut: it counts in `bad_pictures`, and the search
    for the next one goes on from there. What comes out does not depend on how the stream was cut into chunks.
    """

    def __init__(self, longest_bytes: int = LONGEST_PICTURE_BYTES) -> None:
        self.bad_pictures = 0
        self._longest_bytes = longest_bytes
        self._held = bytearray()
        # Within `_held`: a picture, once its start was found, begins at 0 and is understood up to here.
        self._at = 0
        self._segment = 0
        self._inside = False
        self._in_scan = False

    @property
    def held_bytes(self) -> int:
        return len(self._held)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The pictures that `chunk` completes, each from SOI to EOI."""
        self._held += chunk
        pictures: list[bytes] = []
        while self._inside or self._find_start():
            end = self._find_end()
            if end is None:
                break
            if end:
                pictures.append(bytes(self._held[:end]))
                self._drop(end)
        return pictures

    def end(self) -> None:
        """The stream is over: a picture that has begun was cut."""
        if self._inside:
            self._give_up(len(self._held))

    def _find_start(self) -> bool:
        start = self._held.find(_START)
        if start < 0:
            # The last two bytes may be the beginning of a start.
            del self._held[: max(0, len(self._held) - len(_START) + 1)]
            return False
        self._drop(start)
        self._inside, self._at, self._segment = True, 2, 2
        return True

    def _find_end(self) -> int | None:
        """Where the picture at 0 ends; None while that has not come yet; 0 if it was bad and has been given up."""
        while self._inside:
            # Bytes beyond the longest picture decide nothing, so that it is the same whether they are here already.
            have = min(len(self._held), self._longest_bytes)
            end = self._next_in_scan(have) if self._in_scan else self._next_segment(have)
            if end:
                return end
            if end is None:
                return None if have < self._longest_bytes else self._give_up(have)
        return 0

    def _next_in_scan(self, have: int) -> int | None:
        """Goes on to the marker after the entropy-coded data: 0 if it is there."""
        found = _MARKER_IN_SCAN.search(self._held, self._at, have)
        if found is None:
            # A last FF is looked at again together with what follows it.
            self._at = max(self._at, have - 1)
            return None
        self._at = found.start()
        self._in_scan = False
        return 0

    def _next_segment(self, have: int) -> int | None:
        """Steps over the segment at `_at`: 0 if it is no end, else the end of the picture."""
        if self._at + 2 > have:
            return None
        lead, marker = self._held[self._at], self._held[self._at + 1]
        if lead != _FILL:
            # The segment before said a length that leads nowhere: look again behind its marker.
            return self._give_up(self._segment + 2)
        if marker == _SOI:
            return self._give_up(self._at)
        if marker == _EOI:
            return self._at + 2
        if marker == _FILL:
            self._at += 1
            return 0
        return self._step_over(marker, have)

    def _step_over(self, marker: int, have: int) -> int | None:
        size = 2
        if marker not in _BARE_MARKERS:
            if self._at + 4 > have:
                return None
            length = int.from_bytes(self._held[self._at + 2 : self._at + 4], "big")
            if marker < _LOWEST_MARKER or length < 2 or self._at + 2 + length > self._longest_bytes:
                return self._give_up(self._at + 2)
            size += length
        self._segment = self._at
        self._at += size
        self._in_scan = marker == _SOS
        return 0

    def _give_up(self, resume: int) -> int:
        self.bad_pictures += 1
        self._drop(resume)
        return 0

    def _drop(self, count: int) -> None:
        del self._held[:count]
        self._inside = self._in_scan = False
