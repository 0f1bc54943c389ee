"""A window that shows the camera's picture with the classifier's answer on it."""

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
    """A sink that owns an OpenCV window. Pressing q or Esc, or closing the window, ends the run.

    Use `open_display` to create one.
    """

    def __init__(self, title: str) -> None:
        """Open the window.

        Args:
            title: Text of the title bar.
        """
        self._title = title
        self._rate = FrameRate()
        self._canvas: Image = np.empty((0, 0, 3), np.uint8)
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def __call__(self, result: Result, /) -> None:
        """Show a result.

        Raises:
            StopRun: The user closed the window or asked to quit.
        """
        # Check before calling imshow, which would open a closed window again.
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
        """Close the window if it is still open."""
        if self._is_open():
            cv2.destroyWindow(self._title)

    def _is_open(self) -> bool:
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt raises this when no window is left.
            return False


def open_display(title: str = "edgecnn") -> Display:
    """Open a window for results.

    Args:
        title: Text of the title bar.

    Returns:
        The sink that draws in the window.

    Raises:
        InputError: There is no screen, or this OpenCV build cannot open windows.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(
            "--display needs a screen, DISPLAY and WAYLAND_DISPLAY are not set; run it on the desktop, or leave it out"
        )
    if not cv2.currentUIFramework():
        raise InputError(
            "--display needs an OpenCV with window support, this one is headless; replace it: pip install opencv-python"
        )
    if not _window_opens():
        raise InputError(
            "--display needs a screen, and none responds at DISPLAY or WAYLAND_DISPLAY; check both, or leave it out"
        )
    return Display(title)


def draw_caption(canvas: Image, result: Result, per_second: float) -> None:
    """Draw label, score and frame rate in the top left corner, light on dark.

    Args:
        canvas: uint8 HWC array that is drawn on in place.
        result: The result to describe.
        per_second: Frame rate to show, in frames per second.
    """
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
    # Qt aborts the whole process if it finds no screen, so a separate process tries it first.
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return probe.returncode == 0
