"""A camera that is not there: a test pattern with its frame number in the picture."""

from __future__ import annotations

import re
import threading
import time

import numpy as np

from edgecnn.core.errors import SourceError, SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.sources.options import SourceOptions

_BITS = 32
_DIGITS = 10
_DEFAULT_HEIGHT_WIDTH = (480, 640)
_DEFAULT_FPS = 30.0
_SMALLEST_PX = 64
_LARGEST_PX = 8192

# Lit segments: a is the top, then clockwise to f, and g the middle. OpenCV's text would cost 10 MB for its font.
_SEGMENTS = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")

_TEXT = re.compile(r"pattern(?::(?P<width>\d+)x(?P<height>\d+))?(?:@(?P<fps>\d+(?:\.\d+)?))?", re.ASCII)

_BARS = ((255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0))


class PatternSource(Closeable):
    """Owns the pattern's background and digits, drawn once; a frame is copies of them into the array handed back.

    The number stands there in digits, and along the lower edge in 32 black and white blocks, the lowest bit first (see
    `pattern_number`). With a rate it is live: it waits for the next frame's time, and what nobody read then is dropped.
    With a rate of 0 every frame comes at once and none is dropped. It never ends.
    """

    unreadable: tuple[str, ...] = ()
    bad_pictures = 0

    def __init__(self, height: int, width: int, fps: float) -> None:
        self.name = f"pattern:{width}x{height}@{fps:g}"
        self.live = fps > 0
        self.dropped = 0
        self._fps = fps
        self._next = 0
        self._closed = threading.Event()
        self._started_ns = time.monotonic_ns()
        self._background = _background(height, width)
        self._glyphs = _glyphs(height, width)

    def read(self, reuse: Image | None = None) -> Frame | None:
        """The next frame, in `reuse` where that has the pattern's size, when its time comes. `SourceLost` if closed."""
        number = self._next
        if self.live:
            due = int((time.monotonic_ns() - self._started_ns) * self._fps / 1e9)
            self.dropped += max(0, due - number)
            number = max(number, due)
            self._closed.wait(max(0.0, (self._started_ns + number / self._fps * 1e9 - time.monotonic_ns()) / 1e9))
        if self._closed.is_set():
            raise SourceLost(f"{self.name} was closed")
        captured_at, captured_ns = time.time(), time.monotonic_ns()
        fits = reuse is not None and reuse.shape == self._background.shape
        pixels = reuse if reuse is not None and fits else np.empty_like(self._background)
        self._draw(number, pixels)
        self._next = number + 1
        capture_ms = (time.monotonic_ns() - captured_ns) / 1e6
        return Frame(pixels, self.name, number, captured_at, captured_ns, capture_ms)

    def close(self) -> None:
        """Ends a `read` that waits in another thread."""
        self._closed.set()

    def _draw(self, number: int, pixels: Image) -> None:
        np.copyto(pixels, self._background)
        height, width = pixels.shape[:2]
        block_height, block_width = _block_size(height, width)
        for bit in range(_BITS):
            if number >> bit & 1:
                pixels[height - block_height :, bit * block_width : (bit + 1) * block_width] = 255
        glyph_height, glyph_width = self._glyphs.shape[1:3]
        top, right = (height - glyph_height) // 2, (width + _DIGITS * glyph_width) // 2
        for place in range(_DIGITS):
            left = right - (place + 1) * glyph_width
            pixels[top : top + glyph_height, left : left + glyph_width] = self._glyphs[number // 10**place % 10]


def is_pattern(text: str) -> bool:
    """Whether `text` means a test pattern and no file."""
    return re.match(r"pattern(?:[:@]|$)", text) is not None


def open_pattern(text: str, options: SourceOptions) -> PatternSource:
    """`pattern[:WIDTHxHEIGHT][@FPS]`; what the text leaves out is taken from `options`. Raises `SourceError`."""
    found = _TEXT.fullmatch(text)
    options.refuse_fourcc(text)
    if found is None:
        raise SourceError(f"expected a test pattern such as pattern, pattern:1280x720@30 or pattern@0, got {text}")
    height, width = (options.height, options.width) if options.height else _DEFAULT_HEIGHT_WIDTH
    if found["width"]:
        height, width = int(found["height"]), int(found["width"])
    fps = float(found["fps"]) if found["fps"] else options.fps or _DEFAULT_FPS
    if height is None or width is None or not all(_SMALLEST_PX <= side <= _LARGEST_PX for side in (height, width)):
        raise SourceError(f"expected a test pattern of {_SMALLEST_PX} to {_LARGEST_PX} pixels a side, got {text}")
    if fps > 1000:
        raise SourceError(f"expected a test pattern of at most 1000 frames a second, or @0 for no pause, got {text}")
    return PatternSource(height, width, fps)


def pattern_number(pixels: Image) -> int:
    """The number in a pattern's picture (uint8 HWC RGB, in its own size), also after a JPEG."""
    height, width = pixels.shape[:2]
    block_height, block_width = _block_size(height, width)
    row = pixels[height - block_height // 2 - 1]
    return sum(int(row[bit * block_width + block_width // 2, 1] > 127) << bit for bit in range(_BITS))


def _block_size(height: int, width: int) -> tuple[int, int]:
    return max(2, height // 16), width // _BITS


def _background(height: int, width: int) -> Image:
    bars = np.array(_BARS, np.uint8)[np.arange(width) * len(_BARS) // width]
    picture = np.repeat(bars[None], height, axis=0)
    picture[height - _block_size(height, width)[0] :] = 0
    return picture


def _glyphs(height: int, width: int) -> Image:
    """The ten digits in seven segments, white on black: uint8 [10, height, width, 3]."""
    glyph_height, glyph_width = max(8, height // 8), width // (_DIGITS + 2)
    thick = max(1, min(glyph_height, glyph_width) // 6)
    top, left = glyph_height // 8, glyph_width // 6
    bottom, right, middle = glyph_height - top, glyph_width - left, glyph_height // 2
    segments = {
        "a": (slice(top, top + thick), slice(left, right)),
        "b": (slice(top, middle), slice(right - thick, right)),
        "c": (slice(middle, bottom), slice(right - thick, right)),
        "d": (slice(bottom - thick, bottom), slice(left, right)),
        "e": (slice(middle, bottom), slice(left, left + thick)),
        "f": (slice(top, middle), slice(left, left + thick)),
        "g": (slice(middle - thick // 2, middle - thick // 2 + thick), slice(left, right)),
    }
    glyphs = np.zeros((10, glyph_height, glyph_width, 3), np.uint8)
    for glyph, lit in zip(glyphs, _SEGMENTS, strict=True):
        for segment in lit:
            glyph[segments[segment]] = 255
    return glyphs
