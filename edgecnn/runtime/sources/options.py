"""What a source is asked for when it is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecnn.core.errors import InputError, SourceError
from edgecnn.core.settings.command_settings import STALL_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Wishes for a camera that can be asked (V4L2, CSI, test pattern), and how patient to be with any live source.

    What is None is left to the camera. Raises `InputError` for what no camera could do.
    """

    height: int | None = None
    """Pixels; given together with `width` or not at all."""
    width: int | None = None
    fps: float | None = None
    """Frames a second."""
    fourcc: str | None = None
    """Pixel format in four characters, such as `MJPG` or `YUYV`; V4L2 only."""
    stall_timeout_s: float = STALL_TIMEOUT_S
    """A live source that gives no frame for so long is lost."""

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
        """Raises `SourceError` if anything was asked of the picture: `name` sends what it is set up to send."""
        if (self.height, self.fps, self.fourcc) != (None, None, None):
            raise SourceError(
                f"{name} cannot be asked for a size, rate or pixel format, only a V4L2 or CSI camera can; "
                "leave these options out, or set them in the camera itself"
            )

    def refuse_fourcc(self, name: str) -> None:
        """Raises `SourceError` if a pixel format was asked for."""
        if self.fourcc is not None:
            raise SourceError(f"{name} cannot be asked for the pixel format {self.fourcc}, only a V4L2 camera can")


def source_options(
    size: str | None = None,
    fps: float | None = None,
    fourcc: str | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
) -> SourceOptions:
    """What the command line was told, `size` as `WIDTHxHEIGHT`. Raises `InputError`."""
    height = width = None
    if size is not None:
        match = re.fullmatch(r"(\d+)x(\d+)", size, re.ASCII)
        if match is None:
            raise InputError(f"expected a size such as 1280x720, got {size!r}")
        width, height = int(match[1]), int(match[2])
    return SourceOptions(height=height, width=width, fps=fps, fourcc=fourcc, stall_timeout_s=stall_timeout_s)
