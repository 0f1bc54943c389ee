"""Cameras, network streams and video files, through OpenCV."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import SourceError, SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image
from edgecnn.core.settings.command_settings import STALL_TIMEOUT_S
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.sources.guard import ReleaseGuard


class CaptureSource(Closeable):
    """Owns an opened `cv2.VideoCapture` and the array that it decodes into."""

    dropped = 0
    unreadable: tuple[str, ...] = ()

    def __init__(
        self, capture: cv2.VideoCapture, *, name: str, live: bool, stall_timeout_s: float = STALL_TIMEOUT_S
    ) -> None:
        self.name = name
        self.live = live
        self.bad_pictures = 0
        self._capture = capture
        self._stall_timeout_s = stall_timeout_s
        self._decoded: NDArray[Any] | None = None
        self._number = 0
        # To release a capture while another thread reads from it crashes the process.
        self._guard = ReleaseGuard(capture.release)

    def read(self, reuse: Image | None = None) -> Frame | None:
        """The next frame; None at the end of a file, `SourceLost` where a camera gives no more.

        Garbage from a camera that has given frames before is counted and passed over, for as long as it may stall.
        `capture_ms` of a live source starts when the picture is there, since waiting for it is no work; a file's starts
        with the call.
        """
        with self._guard:
            deadline_s = time.monotonic() + self._stall_timeout_s
            while not self._guard.closed.is_set():
                started_ns = time.monotonic_ns()
                if not self._capture.grab():
                    break
                captured_at, captured_ns = time.time(), time.monotonic_ns()
                pixels = self._pixels(reuse)
                if pixels is not None:
                    since_ns = captured_ns if self.live else started_ns
                    capture_ms = (time.monotonic_ns() - since_ns) / 1e6
                    frame = Frame(pixels, self.name, self._number, captured_at, captured_ns, capture_ms)
                    self._number += 1
                    return frame
                if not self.live or time.monotonic() > deadline_s:
                    break
            self._end()
            return None

    def close(self) -> None:
        """Releases the device; a `read` under way in another thread does so when it ends."""
        self._guard.close()

    def _pixels(self, reuse: Image | None) -> Image | None:
        """RGB of what was grabbed; None for what cannot be decoded."""
        decoded, self._decoded = self._capture.retrieve(self._decoded)
        try:
            if decoded and self._decoded is not None:
                return rgb_of(self._decoded, self.name, reuse)
        except SourceError:
            # A camera that never gave a picture is set up wrongly, and no waiting would help.
            if not self.live or self._number == 0:
                raise
        self.bad_pictures += 1
        return None

    def _end(self) -> None:
        if self.live and self._guard.closed.is_set():
            raise SourceLost(f"{self.name} was closed")
        if self.live:
            raise SourceLost(f"{self.name} gives no more frames; check the camera and its connection, then start again")
        if self._number == 0:
            raise SourceError(f"expected a video, no frame of {self.name} can be decoded; check that it plays")


def rgb_of(decoded: NDArray[Any], name: str, reuse: Image | None = None) -> Image:
    """RGB of what OpenCV decoded (BGR), written into `reuse` where that has the right shape.

    Raises `SourceError` for anything but uint8 HWC with 3 channels: a camera whose pixel format OpenCV does not decode
    hands back its bytes in one row.
    """
    check_picture(decoded, name)
    rgb = reuse if reuse is not None and reuse.shape == decoded.shape else np.empty(decoded.shape, np.uint8)
    cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=rgb)
    return rgb


def check_picture(decoded: NDArray[Any], name: str) -> None:
    """Raises `SourceError` for what has not the type and shape of a color picture, uint8 HWC."""
    if decoded.ndim != 3 or decoded.shape[2] != 3 or min(decoded.shape[:2]) < 2 or decoded.dtype != np.uint8:
        raise SourceError(
            f"{name}: expected frames of height x width x 3 bytes, got {decoded.dtype} of shape {decoded.shape}; "
            "its pixel format is not decoded here, set another with v4l2-ctl --set-fmt-video=pixelformat=MJPG"
        )
