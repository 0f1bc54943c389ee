"""Quantization-aware training that starts where post-training quantization ends.

TensorFlow Model Optimization starts with a range of +-6 everywhere and one scale for a whole depthwise kernel. Here
every range is set from the weights and from calibration images before the first step. Depthwise kernels are quantized
per channel, as in the converter and the int8 kernels. The arithmetic follows TensorFlow Lite's 8-bit specification:
weights are symmetric in [-127, 127] and quantized per output channel; activations are asymmetric and quantized per
tensor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import InputError
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.training.keras import keras, tf
from edgecnn.training.quantization.fake_quant_layers import FixedRange, LayerQuantization, QuantizedLayer, kernel_name


class Range(NamedTuple):
    """Lowest and highest real value of a tensor. It includes 0, because a zero point must represent 0."""

    low: float
    high: float


Ranges = dict[str, Range]
"""Range of each layer's output, by layer name."""


def input_quantization(spec: PreprocessSpec) -> tuple[float, int]:
    """Return the quantization under which an input byte is its own quantized value: scale 1 / std, zero point mean.

    This follows from (byte - zero_point) * scale = (byte - mean) / std. The whole tensor has one scale, so its channels
    must share mean and std, and the mean must be an integer.

    Args:
        spec: Preprocessing of the network.

    Returns:
        Scale and zero point of the uint8 input tensor.

    Raises:
        InputError: The normalization cannot be expressed this way.
    """
    mean, std = spec.mean[0], spec.std[0]
    if set(spec.mean) != {mean} or set(spec.std) != {std} or mean != round(mean):
        raise InputError(f"int8 needs one integer mean and one std for all channels, got {spec.mean} and {spec.std}")
    return 1 / std, round(mean)


def input_range(spec: PreprocessSpec) -> Range:
    """Return the real values of the bytes 0 and 255 under `input_quantization`.

    Args:
        spec: Preprocessing of the network.

    Returns:
        Range of the normalized input.

    Raises:
        InputError: As `input_quantization`.
    """
    scale, zero_point = input_quantization(spec)
    return Range((0 - zero_point) * scale, (255 - zero_point) * scale)


def observe_ranges(folded: keras.Model, batches: Iterable[NDArray[np.float32]]) -> Ranges:
    """Return the observed range of every layer's output.

    Args:
        folded: Model of `fold_model`.
        batches: Normalized float32 images `[n, height, width, channels]`.

    Returns:
        Ranges of the layers whose output has its own scale, by layer name, extended to include 0.
    """
    layers = [layer for layer in folded.layers if _has_own_scale(layer)]
    probe = tf.function(
        keras.Model(folded.inputs, [(tf.reduce_min(layer.output), tf.reduce_max(layer.output)) for layer in layers])
    )
    observed = np.array([[(0.0, 0.0)] * len(layers)] + [np.array(probe(batch)) for batch in batches])
    lows, highs = observed[:, :, 0].min(axis=0), observed[:, :, 1].max(axis=0)
    return {layer.name: Range(float(low), float(high)) for layer, low, high in zip(layers, lows, highs, strict=True)}


def quantize_aware(folded: keras.Model, spec: PreprocessSpec, ranges: Ranges | None = None) -> keras.Model:
    """Build a model that computes as its int8 file will, with fake-quantized weights and activations.

    Args:
        folded: Model of `fold_model`. Layers that are frozen in it stay frozen.
        spec: Preprocessing of the network.
        ranges: Initial ranges from `observe_ranges`. If None, the weights are left random, for `load_weights`.

    Returns:
        A model with the same inputs and outputs. The wrapper of layer `x` is called `quant_x`.

    Raises:
        InputError: int8 cannot express the normalization, see `input_quantization`.
    """
    tensors: dict[str, Any] = {}
    for layer in folded.layers:
        if isinstance(layer, keras.layers.InputLayer):
            image = keras.Input(layer.output.shape[1:], name=layer.name)
            tensors[layer.output.name] = FixedRange(input_range(spec), name=f"{layer.name}_quantized")(image)
            continue
        inputs = tf.nest.map_structure(lambda tensor: tensors[tensor.name], layer.input)
        output = _quantized_layer(layer, ranges)(inputs)
        if limits := _fixed_range(layer):
            output = FixedRange(limits, name=f"{layer.name}_quantized")(output)
        tensors[layer.output.name] = output
    model = keras.Model(image, tensors[folded.output.name], name=folded.name)
    if ranges is not None:
        for layer in folded.layers:
            if kernel_name(layer):
                scale = _scale(_source_range(layer, ranges, input_range(spec)))
                model.get_layer(f"quant_{layer.name}").start_from(layer, scale)
    return model


def _source_range(layer: Any, ranges: Ranges, image: Range) -> Range:
    """Return the range of a layer's input: that of the nearest preceding layer whose output has its own scale."""
    (source,) = (node.layer for node in layer.inbound_nodes[0].parent_nodes)
    if isinstance(source, keras.layers.InputLayer):
        return image
    if limits := _fixed_range(source):
        return limits
    return ranges[source.name] if source.name in ranges else _source_range(source, ranges, image)


def _scale(limits: Range) -> float:
    return max((limits.high - limits.low) / 255, 1e-9)


def _quantized_layer(layer: Any, ranges: Ranges | None) -> Any:
    copy = layer.__class__.from_config(layer.get_config())
    output = None
    if _has_own_scale(layer):
        output = ranges[layer.name] if ranges else Range(0.0, 1.0)
    elif not kernel_name(layer):
        return copy
    wrapper = QuantizedLayer(copy, LayerQuantization(layer, output))
    wrapper.trainable = layer.trainable
    return wrapper


def _has_own_scale(layer: Any) -> bool:
    """Return True if the int8 kernel of a layer requantizes its output.

    Other layers (padding, max pooling, average pooling, reshaping) keep the scale of their input. The specification
    fixes the scale of softmax, tanh and sigmoid. A layer whose only consumer is a ReLU or a concatenation shares the
    scale of its consumer.
    """
    kinds = (
        keras.layers.Conv2D,
        keras.layers.DepthwiseConv2D,
        keras.layers.Dense,
        keras.layers.Add,
        keras.layers.Multiply,
        keras.layers.Concatenate,
        keras.layers.GlobalAveragePooling2D,
        keras.layers.ReLU,
    )
    sharing = (keras.layers.ReLU, keras.layers.Concatenate)
    followers = [node.layer for node in layer.outbound_nodes]
    return isinstance(layer, kinds) and not (len(followers) == 1 and isinstance(followers[0], sharing))


def _fixed_range(layer: Any) -> Range | None:
    """Return the output range that the specification fixes for a layer, or None.

    Softmax also has one, but no layer with a kernel follows it, so nothing needs its range.
    """
    if isinstance(layer, keras.layers.Activation):
        # The scales are 1/128 and 1/256, the zero points 0 and -128.
        return {
            keras.activations.tanh: Range(-1.0, 127 / 128),
            keras.activations.sigmoid: Range(0.0, 255 / 256),
        }.get(layer.activation)
    return None
