from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgecnn.core.errors import EdgecnnError, InputError
from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.summary.rows import LayerRow, ModelSummary, grouped, shares, summary_record
from edgecnn.training.summary.summary import summarize, summarize_backbone, summarize_run

L = keras.layers
lengths = st.integers(1, 24)
kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.sampled_from(["same", "valid"])


def summary_of(*layers: Any, shape: tuple[int, ...] = (12, 12, 4)) -> ModelSummary:
    """Summarize a chain of layers."""
    inputs = x = keras.Input(shape, name="image")
    for layer in layers:
        x = layer(x)
    return summarize(keras.Model(inputs, x))


def row(summary: ModelSummary, name: str) -> LayerRow:
    return next(layer for layer in summary.layers if layer.name == name)


def built(layer: Any, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """Return output, parameters and multiplications of a layer as Keras builds it."""
    output = tuple(layer(keras.Input(shape)).shape[1:])
    weights = layer.get_weights()
    return output, layer.count_params(), weights[0].size * prod(output[:-1]) if weights else 0


# ---- against Keras


@given(
    height=lengths,
    width=lengths,
    kernel=kernels,
    stride=strides,
    padding=paddings,
    groups=st.sampled_from([1, 2]),
    use_bias=st.booleans(),
)
def test_convolution_matches_keras(
    *,
    height: int,
    width: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: str,
    groups: int,
    use_bias: bool,
) -> None:
    assume(padding == "same" or (height >= kernel[0] and width >= kernel[1]))
    layer = L.Conv2D(6, kernel, stride, padding, groups=groups, use_bias=use_bias)
    layer_row = summary_of(layer, shape=(height, width, 4)).layers[-1]
    assert (layer_row.output, layer_row.parameters, layer_row.macs) == built(layer, (height, width, 4))
    assert (layer_row.kernel, layer_row.stride) == (kernel, stride)


@given(
    height=lengths,
    width=lengths,
    kernel=kernels,
    stride=st.integers(1, 3),
    padding=paddings,
    multiplier=st.integers(1, 2),
    use_bias=st.booleans(),
)
def test_depthwise_convolution_matches_keras(
    *, height: int, width: int, kernel: tuple[int, int], stride: int, padding: str, multiplier: int, use_bias: bool
) -> None:
    assume(padding == "same" or (height >= kernel[0] and width >= kernel[1]))
    layer = L.DepthwiseConv2D(kernel, stride, padding, depth_multiplier=multiplier, use_bias=use_bias)
    layer_row = summary_of(layer, shape=(height, width, 3)).layers[-1]
    output, parameters, _ = built(layer, (height, width, 3))
    assert (layer_row.output, layer_row.parameters) == (output, parameters)
    assert layer_row.macs == prod(layer.get_weights()[0].shape) * prod(output[:-1])


@given(
    height=lengths,
    width=lengths,
    kernel=kernels,
    stride=strides,
    padding=paddings,
    pooling=st.sampled_from([L.MaxPooling2D, L.AveragePooling2D]),
    data=st.data(),
)
def test_layers_without_weights_match_keras(
    *,
    height: int,
    width: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: str,
    pooling: Any,
    data: st.DataObject,
) -> None:
    zeros = data.draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2))
    padded = [length + sum(side) for length, side in zip((height, width), zeros, strict=True)]
    assume(padding == "same" or (padded[0] >= kernel[0] and padded[1] >= kernel[1]))
    last = data.draw(st.sampled_from([L.Flatten, L.GlobalAveragePooling2D, L.GlobalMaxPooling2D]))
    layers = (L.ZeroPadding2D(zeros), pooling(kernel, stride, padding), last())
    # `summarize` itself compares every output with the built layer's.
    summary = summary_of(*layers, shape=(height, width, 3))
    assert (summary.parameters, summary.macs) == (0, 0)


@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_dense_layer_matches_keras(inputs: int, outputs: int, use_bias: bool) -> None:
    layer = L.Dense(outputs, use_bias=use_bias)
    layer_row = summary_of(layer, shape=(inputs,)).layers[-1]
    assert (layer_row.output, layer_row.parameters, layer_row.macs) == built(layer, (inputs,))


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), paddings), min_size=1, max_size=3),
    st.booleans(),
)
def test_output_depends_exactly_on_its_receptive_field(chain: list[tuple[int, int, str]], with_branch: bool) -> None:
    # Large enough that the receptive field of the middle output is far from the padding.
    shape = (125, 118, 1)
    inputs = x = keras.Input(shape)
    for kernel, stride, padding in chain:
        before = x
        # Weights are positive, so that nothing cancels out.
        x = L.Conv2D(1, kernel, stride, padding, kernel_initializer="ones")(x)
        if with_branch:
            branch = L.Conv2D(1, 1, stride, padding="same", kernel_initializer="ones")(before)
            x = L.Add()([x, branch]) if branch.shape == x.shape else x
    model = keras.Model(inputs, x)
    fields = summarize(model).layers[-1].fields
    assert fields
    for axis, field in enumerate(fields):
        # Each image contains a single line. (TensorFlow's gradients would show it too, but for kernels smaller than
        # their stride some of its implementations write out of bounds.)
        length = shape[axis]
        lines = np.eye(length, dtype=np.float32).reshape(length, *((length, 1) if axis == 0 else (1, length)), 1)
        output = model(np.broadcast_to(lines, (length, *shape))).numpy()
        middle = (x.shape[1] // 2, x.shape[2] // 2)
        (seen,) = np.nonzero(output[:, middle[0], middle[1], 0])
        first = field.start + middle[axis] * field.jump
        assert (seen.min(), seen.max() + 1) == (first, first + field.size)


# ---- published figures


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_totals_equal_the_published_figures(name: str) -> None:
    spec = backbone_spec(name)
    summary = summarize_backbone(spec)
    assert (summary.trainable, summary.macs) == (spec.parameters, spec.macs)
    assert summary.layers[-1].output == (1000,)
    assert not summary.uncounted


@pytest.mark.parametrize(
    ("network", "last", "pixels"),
    [
        (keras.applications.VGG16, "block5_pool", 212),
        (keras.applications.ResNet50, "conv5_block3_out", 483),
        (keras.applications.MobileNet, "conv_pw_13_relu", 315),
        (keras.applications.InceptionV3, "mixed10", 1311),
    ],
)
def test_receptive_fields_equal_those_of_araujo_norris_and_sim(network: Any, last: str, pixels: int) -> None:
    model = network(weights=None, include_top=False, input_shape=(96, 96, 3))
    summary = summarize(model)
    assert row(summary, last).receptive_field == (pixels, pixels)
    assert summary.parameters == model.count_params()


def test_textbook_cnn_has_121930_parameters() -> None:
    summary = summary_of(
        L.Conv2D(32, 3, activation="relu", name="conv"),
        L.MaxPooling2D(2, name="pool"),
        L.Conv2D(64, 3, activation="relu"),
        L.MaxPooling2D(2),
        L.Flatten(),
        L.Dense(64, activation="relu"),
        L.Dropout(0.4),
        L.Dense(10, activation="softmax"),
        shape=(28, 28, 1),
    )
    assert summary.parameters == 121_930
    assert row(summary, "conv").kinds == ("Conv2D", "relu")
    assert (row(summary, "pool").output, row(summary, "pool").receptive_field) == ((13, 13, 32), (4, 4))
    by_kind = {share.kind: share for share in shares(summary)}
    assert by_kind["Dense"].parameters == 1600 * 64 + 64 + 64 * 10 + 10
    assert by_kind["Conv2D 3x3"].layers == 2
    assert sum(share.macs for share in by_kind.values()) == summary.macs


# ---- rows of layers


def test_squeeze_and_excitation_gate_does_not_widen_the_receptive_field() -> None:
    inputs = keras.Input((16, 16, 8))
    x = L.DepthwiseConv2D(3, padding="same", name="depthwise")(inputs)
    gate = L.GlobalAveragePooling2D()(x)
    gate = L.Conv2D(8, 1, activation="sigmoid", name="expand")(L.Reshape((1, 1, 8))(gate))
    summary = summarize(keras.Model(inputs, L.Multiply(name="excite")([x, gate])))
    assert row(summary, "expand").receptive_field == (18, 18)
    assert row(summary, "excite").receptive_field == row(summary, "depthwise").receptive_field == (3, 3)


def test_frozen_layers_and_statistics_are_not_trainable() -> None:
    conv = L.Conv2D(8, 3, use_bias=False)
    conv.trainable = False
    summary = summary_of(conv, L.BatchNormalization(), shape=(8, 8, 3))
    assert [layer.trainable for layer in summary.layers] == [0, 0, 16]
    assert (summary.trainable, summary.parameters) == (16, 3 * 3 * 3 * 8 + 32)


def test_layer_without_formula_has_only_output_and_parameters() -> None:
    summary = summary_of(L.Conv2DTranspose(4, 3, name="up"), L.ReLU(name="relu"), shape=(8, 8, 3))
    unknown = row(summary, "up")
    assert (unknown.output, unknown.parameters, unknown.trainable) == ((10, 10, 4), 112, 112)
    assert (unknown.kernel, unknown.macs, unknown.receptive_field) == (None, None, None)
    assert row(summary, "relu").receptive_field is None
    assert summary.uncounted == ("up",)


def test_difference_between_formulas_and_built_layer_is_an_error() -> None:
    layer = L.Dense(3, name="odd")
    layer.build((None, 4))
    layer.add_weight("extra", (5,))
    with pytest.raises(EdgecnnError, match="expected parameters 15 of layer odd by the formulas, got 20"):
        summary_of(layer, shape=(4,))


# ---- grouped rows


def test_padding_and_value_wise_layers_join_the_row_of_a_convolution() -> None:
    summary = summary_of(
        L.ZeroPadding2D(((0, 1), (2, 3)), name="pad"),
        L.Conv2D(8, 3, 2, use_bias=False, name="conv"),
        L.BatchNormalization(),
        L.ReLU(6.0),
        L.MaxPooling2D(2, name="pool"),
        L.Flatten(name="flat"),
        L.Dropout(0.1),
        shape=(8, 8, 3),
    )
    _, conv, pool, flat = grouped(summary.layers)
    assert (conv.name, conv.kinds) == ("conv", ("Conv2D", "BatchNormalization", "ReLU6"))
    assert (conv.padding, conv.inputs, conv.parameters) == (((0, 1), (2, 3)), ("image",), 3 * 3 * 3 * 8 + 32)
    assert (pool.inputs, flat.kinds, flat.inputs) == (("conv",), ("Flatten", "Dropout"), ("pool",))


def test_padding_shared_by_two_layers_keeps_its_row() -> None:
    inputs = keras.Input((8, 8, 3))
    padded = L.ZeroPadding2D(1, name="pad")(inputs)
    total = L.Add()([L.Conv2D(4, 3, name="a")(padded), L.Conv2D(4, 3, name="b")(padded)])
    names = [layer.name for layer in grouped(summarize(keras.Model(inputs, total)).layers)]
    assert names[1:4] == ["pad", "a", "b"]


def test_grouped_rows_have_the_same_totals() -> None:
    model = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(32, 32, 3))
    summary = summarize(model)
    groups = grouped(summary.layers)
    assert len(groups) < 0.6 * len(summary.layers)
    assert sum(layer.parameters for layer in groups) == summary.parameters == model.count_params()
    assert sum(layer.macs or 0 for layer in groups) == summary.macs
    names = {layer.name for layer in groups}
    assert all(name in names for layer in groups for name in layer.inputs)


# ---- backbones and runs


def test_backbone_is_summarized_with_given_size_and_head() -> None:
    summary = summarize_backbone(backbone_spec("mobilenet_v2", 0.35), height=96, width=64, classes=5)
    assert (summary.layers[0].output, summary.layers[-1].output) == ((96, 64, 3), (5,))
    assert row(summary, "classifier").parameters == 1281 * 5
    with pytest.raises(InputError, match="at least 32x32"):
        summarize_backbone(backbone_spec("mobilenet_v2"), height=16)


def test_only_parameters_that_the_run_trained_are_trainable(trained_run: Path) -> None:
    summary = summarize_run(trained_run)
    assert summary.layers[0].output == (64, 64, 3)
    assert summary.trainable == 1281 * 10
    record = summary_record(summary)
    assert sum(layer["parameters"] for layer in record["layers"]) == record["parameters"]
