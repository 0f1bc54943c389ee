"""Normalization of preprocessed pixels to the input of a float network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.preprocess import Image, PreprocessSpec

_BATCH = 10


def normalize(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.float32]:
    """Return `(byte - mean) / std`, the input of the float network.

    Args:
        pixels: Preprocessed pixels, uint8 `[..., channels]`.
        spec: Preprocessing of the network.

    Returns:
        Normalized pixels, float32 of the same shape.
    """
    # One float64 division per byte value instead of one per pixel: the same bits in a fraction of the time.
    levels = np.arange(256, dtype=np.float64)[:, None]
    table = ((levels - np.array(spec.mean)) / np.array(spec.std)).astype(np.float32)
    real: NDArray[np.float32] = table[pixels, np.arange(len(spec.mean))]
    return real


def normalized_batches(images: Sequence[Image], spec: PreprocessSpec) -> Iterator[NDArray[np.float32]]:
    """Yield normalized images in small batches.

    Args:
        images: Preprocessed images, uint8 `[height, width, channels]`.
        spec: Preprocessing of the network.

    Yields:
        Batches, float32 `[n, height, width, channels]`.
    """
    for start in range(0, len(images), _BATCH):
        yield normalize(np.stack(images[start : start + _BATCH]), spec)
