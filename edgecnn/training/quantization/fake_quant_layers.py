"""Layers that compute as their int8 kernels will: tensorflow-model-optimization's wrappers, begun at calibrated ranges.

A range is the lowest and highest real value that 8 bits stand for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.training.keras import keras, tf

# isort: split
# It imports TensorFlow, and only the module above hides what that says of itself.
import tensorflow_model_optimization as tfmot

_tfmot = tfmot.quantization.keras


def kernel_name(layer: Any) -> str | None:
    """The attribute that holds a layer's kernel, None where it has none."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return "depthwise_kernel"
    return "kernel" if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)) else None


class Rounded(keras.layers.Layer):  # type: ignore[misc]
    """Rounds to the 256 values of a range that nothing moves: those that an image's bytes mean, or an activation's."""

    def __init__(self, limits: tuple[float, float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limits = limits

    def call(self, values: Any) -> Any:
        return tf.quantization.fake_quant_with_min_max_args(values, min=self.limits[0], max=self.limits[1])


class _ActivationQuantizer(_tfmot.quantizers.MovingAverageQuantizer):  # type: ignore[misc, name-defined]
    """The library's moving average, begun at a calibrated range."""

    def __init__(self, start: tuple[float, float]) -> None:
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self.start = start

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        variables: dict[str, Any] = super().build(tensor_shape, name, layer)
        variables["min_var"].assign(self.start[0])
        variables["max_var"].assign(self.start[1])
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
        vanished (batch normalization leaves such) would have so small a unit that its bias overflows; the floor keeps
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


class LayerQuantization(_tfmot.QuantizeConfig):  # type: ignore[misc, name-defined]
    """What of a layer is quantized: its kernel, if it has one, and its output, if that has a scale of its own."""

    def __init__(self, layer: Any, output: tuple[float, float] | None) -> None:
        self.kernel = kernel_name(layer)
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


class QuantizedLayer(_tfmot.QuantizeWrapperV2):  # type: ignore[misc, name-defined]
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
