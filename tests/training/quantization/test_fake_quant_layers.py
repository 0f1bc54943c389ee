"""Tests of every kind of layer in the zoo's networks: folded, fake-quantized, and as an int8 file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.runtime.inference.interpreter import open_interpreter
from edgecnn.training.keras import keras
from edgecnn.training.normalization import normalize
from edgecnn.training.qat import calibrated_model
from edgecnn.training.quantization.fold_batch_norm import fold_model
from edgecnn.training.quantization.quantization_aware import Range, observe_ranges
from edgecnn.training.tflite.convert import convert
from tests.training.interpreted import interpret
from tests.training.networks import IMAGE_SHAPE, SPEC, noise, pixels, scramble

layers = keras.layers


def conv(x: Any, name: str, filters: int = 8, **options: Any) -> Any:
    return layers.Conv2D(filters, 3, padding="same", name=name, **options)(x)


def with_max_pooling(image: Any) -> Any:
    """Build as in mnist_cnn, AlexNet and VGG: ReLU inside convolutions, max pooling, flatten, hidden layer, dropout."""
    x = layers.ZeroPadding2D(2, name="pad")(image)
    x = layers.MaxPooling2D(2, name="maxima")(conv(x, "first", activation="relu"))
    x = layers.MaxPooling2D(3, 2, name="overlapping")(conv(x, "second", activation="relu"))
    x = layers.Dense(12, activation="relu", name="hidden")(layers.Flatten(name="flat")(x))
    return layers.Dropout(0.4, name="dropped")(x)


def with_tanh(image: Any) -> Any:
    """Build as in LeNet-5: tanh after convolutions and dense layers, average pooling."""
    x = layers.AveragePooling2D(2, name="means")(conv(image, "first", activation="tanh"))
    x = layers.AveragePooling2D(2, name="more_means")(conv(x, "second", activation="tanh"))
    return layers.Dense(12, activation="tanh", name="hidden")(layers.Flatten(name="flat")(x))


def with_branches(image: Any) -> Any:
    """Build as in GoogLeNet: concatenated branches with different ranges, one of them after max pooling."""
    x = conv(image, "stem", strides=2, activation="relu")
    pooled = layers.MaxPooling2D(3, 1, "same", name="maxima")(x)
    branches = [
        conv(x, "narrow", 4, activation="relu"),
        conv(conv(x, "reduced", 4, activation="relu"), "wide", 6, activation="relu"),
        conv(pooled, "projected", 4, activation="relu"),
    ]
    x = layers.Concatenate(name="together")(branches)
    return layers.GlobalAveragePooling2D(name="pool")(conv(x, "last", activation="relu"))


def with_shortcuts(image: Any) -> Any:
    """Build as in ResNet-50: ReLU as a separate layer, after batch normalization and after an addition."""
    x = layers.Activation("relu", name="stem_relu")(layers.BatchNormalization(name="stem_bn")(conv(image, "stem")))
    x = layers.MaxPooling2D(3, 2, name="maxima")(layers.ZeroPadding2D(1, name="pad")(x))
    y = layers.BatchNormalization(name="inner_bn")(conv(x, "inner"))
    x = layers.Activation("relu", name="out")(layers.Add(name="sum")([x, y]))
    return layers.GlobalAveragePooling2D(name="pool")(conv(x, "last"))


def with_gates(image: Any) -> Any:
    """Build as in EfficientNet-B0: swish after batch normalization, and squeeze-and-excitation."""
    x = layers.BatchNormalization(name="stem_bn")(conv(image, "stem", strides=2))
    x = layers.Activation("swish", name="stem_swish")(x)
    squeezed = layers.Reshape((1, 1, 8), name="squeezed")(layers.GlobalAveragePooling2D(name="squeeze")(x))
    gate = layers.Conv2D(4, 1, activation="swish", name="reduce")(squeezed)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="expand")(gate)
    x = layers.Multiply(name="excite")([x, gate])
    return layers.GlobalAveragePooling2D(name="pool")(conv(x, "last"))


KINDS = [with_max_pooling, with_tanh, with_branches, with_shortcuts, with_gates]
every_kind = pytest.mark.parametrize("body", KINDS, ids=lambda body: body.__name__)
Body = Callable[[Any], Any]


def network(body: Body) -> Any:
    image = keras.Input(IMAGE_SHAPE, name="image")
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="classifier")(body(image)))
    scramble(model, seed=5)
    return model


def photos(count: int, seed: int) -> Any:
    """Return random images, every other one dark, so that a network's outputs for them differ."""
    images = pixels(count, seed)
    images[::2] //= 4
    return images


@every_kind
def test_folding_does_not_change_the_outputs(body: Body) -> None:
    model = network(body)
    np.testing.assert_allclose(fold_model(model)(noise(6)), model(noise(6), training=False), rtol=0, atol=1e-5)


@every_kind
def test_the_calibrated_model_is_close_to_the_float_network_and_to_its_file(body: Body, tmp_path: Path) -> None:
    model, images = network(body), photos(30, seed=2)
    expected = model(normalize(images, SPEC)).numpy()
    assert np.ptp(expected, axis=0).max() > 0.06
    aware = calibrated_model(model, SPEC, list(photos(40, seed=1)))
    start = aware(normalize(images, SPEC)).numpy()
    np.testing.assert_allclose(start, expected, rtol=0, atol=0.03)

    path = tmp_path / "aware.tflite"
    path.write_bytes(convert(aware, "int8", SPEC))
    tensors = open_interpreter(path, threads=1).get_tensor_details()
    assert not [tensor["name"] for tensor in tensors if np.issubdtype(tensor["dtype"], np.floating)]
    np.testing.assert_allclose(interpret(path, images), start, rtol=0, atol=0.02)


@every_kind
def test_post_training_quantization_is_fully_integer_too(body: Body, tmp_path: Path) -> None:
    model, images = network(body), photos(30, seed=2)
    path = tmp_path / "ptq.tflite"
    path.write_bytes(convert(model, "int8", SPEC, list(photos(40, seed=1))))
    tensors = open_interpreter(path, threads=1).get_tensor_details()
    assert not [tensor["name"] for tensor in tensors if np.issubdtype(tensor["dtype"], np.floating)]
    np.testing.assert_allclose(interpret(path, images), model(normalize(images, SPEC)), rtol=0, atol=0.04)


def test_relu_is_fused_and_other_activations_are_separate_layers() -> None:
    kinds = {body: [type(layer).__name__ for layer in fold_model(network(body)).layers[1:-2]] for body in KINDS}
    assert kinds[with_tanh] == [
        *("Conv2D", "Activation", "AveragePooling2D", "Conv2D", "Activation", "AveragePooling2D"),
        *("Flatten", "Dense", "Activation"),
    ]
    assert kinds[with_shortcuts] == [
        *("Conv2D", "ZeroPadding2D", "MaxPooling2D", "Conv2D", "Add", "ReLU", "Conv2D", "GlobalAveragePooling2D"),
    ]
    assert {"Activation", "Multiply", "Reshape"} <= set(kinds[with_gates])
    assert "BatchNormalization" not in kinds[with_gates]


def test_only_layers_with_their_own_scale_are_observed() -> None:
    def observed(body: Body) -> dict[str, Range]:
        return observe_ranges(fold_model(network(body)), [noise(8)])

    # Branches share the range of their concatenation; pooling keeps the range of its input.
    assert observed(with_branches).keys() == {"stem", "reduced", "together", "last", "pool", "classifier"}
    # The scale of the output of tanh is fixed, that of its input is not.
    assert observed(with_tanh).keys() == {"first", "second", "hidden", "classifier"}
    assert observed(with_gates).keys() == {
        *("stem", "stem_swish_swish", "squeeze", "reduce", "reduce_swish", "expand", "excite", "last", "pool"),
        "classifier",
    }


@every_kind
def test_a_training_step_changes_every_kernel(body: Body) -> None:
    aware = calibrated_model(network(body), SPEC, list(pixels(8)))
    kernels = [weight for weight in aware.trainable_weights if "kernel" in weight.name]
    before = [weight.numpy() for weight in kernels]
    aware.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    aware.fit(normalize(pixels(16), SPEC), np.arange(16) % 4, batch_size=8, verbose=0)
    assert len(kernels) == sum(
        hasattr(layer, "kernel_size") or hasattr(layer, "units") for layer in network(body).layers
    )
    assert all(not np.array_equal(weight.numpy(), old) for weight, old in zip(kernels, before, strict=True))
