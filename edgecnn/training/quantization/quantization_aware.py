"""Quantization-aware training that starts where post-training quantization ends.

TensorFlow Model Optimization's own start is a range of +-6 everywhere and one scale for a whole depthwise kernel. Here
every range is set from the weights and from calibration images before the first step, and depthwise kernels are
quantized per channel, as the converter and its kernels do. The arithmetic is that of TensorFlow Lite's 8-bit
specification: weights symmetric in [-127, 127], per output channel; activations asymmetric, per tensor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import InputError
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.training.keras import keras, tf
from edgecnn.training.quantization.fake_quant_layers import LayerQuantization, QuantizedLayer, Rounded, kernel_name


class Range(NamedTuple):
    """Lowest and highest real value a tensor takes; holds 0, since a zero point must."""

    low: float
    high: float


Ranges = dict[str, Range]
"""Range of each layer's output, by layer name."""


def input_quantization(spec: PreprocessSpec) -> tuple[float, int]:
    """Scale and zero point under which an input byte is its own quantized value: 1 / std and mean.

    From (byte - zero_point) * scale = (byte - mean) / std. One scale serves the whole tensor, so its channels must
    share mean and std, and the mean must be a whole number. Raises `InputError`.
    """
    mean, std = spec.mean[0], spec.std[0]
    if set(spec.mean) != {mean} or set(spec.std) != {std} or mean != round(mean):
        raise InputError(f"int8 needs one whole mean and one std for all channels, got {spec.mean} and {spec.std}")
    return 1 / std, round(mean)


def input_range(spec: PreprocessSpec) -> Range:
    """The real values of bytes 0 and 255 under `input_quantization`."""
    scale, zero_point = input_quantization(spec)
    return Range((0 - zero_point) * scale, (255 - zero_point) * scale)


def observe_ranges(folded: keras.Model, batches: Iterable[NDArray[np.float32]]) -> Ranges:
    """Range of every layer's output over normalized images `[n, height, width, channels]`, widened to hold 0."""
    layers = [layer for layer in folded.layers if _has_own_scale(layer)]
    probe = tf.function(
        keras.Model(folded.inputs, [(tf.reduce_min(layer.output), tf.reduce_max(layer.output)) for layer in layers])
    )
    observed = np.array([[(0.0, 0.0)] * len(layers)] + [np.array(probe(batch)) for batch in batches])
    lows, highs = observed[:, :, 0].min(axis=0), observed[:, :, 1].max(axis=0)
    return {layer.name: Range(float(low), float(high)) for layer, low, high in zip(layers, lows, highs, strict=True)}


def quantize_aware(folded: keras.Model, spec: PreprocessSpec, ranges: Ranges | None = None) -> keras.Model:
    """A model that computes as its int8 file will: weights and activations of `fold_model(...)` fake-quantized.

    `ranges` come from `observe_ranges`; without them the model waits for `load_weights`. Frozen layers stay frozen.
    """
    tensors: dict[str, Any] = {}
    for layer in folded.layers:
        if isinstance(layer, keras.layers.InputLayer):
            image = keras.Input(layer.output.shape[1:], name=layer.name)
            tensors[layer.output.name] = Rounded(input_range(spec), name=f"{layer.name}_quantized")(image)
            continue
        inputs = tf.nest.map_structure(lambda tensor: tensors[tensor.name], layer.input)
        output = _quantized_layer(layer, ranges)(inputs)
        if limits := _fixed_range(layer):
            output = Rounded(limits, name=f"{layer.name}_quantized")(output)
        tensors[layer.output.name] = output
    model = keras.Model(image, tensors[folded.output.name], name=folded.name)
    if ranges is not None:
        for layer in folded.layers:
            if kernel_name(layer):
                scale = _scale(_source_range(layer, ranges, input_range(spec)))
                model.get_layer(f"quant_{layer.name}").start_from(layer, scale)
    return model


def _source_range(layer: Any, ranges: Ranges, image: Range) -> Range:
    """Range of a layer's input: that of the nearest layer before it which has a scale of its own."""
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
    """Whether the int8 kernel of a layer requantizes its output.

    The others (pads, maxima, means over windows, reshapes) pass their input's scale on; softmax, tanh and sigmoid have
    one that is fixed by the specification; what a ReLU or a concatenation follows shares that one's.
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
    """The range that the specification fixes for a layer's output, of those that layers with kernels come after."""
    if isinstance(layer, keras.layers.Activation):
        # Scale and zero point: 1/128 and 0, 1/256 and -128.
        return {
            keras.activations.tanh: Range(-1.0, 127 / 128),
            keras.activations.sigmoid: Range(0.0, 255 / 256),
        }.get(layer.activation)
    return None
