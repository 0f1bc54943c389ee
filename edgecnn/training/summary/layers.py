"""Rows for Keras layers, computed by `training/summary/formulas.py` and checked against the built layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from edgecnn.core.errors import EdgecnnError
from edgecnn.training.keras import keras
from edgecnn.training.summary.formulas import (
    Field,
    Pair,
    Window,
    batch_norm_parameters,
    convolution_parameters,
    dense_parameters,
    depthwise_parameters,
    field_through,
    macs,
    merge_fields,
    output_length,
    padded_window,
)
from edgecnn.training.summary.rows import LayerRow, Shape

Layer = Any
Sources = Sequence[LayerRow]
_Fields = tuple[Field, Field] | None


class _Computed(NamedTuple):
    """Result of the formulas for a layer."""

    output: Shape
    fields: _Fields
    parameters: int = 0
    statistics: int = 0
    """Number of non-trainable parameters."""
    macs: int | None = 0
    windows: tuple[Window, Window] | None = None


def layer_row(layer: Layer, sources: Sources) -> LayerRow:
    """Compute the row of a layer.

    Args:
        layer: Built Keras layer.
        sources: Rows of the layers whose outputs it takes.

    Returns:
        The row. For a kind of layer without a formula it contains only the built layer's output and parameters.

    Raises:
        EdgecnnError: The formulas and the built layer differ.
    """
    formula = _FORMULAS.get(type(layer))
    computed = formula(layer, sources) if formula else _as_built(layer)
    _check(layer, "output", computed.output, tuple(layer.output.shape[1:]))
    _check(layer, "parameters", computed.parameters, layer.count_params())
    windows = computed.windows
    slides = windows and not isinstance(layer, keras.layers.ZeroPadding2D)
    return LayerRow(
        name=layer.name,
        kinds=_kinds(layer),
        inputs=tuple(source.name for source in sources),
        output=computed.output,
        parameters=computed.parameters,
        trainable=computed.parameters - computed.statistics if layer.trainable else 0,
        macs=computed.macs,
        kernel=(windows[0].kernel, windows[1].kernel) if windows and slides else None,
        stride=(windows[0].stride, windows[1].stride) if windows and slides else None,
        padding=((windows[0].before, windows[0].after), (windows[1].before, windows[1].after)) if windows else None,
        fields=computed.fields,
    )


def _check(layer: Layer, what: str, computed: object, built: object) -> None:
    if computed != built:
        raise EdgecnnError(
            f"expected {what} {computed} of layer {layer.name} by the formulas, got {built} in the built layer; "
            "this is a bug in edgecnn, please report it"
        )


def _kinds(layer: Layer) -> tuple[str, ...]:
    kind = type(layer).__name__
    if isinstance(layer, keras.layers.ReLU) and layer.max_value is not None:
        return (f"{kind}{layer.max_value:g}",)
    activation = getattr(layer, "activation", None)
    if activation is None or activation is keras.activations.linear:
        return (kind,)
    return (activation.__name__,) if kind == "Activation" else (kind, activation.__name__)


# ---- kinds of layers


def _input(layer: Layer, sources: Sources) -> _Computed:
    return _Computed(tuple(layer.output.shape[1:]), (Field(), Field()))


def _convolution(layer: Layer, sources: Sources) -> _Computed:
    kernel, channels, filters = layer.kernel_size, sources[0].output[-1], layer.filters
    windows = _windows(sources[0], kernel, layer.strides, layer.padding, layer.dilation_rate)
    size = _output_size(sources[0], windows)
    weights = convolution_parameters(kernel, channels, filters, groups=layer.groups, bias=False)
    parameters = convolution_parameters(kernel, channels, filters, groups=layer.groups, bias=layer.use_bias)
    return _Computed(
        (*size, filters), _through(sources[0].fields, windows), parameters, 0, macs(weights, prod(size)), windows
    )


def _depthwise(layer: Layer, sources: Sources) -> _Computed:
    kernel, channels, multiplier = layer.kernel_size, sources[0].output[-1], layer.depth_multiplier
    windows = _windows(sources[0], kernel, layer.strides, layer.padding, layer.dilation_rate)
    size = _output_size(sources[0], windows)
    weights = depthwise_parameters(kernel, channels, multiplier=multiplier, bias=False)
    parameters = depthwise_parameters(kernel, channels, multiplier=multiplier, bias=layer.use_bias)
    output = (*size, channels * multiplier)
    return _Computed(output, _through(sources[0].fields, windows), parameters, 0, macs(weights, prod(size)), windows)


def _dense(layer: Layer, sources: Sources) -> _Computed:
    *positions, inputs = sources[0].output
    weights = dense_parameters(inputs, layer.units, bias=False)
    parameters = dense_parameters(inputs, layer.units, bias=layer.use_bias)
    return _Computed((*positions, layer.units), sources[0].fields, parameters, macs=macs(weights, prod(positions)))


def _batch_norm(layer: Layer, sources: Sources) -> _Computed:
    count = batch_norm_parameters(sources[0].output[-1], scale=layer.scale, center=layer.center)
    return _Computed(sources[0].output, sources[0].fields, count.trained + count.statistics, count.statistics)


def _pooling(layer: Layer, sources: Sources) -> _Computed:
    windows = _windows(sources[0], layer.pool_size, layer.strides, layer.padding)
    output = (*_output_size(sources[0], windows), sources[0].output[-1])
    return _Computed(output, _through(sources[0].fields, windows), windows=windows)


def _global_pooling(layer: Layer, sources: Sources) -> _Computed:
    channels = sources[0].output[-1]
    return _Computed((1, 1, channels) if layer.keepdims else (channels,), _of_all_positions(sources[0]))


def _zero_padding(layer: Layer, sources: Sources) -> _Computed:
    (above, below), (left, right) = layer.padding
    windows = Window(1, before=above, after=below), Window(1, before=left, after=right)
    output = (*_output_size(sources[0], windows), sources[0].output[-1])
    return _Computed(output, _through(sources[0].fields, windows), windows=windows)


def _flatten(layer: Layer, sources: Sources) -> _Computed:
    return _Computed((prod(sources[0].output),), _of_all_positions(sources[0]))


def _reshape(layer: Layer, sources: Sources) -> _Computed:
    known = prod(length for length in layer.target_shape if length != -1)
    output = tuple(prod(sources[0].output) // known if length == -1 else length for length in layer.target_shape)
    # If several positions are rearranged, their receptive fields are no longer a regular grid.
    is_one_position = prod(output[:-1]) == 1
    return _Computed(output, _of_all_positions(sources[0]) if is_one_position else None)


def _concatenation(layer: Layer, sources: Sources) -> _Computed:
    *positions, _ = sources[0].output
    return _Computed((*positions, sum(source.output[-1] for source in sources)), _merged(sources))


def _elementwise(layer: Layer, sources: Sources) -> _Computed:
    output = tuple(max(lengths) for lengths in zip(*(source.output for source in sources), strict=True))
    # A gate of squeeze-and-excitation, one number per channel, makes every position depend slightly on the whole image.
    # The receptive field is meant to be what a position looks at, so a source that is broadcast does not count.
    return _Computed(output, _merged([source for source in sources if source.output[:-1] == output[:-1]]))


def _value_wise(layer: Layer, sources: Sources) -> _Computed:
    return _Computed(sources[0].output, sources[0].fields)


def _as_built(layer: Layer) -> _Computed:
    non_trainable = sum(prod(weight.shape) for weight in layer.non_trainable_weights) if layer.trainable else 0
    return _Computed(tuple(layer.output.shape[1:]), None, layer.count_params(), non_trainable, macs=None)


_FORMULAS: dict[type, Callable[[Layer, Sources], _Computed]] = {
    keras.layers.InputLayer: _input,
    keras.layers.Conv2D: _convolution,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.Dense: _dense,
    keras.layers.BatchNormalization: _batch_norm,
    keras.layers.MaxPooling2D: _pooling,
    keras.layers.AveragePooling2D: _pooling,
    keras.layers.GlobalMaxPooling2D: _global_pooling,
    keras.layers.GlobalAveragePooling2D: _global_pooling,
    keras.layers.ZeroPadding2D: _zero_padding,
    keras.layers.Flatten: _flatten,
    keras.layers.Reshape: _reshape,
    keras.layers.Concatenate: _concatenation,
    **dict.fromkeys((keras.layers.Add, keras.layers.Multiply, keras.layers.Average), _elementwise),
    **dict.fromkeys(
        (
            keras.layers.Activation,
            keras.layers.ReLU,
            keras.layers.Softmax,
            keras.layers.Dropout,
            keras.layers.SpatialDropout2D,
        ),
        _value_wise,
    ),
}
"""Formulas by exact class: a subclass may compute something else."""


# ---- windows over both axes


def _windows(
    source: LayerRow, kernel: Pair, stride: Pair, padding: Any, dilation: Pair = (1, 1)
) -> tuple[Window, Window]:
    rows, columns = (
        padded_window(source.output[axis], kernel[axis], stride[axis], padding, dilation[axis]) for axis in (0, 1)
    )
    return rows, columns


def _output_size(source: LayerRow, windows: tuple[Window, Window]) -> Pair:
    return output_length(source.output[0], windows[0]), output_length(source.output[1], windows[1])


def _through(fields: _Fields, windows: tuple[Window, Window]) -> _Fields:
    return (field_through(fields[0], windows[0]), field_through(fields[1], windows[1])) if fields else None


def _of_all_positions(source: LayerRow) -> _Fields:
    """Return the receptive field of all positions of an output together: one window over the whole output."""
    rows, columns = source.output[:2] if len(source.output) == 3 else (1, 1)
    return _through(source.fields, (Window(rows), Window(columns)))


def _merged(sources: Sources) -> _Fields:
    fields = [source.fields for source in sources if source.fields]
    if len(fields) < len(sources):
        return None
    return merge_fields(rows for rows, _ in fields), merge_fields(columns for _, columns in fields)
