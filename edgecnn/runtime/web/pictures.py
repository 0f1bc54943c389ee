"""JPEGs of a camera's newest picture, made for as long as somebody looks."""

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
LONG_SIDE_PX = 1280
FRESH_S = 2.0
"""A picture older than this is not shown to somebody who comes new."""

_QUALITY = 80
_PERIOD_NS = round(1e9 / PICTURES_PER_S)


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame as a JPEG."""

    jpeg: bytes
    serial: int
    """Counts the pictures that were made, from 1."""
    frame: int
    """The frame's number within its source."""
    captured_ns: int
    """Monotonic time."""

    @property
    def age_ms(self) -> float:
        return (time.monotonic_ns() - self.captured_ns) / 1e6


class LivePicture:
    """Owns one copy of a frame's pixels, and the JPEG made of it, which all who look share.

    The copy belongs to the event loop, which lends it to the live loop by asking for a picture; the live loop fills it
    with its next frame and gives it back. Nobody asks while nobody looks: after the last one has gone, one frame more
    is copied at most. All but `offer` is for the event loop's thread.
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
        # Those below are the live loop's while `_asked` is set, and the event loop's while it is not.
        self._asked = False
        self._pixels: Image = np.empty((0, 0, 3), np.uint8)
        self._copied = Picture(b"", 0, 0, 0)
        self._due_ns = 0

    def offer(self, frame: Frame) -> None:
        """For the live loop: copies the frame's pixels if they are asked for. Waits for nothing."""
        if not self._asked or frame.captured_ns < self._due_ns or self._loop is None:
            return
        self._due_ns = max(self._due_ns + _PERIOD_NS, frame.captured_ns)
        if self._pixels.shape != frame.pixels.shape:
            self._pixels = np.empty_like(frame.pixels)
        np.copyto(self._pixels, frame.pixels)
        self._copied = Picture(b"", self._copied.serial + 1, frame.number, frame.captured_ns)
        self._asked = False
        # The event loop may have come to its end meanwhile.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._filled.set)

    async def run(self) -> None:
        """Makes pictures while somebody looks, until it is canceled; that ends every wait for a picture."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wanted.wait()
                self._newest = await self._made(self._loop)
                self._wake()
        finally:
            self._closed = True
            self._wake()

    async def _made(self, loop: asyncio.AbstractEventLoop) -> Picture:
        self._asked = True
        await self._filled.wait()
        self._filled.clear()
        jpeg = await loop.run_in_executor(self._encoder, encode_jpeg, self._pixels)
        return replace(self._copied, jpeg=jpeg)

    async def next(self, wait_s: float, *, shown: int | None = None) -> Picture | None:
        """The next picture, or None if there is none within `wait_s`.

        Somebody who was `shown` the picture of that serial number, and looks again, gets what came in between.
        """
        with self._looked_at():
            if self._newest is not None and shown not in (None, self._newest.serial) and self._is_fresh():
                return self._newest
            try:
                async with asyncio.timeout(wait_s):
                    await self._published.wait()
            except TimeoutError:
                return None
            return None if self._closed else self._newest

    async def stream(self) -> AsyncGenerator[Picture, None]:
        """Picture after picture; who is slow gets the newest one, and none of those before it."""
        with self._looked_at():
            shown = None if self._newest is None or self._is_fresh() else self._newest
            while not self._closed:
                if self._newest is shown:
                    await self._published.wait()
                elif self._newest is not None:
                    shown = self._newest
                    yield shown

    @contextlib.contextmanager
    def _looked_at(self) -> Iterator[None]:
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
        """Those who wait for the next picture go on; those who come later wait for another one."""
        published, self._published = self._published, asyncio.Event()
        published.set()


def encode_jpeg(pixels: Image) -> bytes:
    """A JPEG of uint8 HWC RGB pixels, scaled down to `LONG_SIDE_PX` where they are larger."""
    height, width = pixels.shape[:2]
    shrink = LONG_SIDE_PX / max(height, width)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
