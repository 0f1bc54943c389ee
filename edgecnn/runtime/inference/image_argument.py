"""Images as callers pass them: a path, or an array in RGB or BGR order."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from edgecnn.core.errors import InputError
from edgecnn.core.images import read_image
from edgecnn.core.preprocess import Image

ImageArgument: TypeAlias = Image | Path | str
"""Path of an image file, or a uint8 array of shape `[height, width, 3]`."""

Channels = Literal["rgb", "bgr"]
"""Order of an array's channels. OpenCV (`cv2.imread`, `cv2.VideoCapture`) uses BGR."""


def image_pixels(image: ImageArgument, channels: Channels) -> Image:
    """Return the pixels of an image argument, with their channels in the order in which they were given.

    Args:
        image: Path of an image file, which is decoded to RGB, or a uint8 array of shape `[height, width, 3]`, which is
            returned as it is.
        channels: Order of an array's channels; "rgb" for a path.

    Returns:
        uint8 HWC image of at least one pixel.

    Raises:
        InputError: The file cannot be read, the array is not an image, or `channels` is unknown or given for a path.
    """
    if channels not in get_args(Channels):
        raise InputError(f"unknown channels {channels!r}; use 'rgb', or 'bgr' for an array from OpenCV")
    if not isinstance(image, str | Path):
        _check_array(image)
        return image
    if channels != "rgb":
        raise InputError(f"channels={channels!r} applies to arrays only, got the path {str(image)!r}; leave it out")
    return read_image(image)


def _check_array(image: object) -> None:
    if not isinstance(image, np.ndarray):
        raise InputError(f"expected an image as a path or a numpy array, got {type(image).__name__}")
    if image.dtype != np.uint8:
        raise InputError(
            f"expected an image of uint8 (height, width, 3), got {image.dtype} {image.shape}; "
            "scale its values to 0..255 and convert them with astype('uint8')"
        )
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(f"expected an image of uint8 (height, width, 3), got {image.shape}; {_advice(image.shape)}")


def _advice(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return "the array has no pixels"
    if len(shape) == 2 or shape[2:] == (1,):
        return "repeat a gray picture for each of the three channels"
    if shape[2:] == (4,):
        return "remove the alpha channel"
    if len(shape) == 4:
        return "pass one image at a time"
    return "convert it to three channels"
