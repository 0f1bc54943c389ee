"""Bias correction: biases that compensate for the average effect of rounding the kernels.

Rounding a kernel W to 8 bits, Wq, shifts a channel's output by (Wq - W) x. Over many photos and positions this shift
has a mean, (Wq - W) E[x], which propagates to the following layers. Shifting the bias by the opposite amount removes it
(Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with E[x]
measured).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.training.keras import keras, tf
from edgecnn.training.quantization.fake_quant_layers import kernel_name


def correct_biases(
    folded: keras.Model, batches: Iterable[NDArray[np.float32]], *, dense_per_channel: bool = False
) -> None:
    """Correct the biases of a model in place.

    Args:
        folded: Model of `fold_model`.
        batches: Normalized float32 images `[n, height, width, channels]`, on which the inputs of the layers are
            averaged.
        dense_per_channel: True if the kernels of dense layers will be rounded with a scale per output channel, False if
            they will have one scale.
    """
    layers = [layer for layer in folded.layers if kernel_name(layer) and layer.use_bias]
    probe = tf.function(keras.Model(folded.inputs, [_mean_by_channel(layer.input) for layer in layers]))
    means, counts = zip(*((probe(batch), len(batch)) for batch in batches), strict=True)
    for index, layer in enumerate(layers):
        mean = np.average([batch[index] for batch in means], axis=0, weights=counts)
        kernel, bias = layer.get_weights()
        per_channel = dense_per_channel or not isinstance(layer, keras.layers.Dense)
        lost = kernel - _rounded(kernel, _axes_of_a_scale(layer) if per_channel else None)
        layer.set_weights([kernel, bias + _mean_output(lost, mean, layer)])


def _mean_by_channel(tensor: Any) -> Any:
    return tf.reduce_mean(tensor, axis=list(range(tensor.shape.rank - 1)))


def _axes_of_a_scale(layer: Any) -> tuple[int, ...]:
    """Return all axes except the output channels: the last axis, or the last two of a depthwise kernel."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return (0, 1)
    return tuple(range(layer.kernel.shape.rank - 1))


def _rounded(kernel: NDArray[np.float32], axes: tuple[int, ...] | None) -> NDArray[np.float32]:
    """Return a kernel rounded to 8 bits: integer multiples of a scale, which is the largest weight / 127."""
    scale = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    # A channel of zeros has no scale.
    scale[scale == 0] = 1
    return np.asarray(np.round(kernel / scale) * scale, np.float32)


def _mean_output(kernel: NDArray[np.float32], mean: NDArray[np.float32], layer: Any) -> NDArray[np.float32]:
    """Return the output per channel for an input that is the `mean` of its channel everywhere, without padding."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return np.asarray(np.einsum("hwcm,c->cm", kernel, mean).ravel(), np.float32)
    return np.asarray(np.tensordot(mean, kernel.sum(axis=tuple(range(kernel.ndim - 2))), axes=1), np.float32)
