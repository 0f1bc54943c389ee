"""Image files on disk: reading and decoding."""

from __future__ import annotations

from pathlib import Path

from edgecnn.core.errors import DataError
from edgecnn.core.preprocess import Image, decode_image

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jp2"})


def read_image(path: Path | str) -> Image:
    """Read and decode a photo.

    Args:
        path: Image file in any format that OpenCV decodes.

    Returns:
        uint8 `[height, width, 3]` RGB, upright according to the EXIF orientation.

    Raises:
        DataError: The file is missing, cannot be read or is not an image.
    """
    return decode_content(read_content(path), path)


def read_content(path: Path | str) -> bytes:
    """Read an image file without decoding it.

    Args:
        path: Image file.

    Returns:
        The bytes of the file.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"no such image: {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; expected an image file") from None


def decode_content(content: bytes, path: Path | str) -> Image:
    """Decode the content of an image file.

    Args:
        content: Bytes of the file.
        path: File that the content comes from, for the error message.

    Returns:
        uint8 `[height, width, 3]` RGB, upright according to the EXIF orientation.

    Raises:
        DataError: The content is not an image, or is corrupted.
    """
    image = decode_image(content)
    if image is None:
        raise DataError(f"cannot decode {path}: it is not an image, or is corrupted; remove or replace it")
    return image
