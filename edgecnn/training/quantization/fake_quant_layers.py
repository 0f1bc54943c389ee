"""Layers that compute as their int8 kernels will: tensorflow-model-optimization's wrappers with calibrated ranges.

A range is the lowest and the highest real value that 8 bits represent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.training.keras import keras, tf

# isort: split
# This imports TensorFlow, whose start-up messages only the import of the module above hides.
import tensorflow_model_optimization as tfmot

_tfmot = tfmot.quantization.keras


def kernel_name(layer: Any) -> str | None:
    """Return the attribute with a layer's kernel.

    Args:
        layer: Keras layer.

    Returns:
        Name of the attribute, or None for a layer without a kernel.
    """
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return "depthwise_kernel"
    return "kernel" if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)) else None


class FixedRange(keras.layers.Layer):  # type: ignore[misc]
    """A layer that rounds to the 256 values of a range that training does not change.

    It is used for the input image, whose bytes define the values, and for activations with a fixed output range.
    """

    def __init__(self, limits: tuple[float, float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limits = limits

    def call(self, values: Any) -> Any:
        """Return the rounded values, in float32."""
        return tf.quantization.fake_quant_with_min_max_args(values, min=self.limits[0], max=self.limits[1])


class _ActivationQuantizer(_tfmot.quantizers.MovingAverageQuantizer):  # type: ignore[misc, name-defined]
    """The library's moving average, starting from a calibrated range."""

    def __init__(self, start: tuple[float, float]) -> None:
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self.start = start

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        variables: dict[str, Any] = super().build(tensor_shape, name, layer)
        variables["min_var"].assign(self.start[0])
        variables["max_var"].assign(self.start[1])
        return variables


class _KernelQuantizer(_tfmot.quantizers.Quantizer):  # type: ignore[misc, name-defined]
    """Symmetric [-127, 127], per output channel. Depthwise kernels are reshaped so that channels come last.

    A dense kernel has a single scale: the converter transposes the kernel and would lose the axis of several scales.
    """

    def __init__(self, kind: type) -> None:
        self.per_channel = kind is not keras.layers.Dense
        self.depthwise = kind is keras.layers.DepthwiseConv2D
        self._variables: dict[str, Any] = {}

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        shape = self._channels_last(tensor_shape)[-1:] if self.per_channel else ()
        self._variables = {
            variable: layer.add_weight(f"{name}_{variable}", shape=shape, initializer="ones", trainable=False)
            for variable in ("min", "max", "floor")
        }
        return self._variables

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
        """Set the range of each channel to its largest absolute weight, and return the ranges as (low, high)."""
        kernel = tf.abs(tf.reshape(inputs, self._channels_last(inputs.shape)))
        axes = list(range(kernel.shape.rank - 1)) if self.per_channel else None
        largest = tf.maximum(tf.reduce_max(kernel, axis=axes), weights["floor"])
        # min must be exactly -max: any other range gives the weights a zero point, which no int8 kernel accepts.
        return weights["min"].assign(-largest), weights["max"].assign(largest)

    def start_from(self, kernel: Any, bias: NDArray[np.float32], input_scale: float) -> None:
        """Set the initial ranges, and the floor below which they must not fall.

        A bias is stored as int32 in units of input scale times weight scale. In a channel whose weights are almost zero
        (batch normalization produces such channels) that unit is so small that the bias overflows. The floor keeps
        every bias, and even four times the bias, below 2**31. Because the floor is above zero, a channel of zeros also
        has a scale.
        """
        floor = np.maximum(127 * np.abs(bias) / (input_scale * 2**29), 1e-9)
        self._variables["floor"].assign(floor if self.per_channel else floor.max())
        self.set_ranges(kernel, self._variables)

    def get_config(self) -> dict[str, Any]:
        return {"per_channel": self.per_channel, "depthwise": self.depthwise}

    def _channels_last(self, shape: Any) -> tuple[int, ...]:
        """Return (h, w, 1, channels * multiplier) for a depthwise (h, w, channels, multiplier); other shapes as is."""
        return (*shape[:-2], 1, shape[-2] * shape[-1]) if self.depthwise else tuple(shape)


class LayerQuantization(_tfmot.QuantizeConfig):  # type: ignore[misc, name-defined]
    """The quantized parts of a layer: its kernel, if it has one, and its output, if that has its own scale."""

    def __init__(self, layer: Any, output: tuple[float, float] | None) -> None:
        self.kernel = kernel_name(layer)
        self.kernel_quantizer = _KernelQuantizer(type(layer))
        self.output = [_ActivationQuantizer(output)] if output else []

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """Return the kernel and its quantizer, if the layer has a kernel."""
        return [(getattr(layer, self.kernel), self.kernel_quantizer)] if self.kernel else []

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """Return no activations: only the output of the whole layer is quantized."""
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Make the layer compute with the rounded kernel.

        Args:
            layer: Wrapped layer.
            quantize_weights: One rounded tensor for each entry of `get_weights_and_quantizers`.
        """
        if self.kernel:
            setattr(layer, self.kernel, quantize_weights[0])

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Do nothing, see `get_activations_and_quantizers`.

        Args:
            layer: Wrapped layer.
            quantize_activations: Always empty.
        """

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """Return the quantizer of the output, if the output has its own scale."""
        return self.output

    def get_config(self) -> dict[str, Any]:
        """Return the configuration, which Keras asks for."""
        return {"kernel": self.kernel, "output": [quantizer.start for quantizer in self.output]}


class QuantizedLayer(_tfmot.QuantizeWrapperV2):  # type: ignore[misc, name-defined]
    """The library's wrapper, except that it respects `trainable`: the original keeps training frozen layers."""

    def build(self, input_shape: Any) -> None:
        """Create the variables, and keep the kernel variable: a call puts a rounded kernel in its place."""
        super().build(input_shape)
        if name := kernel_name(self.layer):
            self.kernel = getattr(self.layer, name)

    @property
    def trainable_weights(self) -> list[Any]:
        """Variables that training changes; none if the layer is frozen."""
        return super().trainable_weights if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Variables that training does not change; all of them, each once, if the layer is frozen."""
        own: list[Any] = super().non_trainable_weights
        if self.trainable:
            return own
        return list({id(variable): variable for variable in [*super().trainable_weights, *own]}.values())

    def start_from(self, layer: Any, input_scale: float) -> None:
        """Copy a float layer's kernel and bias, and set the kernel's ranges from them.

        Args:
            layer: Layer of the folded float model, of the same kind and shape, with a kernel.
            input_scale: Real value of one step of the layer's int8 input.
        """
        self.kernel.assign(layer.get_weights()[0])
        bias = np.zeros(layer.output.shape[-1], np.float32)
        if layer.use_bias:
            bias = layer.get_weights()[1]
            self.layer.bias.assign(bias)
        self.quantize_config.kernel_quantizer.start_from(self.kernel, bias, input_scale)
