from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.run.run_folder import read_run
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import BackboneSpec, backbone_spec
from edgecnn.training.networks.classifier_model import attach_head, load_float_model, unfreeze
from edgecnn.training.quantization.fold_batch_norm import fold_model
from tests.training.networks import IMAGE_SHAPE, noise, scramble

layers = keras.layers


def network(build: Callable[[Any], Any]) -> Any:
    """Return a model with random weights and statistics, none of which are defaults."""
    image = keras.Input(IMAGE_SHAPE, name="image")
    model = keras.Model(image, build(image))
    scramble(model)
    return model


def kinds(model: Any) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def assert_folds_to(model: Any, expected: list[str]) -> Any:
    folded = fold_model(model)
    assert kinds(folded) == ["InputLayer", *expected]
    images = noise(4)
    np.testing.assert_allclose(folded(images), model(images, training=False), rtol=1e-4, atol=1e-4)
    return folded


# ---- small networks


def test_batch_norm_and_relu6_are_folded_into_a_convolution() -> None:
    model = network(
        lambda x: layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False, name="conv")(x)))
    )
    folded = assert_folds_to(model, ["Conv2D"])
    assert folded.get_layer("conv").use_bias
    assert float(np.max(folded(noise(4) * 1000))) == 6.0


def test_batch_norm_and_relu_are_folded_into_a_depthwise_convolution() -> None:
    model = network(
        lambda x: layers.ReLU()(
            layers.BatchNormalization()(layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(x))
        )
    )
    assert_folds_to(model, ["DepthwiseConv2D"])


def test_batch_norm_is_folded_into_a_convolution_with_a_bias() -> None:
    assert_folds_to(network(lambda x: layers.BatchNormalization()(layers.Conv2D(4, 3)(x))), ["Conv2D"])


def test_a_batch_norm_without_scale_and_without_center_is_folded() -> None:
    model = network(lambda x: layers.BatchNormalization(scale=False, center=False)(layers.Conv2D(4, 3)(x)))
    assert_folds_to(model, ["Conv2D"])


def test_a_convolution_with_two_consumers_is_not_folded() -> None:
    def build(image: Any) -> Any:
        x = layers.Conv2D(4, 3)(image)
        return layers.Add()([layers.BatchNormalization()(x), layers.ReLU()(x)])

    assert_folds_to(network(build), ["Conv2D", "BatchNormalization", "ReLU", "Add"])


def test_a_batch_norm_with_two_consumers_is_folded_but_the_relu_is_not() -> None:
    def build(image: Any) -> Any:
        x = layers.BatchNormalization()(layers.Conv2D(4, 3)(image))
        return layers.Add()([x, layers.ReLU()(x)])

    assert_folds_to(network(build), ["Conv2D", "ReLU", "Add"])


def test_an_activation_between_convolution_and_batch_norm_prevents_folding() -> None:
    model = network(lambda x: layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x)))
    assert_folds_to(model, ["Conv2D", "BatchNormalization"])


@pytest.mark.parametrize("relu", [{"max_value": 3.0}, {"negative_slope": 0.1}, {"threshold": 0.2}], ids=str)
def test_a_relu_that_int8_kernels_cannot_fuse_stays_a_layer(relu: dict[str, float]) -> None:
    model = network(lambda x: layers.ReLU(**relu)(layers.BatchNormalization()(layers.Conv2D(4, 3)(x))))
    assert_folds_to(model, ["Conv2D", "ReLU"])


def test_the_softmax_of_a_dense_layer_becomes_a_separate_layer() -> None:
    model = network(lambda x: layers.Dense(5, activation="softmax", name="head")(layers.GlobalAveragePooling2D()(x)))
    folded = assert_folds_to(model, ["GlobalAveragePooling2D", "Dense", "Softmax"])
    assert folded.get_layer("head").activation is keras.activations.linear


def test_folding_does_not_change_the_original_model() -> None:
    model = network(lambda x: layers.BatchNormalization()(layers.Conv2D(4, 3)(x)))
    before = [weight.copy() for weight in model.get_weights()]
    fold_model(model)
    assert kinds(model) == ["InputLayer", "Conv2D", "BatchNormalization"]
    for weight, original in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, original)


BLOCKS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["conv", "depthwise"]),
        "use_bias": st.booleans(),
        "strides": st.sampled_from([1, 2]),
        "norm": st.none() | st.fixed_dictionaries({"scale": st.booleans(), "center": st.booleans()}),
        "relu": st.sampled_from([None, {}, {"max_value": 6.0}, {"max_value": 1.5}]),
        "shortcut": st.booleans(),
    }
)


def _block(x: Any, *, kind: str, norm: dict[str, bool] | None, relu: Any, shortcut: bool, **convolution: Any) -> Any:
    inputs = x
    if kind == "conv":
        x = layers.Conv2D(4, 3, padding="same", **convolution)(x)
    else:
        x = layers.DepthwiseConv2D(3, padding="same", **convolution)(x)
    if norm is not None:
        x = layers.BatchNormalization(**norm)(x)
    if relu is not None:
        x = layers.ReLU(**relu)(x)
    return layers.Add()([x, inputs]) if shortcut and x.shape == inputs.shape else x


@given(st.lists(BLOCKS, min_size=1, max_size=4))
def test_folding_any_chain_of_blocks_does_not_change_the_outputs(configs: list[dict[str, Any]]) -> None:
    def build(x: Any) -> Any:
        for config in configs:
            x = _block(x, **config)
        return layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))

    model = network(build)
    folded = fold_model(model)
    assert "BatchNormalization" not in kinds(folded)
    images = noise(4)
    np.testing.assert_allclose(folded(images), model(images, training=False), rtol=0, atol=1e-4)


# ---- networks of the zoo


def test_folding_a_trained_efficientnet_lite_does_not_change_the_outputs(trained_run: Path) -> None:
    model = load_float_model(*read_run(trained_run))
    folded = fold_model(model)
    assert not {"BatchNormalization", "ReLU"} & set(kinds(folded))
    images = np.random.default_rng(0).uniform(-1, 1, (4, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(folded(images), model(images, training=False), rtol=0, atol=1e-4)


def test_folding_mobilenet_v2_does_not_change_the_outputs() -> None:
    model = build_backbone(backbone_spec("mobilenet_v2", 0.35), height=32, width=32, weights=None)
    scramble(model)
    folded = fold_model(model)
    assert not {"BatchNormalization", "ReLU"} & set(kinds(folded))
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    expected = model(images, training=False).numpy()
    assert expected.std() > 0
    np.testing.assert_allclose(folded(images), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("spec", [backbone_spec("efficientnet_lite0"), backbone_spec("mobilenet_v2", 0.35)])
def test_frozen_layers_are_frozen_after_folding(spec: BackboneSpec) -> None:
    model = attach_head(build_backbone(spec, height=32, width=32, weights=None), 3, 0.2)
    unfreeze(model, 2, spec.name)
    folded = fold_model(model)
    with_kernel = [layer for layer in folded.layers if layer.weights]
    assert {layer.name: layer.trainable for layer in with_kernel} == {
        layer.name: model.get_layer(layer.name).trainable for layer in with_kernel
    }
    assert any(layer.trainable for layer in with_kernel)
    assert not all(layer.trainable for layer in with_kernel)
