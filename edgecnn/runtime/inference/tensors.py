"""Between bytes and a model's tensors: tables for the way in, scale and zero point for the way out."""

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
    """An input or output tensor: real value = (stored - zero_point) * scale; scale 0 where it is not quantized."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    @property
    def quantized(self) -> bool:
        return self.scale > 0


def tensor_spec(details: dict[str, Any]) -> TensorSpec:
    """Reads an entry of `get_input_details()` or `get_output_details()`."""
    scale, zero_point = details["quantization"]
    shape = tuple(int(side) for side in details["shape"])
    return TensorSpec(
        int(details["index"]), details["name"], shape, np.dtype(details["dtype"]), float(scale), int(zero_point)
    )


def normalization_of(tensor: TensorSpec) -> tuple[float, float] | None:
    """`(mean, std)` under which an unsigned byte is itself the stored value, for a uint8 tensor.

    From real = (byte - zero_point) * scale follows mean = zero_point and std = 1 / scale. Without quantization the
    network takes bytes as they are and normalizes by itself.
    """
    if tensor.dtype != np.uint8:
        return None
    return (float(tensor.zero_point), 1.0 / tensor.scale) if tensor.quantized else (0.0, 1.0)


def byte_table(spec: PreprocessSpec, tensor: TensorSpec) -> NDArray[Any] | None:
    """What the input tensor stores for each of the 256 byte values: `[256, channels]` of its dtype.

    Normalization and quantization in one look-up. None where every byte stands for itself, as in edgecnn's int8 files.
    """
    levels = np.arange(256, dtype=np.float64)[:, None]
    stored = _quantize((levels - np.array(spec.mean)) / np.array(spec.std), tensor)
    if tensor.dtype == np.uint8 and np.array_equal(stored, np.broadcast_to(levels, stored.shape)):
        return None
    return stored


def _quantize(real: NDArray[np.float64], tensor: TensorSpec) -> NDArray[Any]:
    """Inverse of `dequantize`, held within the tensor's range."""
    if not np.issubdtype(tensor.dtype, np.integer):
        return real.astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    scale = tensor.scale if tensor.quantized else 1.0
    stored = np.rint(real / scale) + tensor.zero_point
    clipped: NDArray[np.float64] = np.clip(stored, limits.min, limits.max)
    return clipped.astype(tensor.dtype)


def fill_input(pixels: Image, table: NDArray[Any], out: NDArray[Any]) -> None:
    """Looks every byte of `[height, width, channels]` up in its channel's column of `table`, into `out`."""
    cv2.LUT(pixels, table[None], dst=out)


def check_image_input(tensor: TensorSpec, path: object) -> tuple[int, int]:
    """Height and width of a `[1, height, width, 3 or 1]` input. Raises `ModelFileError` for any other."""
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.shape[3] not in CHANNELS:
        raise ModelFileError(
            f"{path}: expected an input of shape [1, height, width, 3] or, for gray, [1, height, width, 1], "
            f"got {list(tensor.shape)}"
        )
    return tensor.shape[1], tensor.shape[2]


def dequantize(stored: NDArray[Any], tensor: TensorSpec) -> NDArray[np.float32]:
    """Real values of a tensor's stored ones, as float32."""
    if not tensor.quantized:
        return stored.astype(np.float32)
    return (stored.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)


def best_indices(stored: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Where the `count` largest of a vector's values are, largest first; ties go to the lower index.

    NaN, which a broken network gives, comes after every number.
    """
    # ~x = -x - 1 turns the order of integers round without overflow, and numpy sorts small integers by radix. After an
    # invoke the caches are cold: fewer steps cost less than cleverer ones.
    descending = ~stored if np.issubdtype(stored.dtype, np.integer) else -stored
    return np.argsort(descending, kind="stable")[:count]
