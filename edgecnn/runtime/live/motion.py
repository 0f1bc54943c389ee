"""Motion gating: a picture that shows what the last one showed need not be classified again."""

from __future__ import annotations

import cv2
import numpy as np

from edgecnn.core.errors import InputError
from edgecnn.core.preprocess import Image

DEFAULT_THRESHOLD = 1.5
"""Gray levels of 255, as a mean over the picture: above a sensor's noise, below a person at the far end of a room."""

DEFAULT_MAX_QUIET_S = 10.0

_HEIGHT, _WIDTH = 24, 32
_LINES = 4
"""So many lines of the picture are averaged into one of the small picture; the rest is not read."""


class MotionGate:
    """Compares every picture with the last one that passed, so that slow changes add up; one for each camera.

    Owns its small pictures: after the first call nothing is allocated.
    """

    def __init__(self, threshold: float = DEFAULT_THRESHOLD, max_quiet_s: float = DEFAULT_MAX_QUIET_S) -> None:
        """`threshold` is a mean absolute difference in gray levels, from which on a picture passes.

        `max_quiet_s` is the time after which one passes anyway. Raises `InputError`.
        """
        if not 0 <= threshold <= 255:
            raise InputError(f"expected a motion threshold of 0 to 255 gray levels, got {threshold:g}; try 1.5")
        if not 0 <= max_quiet_s < float("inf"):
            raise InputError(f"expected a quiet time of 0 or more seconds, got {max_quiet_s:g}; try 10")
        self._threshold_sum = threshold * _HEIGHT * _WIDTH
        self._max_quiet_ns = round(max_quiet_s * 1e9)
        self._small = np.empty((_HEIGHT, _WIDTH, 3), np.uint8)
        self._gray = np.empty((_HEIGHT, _WIDTH), np.uint8)
        self._passed = np.empty((_HEIGHT, _WIDTH), np.uint8)
        self._passed_ns: int | None = None

    def __call__(self, image: Image, at_ns: int) -> bool:
        """Whether `image` (uint8 HWC RGB, any size) of monotonic time `at_ns` is to be classified.

        The first one is, and one that differs from the last that was, and one after `max_quiet_s`.
        """
        _shrink(image, self._small, self._gray)
        if self._is_quiet(at_ns):
            return False
        self._gray, self._passed = self._passed, self._gray
        self._passed_ns = at_ns
        return True

    def _is_quiet(self, at_ns: int) -> bool:
        if self._passed_ns is None or at_ns - self._passed_ns >= self._max_quiet_ns:
            return False
        return cv2.norm(self._gray, self._passed, cv2.NORM_L1) < self._threshold_sum


def _shrink(image: Image, small: Image, gray: Image) -> None:
    """Box averages of `image` on some of its lines, into `small` and as luma into `gray`."""
    height, width = image.shape[:2]
    # Whole factors are OpenCV's fast way; lines are left out since reading the picture is what costs.
    step = height // (_HEIGHT * _LINES)
    lines = image[: step * _HEIGHT * _LINES : step] if step else image
    columns = width - width % _WIDTH if width >= _WIDTH else width
    cv2.resize(lines[:, :columns], (_WIDTH, _HEIGHT), dst=small, interpolation=cv2.INTER_AREA)
    cv2.cvtColor(small, cv2.COLOR_RGB2GRAY, dst=gray)
