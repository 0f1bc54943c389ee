"""Checks of a photo's size and shape: does it leave a network enough to see?

They have their own module because the command line takes its default from here and must not import OpenCV for `--help`.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgecnn.data.finding import Finding, FoundPhoto, make_finding

MIN_SIDE_PX = 32
"""A photo with a shorter side is tiny."""
MAX_ASPECT = 4.0
"""A longer strip is extreme: its center crop shows less than a quarter of it."""


def check_shape(photo: FoundPhoto, height: int, width: int, *, min_side_px: int = MIN_SIDE_PX) -> Iterator[Finding]:
    """Yield a finding for a photo with a short side, and one for a long strip.

    Args:
        photo: Photo to check.
        height: Its height in pixels.
        width: Its width in pixels.
        min_side_px: A shorter side, in pixels, makes the photo tiny.

    Yields:
        At most two findings.
    """
    if min(height, width) < min_side_px:
        yield make_finding("tiny", f"{width}x{height} pixels, below {min_side_px}", [photo])
    aspect = max(height, width) / min(height, width)
    if aspect > MAX_ASPECT:
        yield make_finding("extreme_aspect", f"{width}x{height} pixels, {aspect:.1f} to 1", [photo])
