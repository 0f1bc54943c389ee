"""What one look at a photo tells."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2

from edgecnn.core.errors import DataError
from edgecnn.core.preprocess import decode_image
from edgecnn.data.image_format import image_format, is_cut
from edgecnn.data.similarity import Likeness, likeness_of


class Look(NamedTuple):
    """A photo as `look_at` saw it."""

    height: int
    width: int
    format: str | None
    """By content; None for a format that is not known here."""
    is_cut: bool
    likeness: Likeness


def look_at(path: Path) -> Look:
    """Reads and decodes a photo once. Raises `DataError`, and `OSError` for a file that cannot be read."""
    content = path.read_bytes()
    image = decode_image(content)
    if image is None:
        raise DataError(f"{path} could be decoded a moment ago and cannot now; check again when nothing writes to it")
    height, width = image.shape[:2]
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return Look(height, width, image_format(content), is_cut(content), likeness_of(gray))
