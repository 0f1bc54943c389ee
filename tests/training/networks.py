"""Networks small enough to build for a single assertion, and what to put into them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.training.keras import keras

SPEC = PreprocessSpec(height=12, width=12, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
IMAGE_SHAPE = (SPEC.height, SPEC.width, 3)


def pixels(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random bytes as images for `SPEC`."""
    return np.random.default_rng(seed).integers(0, 256, (count, *IMAGE_SHAPE), np.uint8)


def noise(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Normalized random images for `SPEC`."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, *IMAGE_SHAPE)).astype(np.float32)


def scramble(model: Any, seed: int = 0) -> None:
    """Random weights, the same each time, with no bias or batch normalization that does nothing."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.weights and not isinstance(layer, keras.layers.Normalization):
            layer.set_weights([_moved(weight.name, weight.numpy(), random) for weight in layer.weights])


def _moved(name: str, value: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    if "variance" in name or "gamma" in name:
        return random.uniform(0.5, 1.5, value.shape).astype(np.float32)
    if "bias" in name or "beta" in name or "mean" in name:
        return random.normal(0, 0.3, value.shape).astype(np.float32)
    # The size of what a layer of ReLUs gives is then about that of what it takes. (A depthwise kernel ends in a 1.)
    inputs = value.size / value.shape[-1] if "depthwise" not in name else value[..., 0, 0].size
    return random.normal(0, np.sqrt(2 / inputs), value.shape).astype(np.float32)
