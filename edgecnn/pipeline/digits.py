"""scikit-learn's handwritten digits as a folder of images: a data set that needs no download."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgecnn.core.errors import MissingDependency, WriteError

_SCALE = 8
"""The digits have 8x8 pixels; enlarged, they can be recognized by eye and survive a center crop."""
_TEST_EVERY, _VALIDATION_EVERY = 5, 6


def write_digits(folder: Path) -> None:
    """Write 1797 PNG images of 64x64 pixels to `folder/{train,validation,test}/<digit>/`.

    The data set is UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, CC BY 4.0).

    Args:
        folder: Folder to write to; missing folders are created.

    Raises:
        MissingDependency: If scikit-learn, which contains the data set, is not installed.
        WriteError: If an image cannot be written.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingDependency(
            "the digits are part of scikit-learn, which is not installed: pip install 'edgecnn[train]'"
        ) from None
    digits = load_digits()
    counts = [0] * 10
    for image, digit in zip(digits.images, digits.target, strict=True):
        number, counts[digit] = counts[digit], counts[digit] + 1
        path = folder / _split_of(number) / str(digit) / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the source, ink is bright and goes from 0 to 16. Here paper is white, as in a photo.
        pixels = 255 - np.rint(image * (255 / 16)).astype(np.uint8)
        enlarged = cv2.resize(pixels, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_CUBIC)
        if not cv2.imwrite(str(path), enlarged):
            raise WriteError(f"could not write {path}; free some space or choose another folder")


def _split_of(number: int) -> str:
    if number % _TEST_EVERY == 0:
        return "test"
    return "validation" if number % _VALIDATION_EVERY == 1 else "train"
