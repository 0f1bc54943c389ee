"""Cameras, network streams and video files, through OpenCV."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import SourceError, SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image


class CaptureSource:
    """Owns an opened `cv2.VideoCapture` and the array that it decodes into."""

    dropped = 0
    unreadable: tuple[str, ...] = ()

    def __init__(self, capture: cv2.VideoCapture, *, name: str, live: bool) -> None:
        self.name = name
        self.live = live
        self._capture = capture
        self._decoded: NDArray[Any] | None = None
        self._number = 0
        # To release a capture while another thread reads from it crashes the process.
        self._lock = threading.Lock()

    def read(self, reuse: Image | None = None) -> Frame | None:
        """The next frame; None at the end of a file, `SourceLost` where a camera gives no more.

        `capture_ms` of a live source starts when the picture is there, since waiting for it is no work; a file's starts
        with the call.
        """
        with self._lock:
            started_ns = time.monotonic_ns()
            if not self._capture.grab():
                return self._end()
            captured_at, captured_ns = time.time(), time.monotonic_ns()
            decoded, self._decoded = self._capture.retrieve(self._decoded)
            if not decoded or self._decoded is None:
                return self._end()
            pixels = rgb_of(self._decoded, self.name, reuse)
            since_ns = captured_ns if self.live else started_ns
            capture_ms = (time.monotonic_ns() - since_ns) / 1e6
            frame = Frame(pixels, self.name, self._number, captured_at, captured_ns, capture_ms)
            self._number += 1
            return frame

    def close(self) -> None:
        """Releases the device; waits for a `read` under way in another thread."""
        with self._lock:
            self._capture.release()

    def _end(self) -> Frame | None:
        if self.live:
            raise SourceLost(f"{self.name} gives no more frames; check the camera and its connection, then start again")
        if self._number == 0:
            raise SourceError(f"expected a video, no frame of {self.name} can be decoded; check that it plays")
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def rgb_of(decoded: NDArray[Any], name: str, reuse: Image | None = None) -> Image:
    """RGB of what OpenCV decoded (BGR), written into `reuse` where that has the right shape.

    Raises `SourceError` for anything but uint8 HWC with 3 channels: a camera whose pixel format OpenCV does not decode
    hands back its bytes in one row.
    """
    if decoded.ndim != 3 or decoded.shape[2] != 3 or min(decoded.shape[:2]) < 2 or decoded.dtype != np.uint8:
        raise SourceError(
            f"{name}: expected frames of height x width x 3 bytes, got {decoded.dtype} of shape {decoded.shape}; "
            "its pixel format is not decoded here, set another with v4l2-ctl --set-fmt-video=pixelformat=MJPG"
        )
    rgb = reuse if reuse is not None and reuse.shape == decoded.shape else np.empty(decoded.shape, np.uint8)
    cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=rgb)
    return rgb
