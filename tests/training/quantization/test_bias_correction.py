from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.training.keras import keras, tf
from edgecnn.training.quantization.bias_correction import correct_biases
from edgecnn.training.quantization.fold_batch_norm import fold_model
from tests.training.networks import IMAGE_SHAPE, noise, scramble

layers = keras.layers
BATCHES = (noise(3, seed=1) + 0.5, noise(8, seed=2) + 0.5)


def network(*, bias: bool = True) -> Any:
    """Return a network with one layer of each kind that has a kernel, all without padding."""
    image = keras.Input(IMAGE_SHAPE, name="image")
    x = layers.Conv2D(6, 3, activation="relu", use_bias=bias, name="conv")(image)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", use_bias=bias, name="depthwise")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax", use_bias=bias, name="dense")(x))
    scramble(model, seed=5)
    return model


def rounded(kernel: NDArray[np.float32], *, per_channel: bool) -> NDArray[np.float32]:
    """Round a kernel to [-127, 127] with TensorFlow's own quantizer."""
    flat = kernel.reshape(-1, kernel.shape[-1]) if per_channel else kernel.reshape(-1, 1)
    columns = [
        tf.quantization.fake_quant_with_min_max_args(
            column, -np.abs(column).max(), np.abs(column).max(), narrow_range=True
        )
        for column in flat.T
    ]
    return np.stack([column.numpy() for column in columns], axis=1).reshape(kernel.shape)


def outputs(layer: Any, inputs: NDArray[np.float32], kernel: NDArray[np.float32], bias: Any) -> NDArray[np.float32]:
    """Return a layer's output before its activation, with other weights."""
    copy = layer.__class__.from_config({**layer.get_config(), "activation": "linear"})
    copy.build(inputs.shape)
    copy.set_weights([kernel, bias])
    values: NDArray[np.float32] = copy(inputs).numpy()
    return values


@pytest.mark.parametrize("dense_per_channel", [False, True])
@pytest.mark.parametrize("name", ["conv", "depthwise", "dense"])
def test_a_corrected_bias_restores_the_mean_of_every_channel(name: str, dense_per_channel: bool) -> None:
    before, after = (fold_model(network()) for _ in range(2))
    correct_biases(after, BATCHES, dense_per_channel=dense_per_channel)
    layer = before.get_layer(name)
    inputs = keras.Model(before.input, layer.input)(np.concatenate(BATCHES)).numpy()
    kernel, bias = layer.get_weights()
    by_last_axis = kernel.reshape(*kernel.shape[:2], 1, -1) if name == "depthwise" else kernel
    coarse = rounded(by_last_axis, per_channel=name != "dense" or dense_per_channel).reshape(kernel.shape)
    corrected_kernel, corrected_bias = after.get_layer(name).get_weights()
    np.testing.assert_array_equal(corrected_kernel, kernel)
    axes = tuple(range(inputs.ndim - 1))
    expected = outputs(layer, inputs, kernel, bias).mean(axis=axes)
    uncorrected = np.abs(outputs(layer, inputs, coarse, bias).mean(axis=axes) - expected).max()
    corrected = np.abs(outputs(layer, inputs, coarse, corrected_bias).mean(axis=axes) - expected).max()
    # Pixels at the edge are in fewer windows than others, so the mean of the inputs is not exactly that of the windows.
    assert corrected < 0.1 * uncorrected


def test_a_channel_of_zeros_and_a_layer_without_a_bias_are_not_changed() -> None:
    model = fold_model(network())
    kernel, bias = model.get_layer("conv").get_weights()
    kernel[..., 2] = 0
    model.get_layer("conv").set_weights([kernel, bias])
    correct_biases(model, BATCHES)
    moved = model.get_layer("conv").get_weights()[1] != bias
    assert moved.sum() == len(bias) - 1
    assert not moved[2]
    without = fold_model(network(bias=False))
    before = without.get_layer("dense").get_weights()
    correct_biases(without, BATCHES)
    for now, then in zip(without.get_layer("dense").get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
