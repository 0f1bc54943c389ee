"""Image files on disk, read and decoded."""

from __future__ import annotations

from pathlib import Path

from edgecnn.core.errors import DataError
from edgecnn.core.preprocess import Image, decode_image

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jp2"})


def read_image(path: Path | str) -> Image:
    """Decodes a photo: uint8 HWC RGB, upright by its EXIF orientation. Raises `DataError`."""
    return decode_content(read_content(path), path)


def read_content(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"no such image: {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; expected an image file") from None


def decode_content(content: bytes, path: Path | str) -> Image:
    image = decode_image(content)
    if image is None:
        raise DataError(f"cannot decode {path}: it is not an image, or damaged; remove or replace it")
    return image
