"""JPEGs of the newest picture of a camera, encoded only while there are viewers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image

PICTURES_PER_S = 15
"""Maximum number of pictures per second."""
LONG_SIDE_PX = 1280
"""Maximum length of the longer side; larger pictures are scaled down."""
FRESH_S = 2.0
"""Age above which a picture is not shown to a new viewer."""

_QUALITY = 80
_PERIOD_NS = round(1e9 / PICTURES_PER_S)


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame as a JPEG."""

    jpeg: bytes
    """Encoded picture."""
    serial: int
    """1-based sequence number of the picture."""
    frame: int
    """Number of the frame within its source."""
    captured_ns: int
    """Monotonic time of the capture."""

    @property
    def age_ms(self) -> float:
        """Time since the capture."""
        return (time.monotonic_ns() - self.captured_ns) / 1e6


class LivePicture:
    """Owner of one copy of a frame's pixels and of its JPEG, which all viewers share.

    The copy belongs to the event loop, which lends it to the live loop by requesting a picture; the live loop fills it
    with the next frame and returns it. No picture is requested while there are no viewers: after the last one leaves,
    at most one more frame is copied. All methods except `offer` must be called in the thread of the event loop.
    """

    def __init__(self, encoder: Executor) -> None:
        self._encoder = encoder
        self._newest: Picture | None = None
        self._viewers = 0
        self._closed = False
        self._wanted = asyncio.Event()
        self._filled = asyncio.Event()
        self._published = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        # The attributes below belong to the live loop while `_requested` is set, and to the event loop otherwise.
        self._requested = False
        self._pixels: Image = np.empty((0, 0, 3), np.uint8)
        self._copied = Picture(b"", 0, 0, 0)
        self._due_ns = 0

    def offer(self, frame: Frame) -> None:
        """Copy the pixels of a frame if they are requested. Called by the live loop; never waits."""
        if not self._requested or frame.captured_ns < self._due_ns or self._loop is None:
            return
        self._due_ns = max(self._due_ns + _PERIOD_NS, frame.captured_ns)
        if self._pixels.shape != frame.pixels.shape:
            self._pixels = np.empty_like(frame.pixels)
        np.copyto(self._pixels, frame.pixels)
        self._copied = Picture(b"", self._copied.serial + 1, frame.number, frame.captured_ns)
        self._requested = False
        # The event loop may have ended meanwhile.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._filled.set)

    async def run(self) -> None:
        """Encode pictures while there are viewers, until canceled; that ends every wait for a picture."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wanted.wait()
                self._newest = await self._encode_next(self._loop)
                self._wake()
        finally:
            self._closed = True
            self._wake()

    async def _encode_next(self, loop: asyncio.AbstractEventLoop) -> Picture:
        self._requested = True
        await self._filled.wait()
        self._filled.clear()
        jpeg = await loop.run_in_executor(self._encoder, encode_jpeg, self._pixels)
        return replace(self._copied, jpeg=jpeg)

    async def next(self, wait_s: float, *, shown: int | None = None) -> Picture | None:
        """Wait for the next picture.

        Args:
            wait_s: Longest wait.
            shown: Serial number of the last picture that the viewer got. A newer one is returned immediately if it is
                still fresh.

        Returns:
            The picture, or None if there is none in time.
        """
        with self._viewer():
            if self._newest is not None and shown not in (None, self._newest.serial) and self._is_fresh():
                return self._newest
            try:
                async with asyncio.timeout(wait_s):
                    await self._published.wait()
            except TimeoutError:
                return None
            return None if self._closed else self._newest

    async def stream(self) -> AsyncGenerator[Picture, None]:
        """Yield one picture after another; a slow viewer gets only the newest ones."""
        with self._viewer():
            shown = None if self._newest is None or self._is_fresh() else self._newest
            while not self._closed:
                if self._newest is shown:
                    await self._published.wait()
                elif self._newest is not None:
                    shown = self._newest
                    yield shown

    @contextlib.contextmanager
    def _viewer(self) -> Iterator[None]:
        self._viewers += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._viewers -= 1
            if not self._viewers:
                self._wanted.clear()

    def _is_fresh(self) -> bool:
        return self._newest is not None and self._newest.age_ms < FRESH_S * 1e3

    def _wake(self) -> None:
        """Wake everybody who waits for the next picture; later callers wait for another one."""
        published, self._published = self._published, asyncio.Event()
        published.set()


def encode_jpeg(pixels: Image) -> bytes:
    """Encode a picture as a JPEG.

    Args:
        pixels: uint8 [height, width, 3], RGB.

    Returns:
        The JPEG, scaled down to `LONG_SIDE_PX` if the picture is larger.
    """
    height, width = pixels.shape[:2]
    shrink = LONG_SIDE_PX / max(height, width)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
