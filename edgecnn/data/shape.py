"""Photos whose size or shape leaves a network little to see."""

from __future__ import annotations

from collections.abc import Iterator

from edgecnn.data.finding import Finding, FoundPhoto, found

MIN_SIDE_PX = 32
"""A photo with a shorter side is tiny."""
MAX_ASPECT = 4.0
"""A longer strip is extreme: a center crop of it shows less than a quarter."""


def unusual_shape(photo: FoundPhoto, height: int, width: int, *, min_side_px: int = MIN_SIDE_PX) -> Iterator[Finding]:
    """A finding for a photo with a side below `min_side_px`, and one for a long strip."""
    if min(height, width) < min_side_px:
        yield found("tiny", f"{width}x{height} pixels, below {min_side_px}", [photo])
    aspect = max(height, width) / min(height, width)
    if aspect > MAX_ASPECT:
        yield found("extreme_aspect", f"{width}x{height} pixels, {aspect:.1f} to 1", [photo])
