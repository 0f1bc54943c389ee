"""Random inputs and weights for networks that are small enough to build for a single assertion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.training.keras import keras

SPEC = PreprocessSpec(height=12, width=12, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
IMAGE_SHAPE = (SPEC.height, SPEC.width, 3)


def pixels(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return random bytes as images for `SPEC`."""
    return np.random.default_rng(seed).integers(0, 256, (count, *IMAGE_SHAPE), np.uint8)


def noise(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return normalized random images for `SPEC`."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, *IMAGE_SHAPE)).astype(np.float32)


def scramble(model: Any, seed: int = 0) -> None:
    """Set reproducible random weights; no bias and no batch normalization is left without an effect."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.weights and not isinstance(layer, keras.layers.Normalization):
            layer.set_weights([_random_values(weight.name, weight.numpy(), random) for weight in layer.weights])


def _random_values(name: str, value: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    if "variance" in name or "gamma" in name:
        return random.uniform(0.5, 1.5, value.shape).astype(np.float32)
    if "bias" in name or "beta" in name or "mean" in name:
        return random.normal(0, 0.3, value.shape).astype(np.float32)
    # Scaled so that a layer with ReLU keeps the magnitude of its input. (The last axis of a depthwise kernel is 1.)
    inputs = value.size / value.shape[-1] if "depthwise" not in name else value[..., 0, 0].size
    return random.normal(0, np.sqrt(2 / inputs), value.shape).astype(np.float32)
