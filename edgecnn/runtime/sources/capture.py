"""Cameras, network streams and video files read through OpenCV."""

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
    """Owner of an open `cv2.VideoCapture` and of the array it decodes into."""

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
        # Releasing a capture while another thread reads from it crashes the process.
        self._guard = ReleaseGuard(capture.release)

    def read(self, reuse: Image | None = None) -> Frame | None:
        """Return the next frame, or None at the end of a file.

        Undecodable pictures from a camera that has delivered frames before are counted and skipped for up to the stall
        timeout. `capture_ms` of a live source starts when the picture has arrived, because waiting for it is not work;
        that of a file starts with the call.

        Raises:
            SourceLost: If a camera delivers no more frames, or the source was closed.
            SourceError: If no frame of a file, or not even the first frame of a camera, can be decoded.
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
        """Release the device; if another thread is in `read`, that thread releases it when the read ends."""
        self._guard.close()

    def _pixels(self, reuse: Image | None) -> Image | None:
        """Return the grabbed picture as RGB, or None if it cannot be decoded."""
        decoded, self._decoded = self._capture.retrieve(self._decoded)
        try:
            if decoded and self._decoded is not None:
                return rgb_of(self._decoded, self.name, reuse)
        except SourceError:
            # A camera that has never delivered a picture is configured wrongly; waiting would not help.
            if not self.live or self._number == 0:
                raise
        self.bad_pictures += 1
        return None

    def _end(self) -> None:
        if self.live and self._guard.closed.is_set():
            raise SourceLost(f"{self.name} was closed")
        if self.live:
            raise SourceLost(f"{self.name} sends no more frames; check the camera and its connection, then start again")
        if self._number == 0:
            raise SourceError(f"no frame of {self.name} can be decoded; check that the video plays")


def rgb_of(decoded: NDArray[Any], name: str, reuse: Image | None = None) -> Image:
    """Convert a picture decoded by OpenCV from BGR to RGB.

    Args:
        decoded: Picture as uint8 [height, width, 3], BGR.
        name: Name of the source, for error messages.
        reuse: Array to write into; ignored unless it has the shape of `decoded`.

    Returns:
        The picture as uint8 [height, width, 3], RGB.

    Raises:
        SourceError: If `decoded` has another type or shape. A camera whose pixel format OpenCV does not decode returns
            its raw bytes as a single row.
    """
    check_picture(decoded, name)
    rgb = reuse if reuse is not None and reuse.shape == decoded.shape else np.empty(decoded.shape, np.uint8)
    cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=rgb)
    return rgb


def check_picture(decoded: NDArray[Any], name: str) -> None:
    """Check that an array has the type and shape of a color picture.

    Args:
        decoded: Array that should be uint8 [height, width, 3].
        name: Name of the source, for error messages.

    Raises:
        SourceError: If it is not.
    """
    if decoded.ndim != 3 or decoded.shape[2] != 3 or min(decoded.shape[:2]) < 2 or decoded.dtype != np.uint8:
        raise SourceError(
            f"{name}: expected frames of height x width x 3 bytes, got {decoded.dtype} of shape {decoded.shape}; "
            "its pixel format is not supported, choose another with v4l2-ctl --set-fmt-video=pixelformat=MJPG"
        )
