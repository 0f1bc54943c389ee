"""Conversion between bytes and a model's tensors: lookup tables for inputs, scale and zero point for outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import ModelFileError
from edgecnn.core.preprocess import CHANNELS, Image, PreprocessSpec


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output tensor, with real value = (stored - zero_point) * scale.

    The scale of a tensor that is not quantized is 0.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    @property
    def quantized(self) -> bool:
        """True if the tensor stores quantized integers."""
        return self.scale > 0


def tensor_spec(details: dict[str, Any]) -> TensorSpec:
    """Convert a tensor description of the interpreter.

    Args:
        details: Entry of `get_input_details()` or `get_output_details()`.

    Returns:
        The fields that edgecnn needs, as plain Python values.
    """
    scale, zero_point = details["quantization"]
    shape = tuple(int(side) for side in details["shape"])
    return TensorSpec(
        int(details["index"]), details["name"], shape, np.dtype(details["dtype"]), float(scale), int(zero_point)
    )


def normalization_of(tensor: TensorSpec) -> tuple[float, float] | None:
    """Return the normalization under which a uint8 tensor stores bytes unchanged.

    From real = (byte - zero_point) * scale it follows that mean = zero_point and std = 1 / scale. Without quantization,
    the network takes bytes as they are and normalizes them itself.

    Args:
        tensor: Input tensor.

    Returns:
        `(mean, std)`, or None for a tensor that is not uint8.
    """
    if tensor.dtype != np.uint8:
        return None
    return (float(tensor.zero_point), 1.0 / tensor.scale) if tensor.quantized else (0.0, 1.0)


def byte_table(spec: PreprocessSpec, tensor: TensorSpec) -> NDArray[Any] | None:
    """Return the lookup table from bytes to stored values, which does normalization and quantization in one step.

    Args:
        spec: Preprocessing with mean and std per channel.
        tensor: Input tensor.

    Returns:
        `[256, channels]` array of the tensor's dtype: the stored value of each byte. None if the tensor stores every
        byte unchanged, as in edgecnn's int8 files.
    """
    levels = np.arange(256, dtype=np.float64)[:, None]
    stored = _quantize((levels - np.array(spec.mean)) / np.array(spec.std), tensor)
    if tensor.dtype == np.uint8 and np.array_equal(stored, np.broadcast_to(levels, stored.shape)):
        return None
    return stored


def _quantize(real: NDArray[np.float64], tensor: TensorSpec) -> NDArray[Any]:
    """Apply the inverse of `dequantize`, clipped to the range of the tensor's dtype."""
    if not np.issubdtype(tensor.dtype, np.integer):
        return real.astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    scale = tensor.scale if tensor.quantized else 1.0
    stored = np.rint(real / scale) + tensor.zero_point
    clipped: NDArray[np.float64] = np.clip(stored, limits.min, limits.max)
    return clipped.astype(tensor.dtype)


def fill_input(pixels: Image, table: NDArray[Any], out: NDArray[Any]) -> None:
    """Look up every byte in the column of its channel.

    Args:
        pixels: uint8 `[height, width, channels]`.
        table: `[256, channels]` table from `byte_table`.
        out: `[height, width, channels]` array of the table's dtype that is written to.
    """
    cv2.LUT(pixels, table[None], dst=out)


def check_image_input(tensor: TensorSpec, path: object) -> tuple[int, int]:
    """Check that a tensor takes one image.

    Args:
        tensor: Input tensor.
        path: Model file, for the error message.

    Returns:
        Height and width in pixels.

    Raises:
        ModelFileError: The shape is neither `[1, height, width, 3]` nor `[1, height, width, 1]`.
    """
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.shape[3] not in CHANNELS:
        raise ModelFileError(
            f"{path}: expected an input of shape [1, height, width, 3] or, for gray, [1, height, width, 1], "
            f"got {list(tensor.shape)}"
        )
    return tensor.shape[1], tensor.shape[2]


def dequantize(stored: NDArray[Any], tensor: TensorSpec) -> NDArray[np.float32]:
    """Convert stored values to real values.

    Args:
        stored: Stored values of any shape.
        tensor: The tensor that they belong to.

    Returns:
        A new float32 array of the same shape.
    """
    if not tensor.quantized:
        return stored.astype(np.float32)
    return (stored.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)


def best_indices(stored: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Return the indices of the largest values.

    Ties go to the lower index. NaN, which a broken network may output, is sorted after all numbers.

    Args:
        stored: Vector of numbers.
        count: Number of indices to return.

    Returns:
        `[count]` indices, largest value first; fewer if the vector is shorter.
    """
    # ~x = -x - 1 reverses the order of integers without overflow, and numpy sorts small integers by radix. A full sort
    # is used because the caches are cold after an invoke: fewer steps are faster than a cleverer algorithm.
    descending = ~stored if np.issubdtype(stored.dtype, np.integer) else -stored
    return np.argsort(descending, kind="stable")[:count]
