"""Quantisation-aware training that starts where post-training quantisation ends.

TensorFlow Model Optimization's own start is a range of +-6 everywhere and one scale for a whole depthwise kernel. Here
every range is set from the weights and from calibration images before the first step, and depthwise kernels are
quantised per channel, as the converter and its kernels do. The arithmetic is that of TensorFlow Lite's 8-bit
specification: weights symmetric in [-127, 127], per output channel; activations asymmetric, per tensor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import tensorflow_model_optimization as tfmot
from numpy.typing import NDArray

from edgecnn.core.errors import InputError
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.train.keras import keras, tf

_tfmot = tfmot.quantization.keras


class Range(NamedTuple):
    """Lowest and highest real value a tensor takes; holds 0, since a zero point must."""

    low: float
    high: float


Ranges = dict[str, Range]
"""Range of each layer's output, by layer name."""


def input_quantization(spec: PreprocessSpec) -> tuple[float, int]:
    """Scale and zero point under which an input byte is its own quantised value: 1 / std and mean.

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
    """Range of every layer's output over normalised images `[n, height, width, channels]`, widened to hold 0."""
    layers = [layer for layer in folded.layers if _has_own_scale(layer)]
    probe = tf.function(
        keras.Model(folded.inputs, [(tf.reduce_min(layer.output), tf.reduce_max(layer.output)) for layer in layers])
    )
    observed = np.array([[(0.0, 0.0)] * len(layers)] + [np.array(probe(batch)) for batch in batches])
    lows, highs = observed[:, :, 0].min(axis=0), observed[:, :, 1].max(axis=0)
    return {layer.name: Range(float(low), float(high)) for layer, low, high in zip(layers, lows, highs, strict=True)}


def quantize_aware(folded: keras.Model, spec: PreprocessSpec, ranges: Ranges | None = None) -> keras.Model:
    """A model that computes as its int8 file will: weights and activations of `fold_model(...)` fake-quantised.

    `ranges` come from `observe_ranges`; without them the model waits for `load_weights`. Frozen layers stay frozen.
    """
    tensors: dict[str, Any] = {}
    for layer in folded.layers:
        if isinstance(layer, keras.layers.InputLayer):
            image = keras.Input(layer.output.shape[1:], name=layer.name)
            tensors[layer.output.name] = _Rounded(input_range(spec), name=f"{layer.name}_quantized")(image)
            continue
        inputs = tf.nest.map_structure(lambda tensor: tensors[tensor.name], layer.input)
        output = _quantized_layer(layer, ranges)(inputs)
        if limits := _fixed_range(layer):
            output = _Rounded(limits, name=f"{layer.name}_quantized")(output)
        tensors[layer.output.name] = output
    model = keras.Model(image, tensors[folded.output.name], name=folded.name)
    if ranges is not None:
        for layer in folded.layers:
            if _kernel_name(layer):
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
    elif not _kernel_name(layer):
        return copy
    wrapper = _QuantizedLayer(copy, _LayerQuantization(layer, output))
    wrapper.trainable = layer.trainable
    return wrapper


def _has_own_scale(layer: Any) -> bool:
    """Whether the int8 kernel of a layer requantises its output.

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


def _kernel_name(layer: Any) -> str | None:
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return "depthwise_kernel"
    return "kernel" if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)) else None


class _Rounded(keras.layers.Layer):  # type: ignore[misc]
    """Rounds to the 256 values of a range that nothing moves: those that an image's bytes mean, or an activation's."""

    def __init__(self, limits: Range, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limits = limits

    def call(self, values: Any) -> Any:
        return tf.quantization.fake_quant_with_min_max_args(values, min=self.limits.low, max=self.limits.high)


class _ActivationQuantizer(_tfmot.quantizers.MovingAverageQuantizer):  # type: ignore[misc, name-defined]
    """The library's moving average, begun at a calibrated range."""

    def __init__(self, start: Range) -> None:
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self.start = start

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        variables: dict[str, Any] = super().build(tensor_shape, name, layer)
        variables["min_var"].assign(self.start.low)
        variables["max_var"].assign(self.start.high)
        return variables


class _KernelQuantizer(_tfmot.quantizers.Quantizer):  # type: ignore[misc, name-defined]
    """Symmetric in [-127, 127], and per output channel, which a depthwise kernel has its channels moved last for.

    A Dense kernel has one scale: the converter transposes it and loses track of the axis of more.
    """

    def __init__(self, kind: type) -> None:
        self.per_channel = kind is not keras.layers.Dense
        self.depthwise = kind is keras.layers.DepthwiseConv2D

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        shape = self._channels_last(tensor_shape)[-1:] if self.per_channel else ()
        return {
            variable: layer.add_weight(f"{name}_{variable}", shape=shape, initializer="ones", trainable=False)
            for variable in ("min", "max", "floor")
        }

    def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
        kernel = tf.reshape(inputs, self._channels_last(inputs.shape))
        low, high = self.set_ranges(inputs, weights) if training else (weights["min"], weights["max"])
        fake_quantize = (
            tf.quantization.fake_quant_with_min_max_vars_per_channel
            if self.per_channel
            else tf.quantization.fake_quant_with_min_max_vars
        )
        return tf.reshape(fake_quantize(kernel, low, high, narrow_range=True), inputs.shape)

    def set_ranges(self, inputs: Any, weights: dict[str, Any]) -> tuple[Any, Any]:
        """Sets the range of each channel to its largest weight, and returns it."""
        kernel = tf.abs(tf.reshape(inputs, self._channels_last(inputs.shape)))
        axes = list(range(kernel.shape.rank - 1)) if self.per_channel else None
        largest = tf.maximum(tf.reduce_max(kernel, axis=axes), weights["floor"])
        # min = -max exactly: any other range gives the weights a zero point, which no kernel accepts.
        return weights["min"].assign(-largest), weights["max"].assign(largest)

    def start_from(
        self, kernel: NDArray[np.float32], bias: NDArray[np.float32], input_scale: float, weights: dict[str, Any]
    ) -> None:
        """Sets ranges, and the floor below which they must not fall.

        A bias is stored as int32 in units of input scale times weight scale. A channel whose weights have all but
        vanished (batch normalisation leaves such) would have so small a unit that its bias overflows; the floor keeps
        every bias, and four times it, below 2**31. A floor above zero also gives a channel of zeros a scale.
        """
        floor = np.maximum(127 * np.abs(bias) / (input_scale * 2**29), 1e-9)
        weights["floor"].assign(floor if self.per_channel else floor.max())
        self.set_ranges(kernel, weights)

    def get_config(self) -> dict[str, Any]:
        return {"per_channel": self.per_channel, "depthwise": self.depthwise}

    def _channels_last(self, shape: Any) -> tuple[int, ...]:
        """(h, w, channels, multiplier) of a depthwise kernel to (h, w, 1, channels * multiplier)."""
        return (*shape[:-2], 1, shape[-2] * shape[-1]) if self.depthwise else tuple(shape)


class _LayerQuantization(_tfmot.QuantizeConfig):  # type: ignore[misc, name-defined]
    """What of a layer is quantised: its kernel, if it has one, and its output, if that has a scale of its own."""

    def __init__(self, layer: Any, output: Range | None) -> None:
        self.kernel = _kernel_name(layer)
        self.kernel_quantizer = _KernelQuantizer(type(layer))
        self.output = [_ActivationQuantizer(output)] if output else []

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        return [(getattr(layer, self.kernel), self.kernel_quantizer)] if self.kernel else []

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        if self.kernel:
            setattr(layer, self.kernel, quantize_weights[0])

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        pass

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        return self.output

    def get_config(self) -> dict[str, Any]:
        return {"kernel": self.kernel, "output": [each.start for each in self.output]}


class _QuantizedLayer(_tfmot.QuantizeWrapperV2):  # type: ignore[misc, name-defined]
    """The library's wrapper, which honours `trainable`: the original goes on training what was frozen."""

    @property
    def trainable_weights(self) -> list[Any]:
        return super().trainable_weights if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Any]:
        own: list[Any] = super().non_trainable_weights
        return own if self.trainable else list(self._dedup_weights(super().trainable_weights + own))

    def start_from(self, layer: Any, input_scale: float) -> None:
        """Takes a float layer's kernel and bias over, and sets the kernel's ranges from them."""
        ((kernel, quantizer, variables),) = self._weight_vars
        kernel.assign(layer.get_weights()[0])
        bias = np.zeros(layer.output.shape[-1], np.float32)
        if layer.use_bias:
            bias = layer.get_weights()[1]
            self.layer.bias.assign(bias)
        quantizer.start_from(kernel, bias, input_scale, variables)
