"""Settings requested from a source when it is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecnn.core.errors import InputError, SourceError
from edgecnn.core.settings.command_settings import STALL_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Settings for a configurable camera (V4L2, CSI, test pattern), and the stall timeout of any live source.

    The camera chooses every setting that is None.

    Raises:
        InputError: If no camera could satisfy a setting.
    """

    height: int | None = None
    """Height in pixels; must be given together with `width` or not at all."""
    width: int | None = None
    """Width in pixels."""
    fps: float | None = None
    """Frames per second."""
    fourcc: str | None = None
    """Pixel format as four characters, such as `MJPG` or `YUYV`; V4L2 only."""
    stall_timeout_s: float = STALL_TIMEOUT_S
    """Time without a frame after which a live source counts as lost."""

    def __post_init__(self) -> None:
        size = (self.height, self.width)
        if (None in size and size != (None, None)) or any(side is not None and side < 2 for side in size):
            raise InputError(f"expected a height and a width of 2 pixels or more, got {self.height} x {self.width}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise InputError(f"expected a frame rate above 0 and up to 1000, got {self.fps:g}")
        if self.fourcc is not None and not (len(self.fourcc) == 4 and self.fourcc.isascii()):
            raise InputError(f"expected a pixel format of four characters such as MJPG, got {self.fourcc!r}")
        if not self.stall_timeout_s > 0:
            raise InputError(f"expected a stall timeout above 0 s, got {self.stall_timeout_s:g}")

    def refuse_size_and_rate(self, name: str) -> None:
        """Refuse all picture settings for a source that sends whatever it is configured to send.

        Raises:
            SourceError: If a size, frame rate or pixel format is set.
        """
        if (self.height, self.fps, self.fourcc) != (None, None, None):
            raise SourceError(
                f"the size, frame rate and pixel format of {name} cannot be set here, only those of a V4L2 or CSI "
                "camera; remove these options, or change the settings of the camera itself"
            )

    def refuse_fourcc(self, name: str) -> None:
        """Refuse a pixel format for a source that is not a V4L2 camera.

        Raises:
            SourceError: If a pixel format is set.
        """
        if self.fourcc is not None:
            raise SourceError(
                f"the pixel format of {name} cannot be set to {self.fourcc}, only that of a V4L2 camera can be set"
            )


def source_options(
    size: str | None = None,
    fps: float | None = None,
    fourcc: str | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
) -> SourceOptions:
    """Create source options from command-line values.

    Args:
        size: `WIDTHxHEIGHT` in pixels.
        fps: Frames per second.
        fourcc: Pixel format as four characters.
        stall_timeout_s: Time without a frame after which a live source counts as lost.

    Returns:
        The options.

    Raises:
        InputError: If a value is malformed or out of range.
    """
    height = width = None
    if size is not None:
        match = re.fullmatch(r"(\d+)x(\d+)", size, re.ASCII)
        if match is None:
            raise InputError(f"expected a size such as 1280x720, got {size!r}")
        width, height = int(match[1]), int(match[2])
    return SourceOptions(height=height, width=width, fps=fps, fourcc=fourcc, stall_timeout_s=stall_timeout_s)
