"""Motion gate: pictures without motion since the last classified one are skipped."""

from __future__ import annotations

import cv2
import numpy as np

from edgecnn.core.errors import InputError
from edgecnn.core.preprocess import Image

DEFAULT_THRESHOLD = 1.5
"""Mean difference over the picture in gray levels (0 to 255): above the noise of a sensor, below a person at the far
end of a room."""

DEFAULT_MAX_QUIET_S = 10.0
"""Time in seconds after which a picture passes even without motion."""

_HEIGHT, _WIDTH = 24, 32
_LINES = 4
"""Number of lines of the picture that are averaged into one line of the small picture; the others are not read."""


class MotionGate:
    """Compares each picture with the last one that passed, so that slow changes add up. Each camera has its own gate.

    It owns its small pictures and allocates nothing after the first call.
    """

    def __init__(self, threshold: float = DEFAULT_THRESHOLD, max_quiet_s: float = DEFAULT_MAX_QUIET_S) -> None:
        """Create a gate that lets the first picture pass.

        Args:
            threshold: Minimum mean absolute difference, in gray levels from 0 to 255, at which a picture passes.
            max_quiet_s: Time in seconds after which a picture passes even without motion.

        Raises:
            InputError: A value is out of range.
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
        """Decide if a picture must be classified.

        The first picture passes, and so does a picture that differs from the last one that passed, or one that is
        `max_quiet_s` later.

        Args:
            image: uint8 HWC RGB image of any size.
            at_ns: Monotonic time of the image in nanoseconds.

        Returns:
            True if the picture passes.
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
    """Write box averages of some lines of `image` to `small`, and their luma to `gray`."""
    height, width = image.shape[:2]
    # OpenCV is fast for integer factors. Lines are skipped because reading the picture takes most of the time.
    step = height // (_HEIGHT * _LINES)
    lines = image[: step * _HEIGHT * _LINES : step] if step else image
    columns = width - width % _WIDTH if width >= _WIDTH else width
    cv2.resize(lines[:, :columns], (_WIDTH, _HEIGHT), dst=small, interpolation=cv2.INTER_AREA)
    cv2.cvtColor(small, cv2.COLOR_RGB2GRAY, dst=gray)
