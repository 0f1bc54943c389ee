"""A simulated camera: a test pattern with the frame number in the picture."""

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
_MIN_SIDE_PX = 64
_MAX_SIDE_PX = 8192

# Lit segments of each digit: a is the top, b to f follow clockwise, and g is the middle. OpenCV's text rendering would
# cost 10 MB for its font.
_SEGMENTS = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")

_TEXT = re.compile(r"pattern(?::(?P<width>\d+)x(?P<height>\d+))?(?:@(?P<fps>\d+(?:\.\d+)?))?", re.ASCII)

_BARS = ((255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0))


class PatternSource(Closeable):
    """Owner of the pattern's background and digits, which are drawn once and copied into each frame.

    The frame number is shown in digits, and along the lower edge as 32 black and white blocks, lowest bit first (see
    `pattern_number`). With a frame rate above 0 the source is live: it waits until the next frame is due, and frames
    that nobody read in time are dropped. With a rate of 0, frames come without a pause and none is dropped. The pattern
    never ends.
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
        """Wait until the next frame is due and return it, in `reuse` if that has the size of the pattern.

        Raises:
            SourceLost: If the source was closed.
        """
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
        """End a `read` that is waiting in another thread."""
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
        for index in range(_DIGITS):
            left = right - (index + 1) * glyph_width
            pixels[top : top + glyph_height, left : left + glyph_width] = self._glyphs[number // 10**index % 10]


def is_pattern(text: str) -> bool:
    """Return True if a source is a test pattern and not a file.

    Args:
        text: Value of `--source`.

    Returns:
        True for `pattern` and for text that begins with `pattern:` or `pattern@`.
    """
    return re.match(r"pattern(?:[:@]|$)", text) is not None


def open_pattern(text: str, options: SourceOptions) -> PatternSource:
    """Open a test pattern.

    Args:
        text: `pattern[:WIDTHxHEIGHT][@FPS]`.
        options: Size and frame rate to use where `text` gives none.

    Returns:
        The source.

    Raises:
        SourceError: If `text` is malformed, a value is out of range, or `options` request a pixel format.
    """
    match = _TEXT.fullmatch(text)
    options.refuse_fourcc(text)
    if match is None:
        raise SourceError(f"expected a test pattern such as pattern, pattern:1280x720@30 or pattern@0, got {text}")
    height, width = (options.height, options.width) if options.height else _DEFAULT_HEIGHT_WIDTH
    if match["width"]:
        height, width = int(match["height"]), int(match["width"])
    fps = float(match["fps"]) if match["fps"] else options.fps or _DEFAULT_FPS
    if height is None or width is None or not all(_MIN_SIDE_PX <= side <= _MAX_SIDE_PX for side in (height, width)):
        raise SourceError(f"expected a test pattern of {_MIN_SIDE_PX} to {_MAX_SIDE_PX} pixels per side, got {text}")
    if fps > 1000:
        raise SourceError(f"expected a test pattern of at most 1000 frames per second, or @0 for no pause, got {text}")
    return PatternSource(height, width, fps)


def pattern_number(pixels: Image) -> int:
    """Read the frame number from a picture of the test pattern.

    Args:
        pixels: uint8 [height, width, 3], RGB, in the original size; JPEG compression does no harm.

    Returns:
        The frame number.
    """
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
    """Draw the ten digits in seven segments, white on black: uint8 [10, height, width, 3]."""
    glyph_height, glyph_width = max(8, height // 8), width // (_DIGITS + 2)
    thickness = max(1, min(glyph_height, glyph_width) // 6)
    top, left = glyph_height // 8, glyph_width // 6
    bottom, right, middle = glyph_height - top, glyph_width - left, glyph_height // 2
    segments = {
        "a": (slice(top, top + thickness), slice(left, right)),
        "b": (slice(top, middle), slice(right - thickness, right)),
        "c": (slice(middle, bottom), slice(right - thickness, right)),
        "d": (slice(bottom - thickness, bottom), slice(left, right)),
        "e": (slice(middle, bottom), slice(left, left + thickness)),
        "f": (slice(top, middle), slice(left, left + thickness)),
        "g": (slice(middle - thickness // 2, middle - thickness // 2 + thickness), slice(left, right)),
    }
    glyphs = np.zeros((10, glyph_height, glyph_width, 3), np.uint8)
    for glyph, lit in zip(glyphs, _SEGMENTS, strict=True):
        for segment in lit:
            glyph[segments[segment]] = 255
    return glyphs
