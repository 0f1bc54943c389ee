"""A window that shows what the camera sees and what the classifier makes of it."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np

from edgecnn.core.errors import InputError
from edgecnn.core.preprocess import Image
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.sinks import FrameRate, Result, StopRun

_ESCAPE = 27
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PROBE_TIMEOUT_S = 60.0
_PROBE = "import cv2; cv2.namedWindow('probe'); cv2.destroyAllWindows()"


class Display(Closeable):
    """A sink that owns an OpenCV window; q, Esc or closing it ends the run. Made by `open_display`."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._rate = FrameRate()
        self._canvas: Image = np.empty((0, 0, 3), np.uint8)
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def __call__(self, result: Result, /) -> None:
        # Asked before imshow, which would open a closed window anew.
        if not self._is_open():
            raise StopRun("window closed")
        pixels = result.frame.pixels
        if self._canvas.shape != pixels.shape:
            self._canvas = np.empty_like(pixels)
            cv2.resizeWindow(self._title, pixels.shape[1], pixels.shape[0])
        cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR, dst=self._canvas)
        draw_caption(self._canvas, result, self._rate.tick())
        cv2.imshow(self._title, self._canvas)
        if cv2.waitKey(1) & 0xFF in (ord("q"), _ESCAPE):
            raise StopRun("window closed")

    def close(self) -> None:
        """Closes the window, if it still is there."""
        if self._is_open():
            cv2.destroyWindow(self._title)

    def _is_open(self) -> bool:
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # what Qt answers when the last window is gone
            return False


def open_display(title: str = "edgecnn") -> Display:
    """Opens a window. Raises `InputError` where there is no screen, or an OpenCV that cannot draw on it."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(
            "--display needs a screen, DISPLAY and WAYLAND_DISPLAY are not set; run it on the desktop, or leave it out"
        )
    if not cv2.currentUIFramework():
        raise InputError(
            "--display needs an OpenCV with windows, this one is headless; pip install opencv-python in its place"
        )
    if not _window_opens():
        raise InputError(
            "--display needs a screen and none answers at DISPLAY or WAYLAND_DISPLAY; check both, or leave it out"
        )
    return Display(title)


def draw_caption(canvas: Image, result: Result, per_second: float) -> None:
    """Writes label, score and frame rate, light on dark, into the top left corner of `canvas` (uint8 HWC)."""
    best = result.prediction.best
    text = f"{best.label} {best.score:.0%}  {per_second:.1f} fps"
    scale = max(0.5, canvas.shape[0] / 600)
    width, height = _text_size(text, scale)
    fitting = min(1.0, 0.95 * canvas.shape[1] / width)
    scale, width, height = scale * fitting, round(width * fitting), round(height * fitting)
    margin = height // 2
    cv2.rectangle(canvas, (0, 0), (width + 2 * margin, height + 2 * margin), (0, 0, 0), cv2.FILLED)
    cv2.putText(canvas, text, (margin, height + margin), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)


def _text_size(text: str, scale: float) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    return width, height


def _window_opens() -> bool:
    # Qt ends the whole process when it finds no screen, so another process has to try it first.
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return probe.returncode == 0
