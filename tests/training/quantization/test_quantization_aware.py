from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.core.dataset import TEST, TRAIN
from edgecnn.core.errors import InputError
from edgecnn.core.precision import Precision
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.run.run_dataset import dataset_of_run
from edgecnn.core.run.run_folder import read_run
from edgecnn.training.fitting.input_pipeline import Labeled, labeled_pixels
from edgecnn.training.keras import keras, tf
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.classifier_model import load_float_model
from edgecnn.training.normalization import normalize
from edgecnn.training.qat import calibrated_model, load_quantization_aware_model
from edgecnn.training.quantization.calibration import calibrate_with
from edgecnn.training.quantization.fold_batch_norm import fold_model
from edgecnn.training.quantization.quantization_aware import (
    Range,
    input_quantization,
    input_range,
    observe_ranges,
    quantize_aware,
)
from edgecnn.training.tflite.convert import convert, with_extremes
from tests.training.interpreted import interpret, kernels
from tests.training.networks import IMAGE_SHAPE, SPEC, noise, pixels, scramble

layers = keras.layers


# ---- the input


@pytest.mark.parametrize(
    ("backbone", "scale", "zero_point", "limits"),
    [
        (backbone_spec("efficientnet_lite0"), 1 / 128, 127, (-127 / 128, 1.0)),
        (backbone_spec("mobilenet_v2"), 1 / 127.5, 128, (-128 / 127.5, 127 / 127.5)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_an_input_byte_is_its_own_quantized_value(
    backbone: Any, scale: float, zero_point: int, limits: tuple[float, float]
) -> None:
    spec = PreprocessSpec(height=8, width=8, mean=backbone.mean, std=backbone.std)
    assert input_quantization(spec) == (pytest.approx(scale), zero_point)
    assert input_range(spec) == pytest.approx(limits)
    levels = np.arange(256)
    np.testing.assert_allclose((levels - zero_point) * scale, (levels - spec.mean[0]) / spec.std[0])


@pytest.mark.parametrize(
    "change",
    [
        {"mean": (127.5, 127.5, 127.5)},
        {"mean": (123.0, 116.0, 103.0)},
        {"std": (58.0, 57.0, 57.0)},
    ],
    ids=str,
)
def test_a_normalization_that_bytes_cannot_express_is_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="int8 needs one integer mean and one std for all channels, got"):
        input_quantization(SPEC.model_copy(update=change))


def test_importing_it_first_prints_nothing() -> None:
    command = [sys.executable, "-c", "import edgecnn.training.quantization.fake_quant_layers"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""


# ---- small networks


def convolution(channels: int, size: int = 3, **options: Any) -> Any:
    return layers.Conv2D(channels, size, padding="same", use_bias=False, **options)


def small_network(classes: int = 4) -> Any:
    """Return a network with a convolution, a residual block with a depthwise one, padding, pooling and a head."""
    image = keras.Input(IMAGE_SHAPE, name="image")
    x = layers.ReLU(6.0)(layers.BatchNormalization()(convolution(8, strides=2, name="stem")(image)))
    y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)))
    y = layers.BatchNormalization()(convolution(8, 1, name="project")(y))
    x = layers.ZeroPadding2D(1, name="pad")(layers.Add(name="add")([x, y]))
    x = layers.ReLU()(layers.Conv2D(12, 3, name="top")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(classes, activation="softmax", name="classifier")(x))
    # With these weights, the outputs of the images differ by more than the tolerances below.
    scramble(model, seed=4)
    return model


def calibrated(model: Any) -> Any:
    return calibrated_model(model, SPEC, list(pixels(40, seed=1)))


def int8_outputs(model: Any, images: NDArray[np.uint8], folder: Path) -> NDArray[np.float32]:
    path = folder / "model.tflite"
    path.write_bytes(convert(model, "int8", SPEC))
    return interpret(path, images)


def test_every_layer_with_its_own_scale_is_observed_and_its_range_includes_zero() -> None:
    folded = fold_model(small_network())
    batches = [noise(5, seed) for seed in range(3)]
    ranges = observe_ranges(folded, batches)
    assert ranges.keys() == {"stem", "depthwise", "project", "add", "top", "pool", "classifier"}
    for name, (low, high) in ranges.items():
        values = keras.Model(folded.input, folded.get_layer(name).output)(np.concatenate(batches)).numpy()
        assert low == pytest.approx(min(0.0, float(values.min())), rel=1e-5)
        assert high == pytest.approx(max(0.0, float(values.max())), rel=1e-5)
    # The head's range is that of its logits, not of the probabilities after them.
    assert ranges["classifier"].low < 0
    assert ranges["stem"] == Range(0.0, pytest.approx(ranges["stem"].high))


def test_the_calibrated_model_is_close_to_the_float_network() -> None:
    model, images = small_network(), normalize(pixels(40, seed=2), SPEC)
    np.testing.assert_allclose(calibrated(model)(images), model(images), rtol=0, atol=0.02)


def test_the_int8_file_computes_the_same_as_the_fake_quantized_network(tmp_path: Path) -> None:
    aware, images = calibrated(small_network()), pixels(40, seed=2)
    np.testing.assert_allclose(
        int8_outputs(aware, images, tmp_path), aware(normalize(images, SPEC)), rtol=0, atol=0.012
    )


def test_saved_and_loaded_weights_compute_the_same(tmp_path: Path) -> None:
    model = small_network()
    aware = calibrated(model)
    aware.save_weights(tmp_path / "weights.h5")
    loaded = quantize_aware(fold_model(model), SPEC)
    images = normalize(pixels(8), SPEC)
    assert not np.array_equal(loaded(images), aware(images))
    loaded.load_weights(tmp_path / "weights.h5")
    np.testing.assert_array_equal(loaded(images), aware(images))


def vanishing_channel() -> Any:
    """Return a network with channels that are almost only bias, as batch normalization leaves dead channels."""
    image = keras.Input(IMAGE_SHAPE, name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="stem")(image)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, name="project")(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="classifier")(x))
    scramble(model, seed=3)
    for name, bias in (("stem", 2.0), ("depthwise", -3.0), ("project", 1.5)):
        kernel, biases = model.get_layer(name).get_weights()
        channel = (..., 1, slice(None)) if name == "depthwise" else (..., 1)
        kernel[channel] *= 1e-9
        biases[1] = bias
        model.get_layer(name).set_weights([kernel, biases])
    return model


def test_the_bias_of_a_vanishing_channel_does_not_overflow(tmp_path: Path) -> None:
    model, images = vanishing_channel(), pixels(20, seed=2)
    aware = calibrated(model)
    expected = model(normalize(images, SPEC)).numpy()
    np.testing.assert_allclose(aware(normalize(images, SPEC)), expected, rtol=0, atol=0.02)
    np.testing.assert_allclose(int8_outputs(aware, images, tmp_path), expected, rtol=0, atol=0.02)


def test_a_channel_of_zeros_can_be_quantized(tmp_path: Path) -> None:
    model, images = small_network(), pixels(20, seed=2)
    (kernel,) = model.get_layer("stem").get_weights()
    kernel[..., 3] = 0
    model.get_layer("stem").set_weights([kernel])
    aware = calibrated(model)
    np.testing.assert_allclose(
        int8_outputs(aware, images, tmp_path), aware(normalize(images, SPEC)), rtol=0, atol=0.012
    )
    np.testing.assert_allclose(aware(normalize(images, SPEC)), model(normalize(images, SPEC)), rtol=0, atol=0.03)


# ---- a training step


def stepped(frozen: set[str]) -> tuple[Any, dict[str, list[NDArray[np.float32]]]]:
    """Return a calibrated network after three training steps, and its kernels and biases from before."""
    model = small_network()
    for layer in model.layers:
        layer.trainable = layer.name not in frozen and not isinstance(layer, layers.BatchNormalization)
    aware = calibrated(model)
    before = {name: parameters(aware, name) for name in ("stem", "depthwise", "project", "top", "classifier")}
    aware.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    aware.fit(normalize(pixels(24), SPEC), np.arange(24) % 4, batch_size=8, verbose=0)
    return aware, before


def parameters(aware: Any, name: str) -> list[NDArray[np.float32]]:
    return [variable(aware, name, "kernel"), variable(aware, name, "bias")]


def variable(aware: Any, name: str, ending: str) -> NDArray[np.float32]:
    (match,) = (weight for weight in aware.get_layer(f"quant_{name}").weights if weight.name.endswith(f"{ending}:0"))
    values: NDArray[np.float32] = match.numpy()
    return values


def test_training_changes_only_layers_that_are_not_frozen() -> None:
    frozen = {"stem", "depthwise", "project"}
    aware, before = stepped(frozen)
    for name, values in before.items():
        same = [np.array_equal(now, then) for now, then in zip(parameters(aware, name), values, strict=True)]
        assert same == [name in frozen] * 2, name


def test_after_training_the_range_of_a_kernel_is_its_largest_weight() -> None:
    aware, _ = stepped(frozen=set())
    # Ranges are set in the forward pass, so they belong to the weights before the last step.
    aware.compile(keras.optimizers.Adam(1e-30), "sparse_categorical_crossentropy")
    aware.fit(normalize(pixels(8), SPEC), np.arange(8) % 4, verbose=0)
    for name in ("stem", "depthwise", "project"):
        kernel, _ = parameters(aware, name)
        axes = (0, 1, 3) if name == "depthwise" else (0, 1, 2)
        low, high = variable(aware, name, "kernel_min"), variable(aware, name, "kernel_max")
        np.testing.assert_allclose(high, np.abs(kernel).max(axis=axes), rtol=1e-6)
        np.testing.assert_array_equal(low, -high)


def test_training_with_fake_quantization_improves_the_network(tmp_path: Path) -> None:
    model = small_network(classes=2)
    images = pixels(64)
    classes = np.arange(64) % 2
    images[classes == 1] //= 2
    aware = calibrated_model(model, SPEC, list(images))
    aware.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    aware.fit(normalize(images, SPEC), classes, epochs=15, batch_size=16, verbose=0)
    outputs = int8_outputs(aware, images, tmp_path)
    assert (outputs.argmax(axis=1) == classes).mean() > 0.95
    quantized = list(kernels((tmp_path / "model.tflite").read_bytes()))
    assert {kernel.operator for kernel in quantized} == {"conv", "depthwise", "dense"}
    assert all((kernel.zero_points == 0).all() for kernel in quantized)


# ---- the trained network


@pytest.fixture(scope="module")
def test_photos(trained_run: Path) -> Labeled:
    _, record = read_run(trained_run)
    return labeled_pixels(dataset_of_run(record).splits[TEST], record.preprocess)


def agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())


def test_the_calibrated_model_agrees_with_post_training_quantization(
    trained_run: Path, exported: dict[Precision, Path], test_photos: Labeled, tmp_path: Path
) -> None:
    folder, record = read_run(trained_run)
    photos = calibrate_with(dataset_of_run(record).splits[TRAIN], record.preprocess, 100, seed=0).images
    start = calibrated_model(load_float_model(folder, record), record.preprocess, photos)
    path = tmp_path / "start.tflite"
    path.write_bytes(convert(start, "int8", record.preprocess))
    aware, after = interpret(path, test_photos.pixels), interpret(exported["int8"], test_photos.pixels)
    assert agreement(aware, after) >= 0.97
    accuracies = [float((outputs.argmax(axis=1) == test_photos.classes).mean()) for outputs in (aware, after)]
    assert accuracies[0] >= accuracies[1] - 0.02


def test_the_quantization_aware_file_agrees_with_keras_with_fake_quantization(
    qat_run: Path, qat_exported: Path, test_photos: Labeled
) -> None:
    folder, record = read_run(qat_run)
    model = load_quantization_aware_model(folder, record)
    expected = model.predict(normalize(test_photos.pixels, record.preprocess), verbose=0)
    assert agreement(interpret(qat_exported, test_photos.pixels), expected) >= 0.98


def test_depthwise_kernels_have_a_scale_per_channel(qat_exported: Path) -> None:
    depthwise = [kernel for kernel in kernels(qat_exported.read_bytes()) if kernel.operator == "depthwise"]
    assert len(depthwise) == 16
    for kernel in depthwise:
        assert kernel.scales.shape == kernel.zero_points.shape == (kernel.shape[-1],)
        assert np.unique(kernel.scales).size > 1


def test_no_weight_has_a_zero_point(qat_exported: Path, exported: dict[Precision, Path]) -> None:
    for path in (qat_exported, exported["int8"]):
        weights = list(kernels(path.read_bytes()))
        assert len(weights) == 50
        assert all((kernel.zero_points == 0).all() for kernel in weights)
        assert all((kernel.scales > 0).all() for kernel in weights)


# ---- the converter's input scale


def test_black_and_white_pixels_are_added_to_a_copy() -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    marked = with_extremes(image)
    assert (marked.min(), marked.max()) == (0, 255)
    assert (image == 100).all()
    assert (marked.reshape(-1, 3)[2:] == 100).all()


def test_fake_quantization_does_not_change_images() -> None:
    folded = fold_model(small_network())
    aware = quantize_aware(folded, SPEC)
    quantized = keras.Model(aware.input, aware.get_layer("image_quantized").output)
    levels = np.resize(np.arange(256, dtype=np.uint8), (1, *IMAGE_SHAPE))
    np.testing.assert_allclose(quantized(normalize(levels, SPEC)), normalize(levels, SPEC), rtol=0, atol=1e-6)
    beyond = tf.constant([[[[-2.0, 0.0, 2.0]] * SPEC.width] * SPEC.height])
    low, high = input_range(SPEC)
    np.testing.assert_allclose(quantized(beyond).numpy()[0, 0, 0], [low, 0.0, high], atol=1e-6)
