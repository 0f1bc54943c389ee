"""Inspection of one photo: everything that the checks need, from reading and decoding it once."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2

from edgecnn.core.errors import DataError
from edgecnn.core.preprocess import decode_image
from edgecnn.data.image_format import image_format, is_truncated
from edgecnn.data.similarity import Likeness, likeness_of


class Inspection(NamedTuple):
    """The result of inspecting a photo."""

    height: int
    """In pixels, upright."""
    width: int
    """In pixels, upright."""
    format: str | None
    """Format of the content; None if it is unknown."""
    is_truncated: bool
    """The file ends before its picture does."""
    likeness: Likeness
    """Features for the comparison with other photos."""


def inspect_photo(path: Path) -> Inspection:
    """Read and decode a photo once.

    Args:
        path: Photo that could be decoded when its folder was scanned.

    Returns:
        Its size, format, completeness and likeness.

    Raises:
        DataError: The photo can no longer be decoded.
        OSError: The file cannot be read.
    """
    content = path.read_bytes()
    image = decode_image(content)
    if image is None:
        raise DataError(
            f"{path} could be decoded a moment ago and now cannot; check again when no program is writing to it"
        )
    height, width = image.shape[:2]
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return Inspection(height, width, image_format(content), is_truncated(content), likeness_of(gray))
