from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.core.dataset import Example, scan_dataset
from edgecnn.core.errors import DataError
from edgecnn.core.images import read_image
from edgecnn.core.preprocess import PreprocessSpec, preprocess
from edgecnn.core.processors import usable_processors
from edgecnn.runtime.inference.interpreter import find_runtime
from edgecnn.training.features.extraction import (
    TOLERANCE,
    engine_name,
    features_by_keras,
    features_by_litert,
    frozen_features,
)
from edgecnn.training.features.preprocessing import prepared_photos
from edgecnn.training.keras import keras, tf
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.normalization import normalize
from edgecnn.training.tflite.convert import convert

SPEC = PreprocessSpec(height=64, width=48, mean=(127.0, 120.0, 128.0), std=(128.0, 60.0, 127.5))


@pytest.fixture(scope="module")
def examples(few_digits: Path) -> tuple[Example, ...]:
    return scan_dataset(few_digits).splits["train"]


@pytest.fixture(scope="module")
def backbone() -> Any:
    return build_backbone(backbone_spec("efficientnet_lite0"), height=64, width=48, weights="imagenet")


class Details:
    """A `Progress` that remembers what was said beside the figures."""

    def __init__(self) -> None:
        self.told: set[str] = set()

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None:
        self.told.add(detail)


@pytest.fixture(scope="module")
def flatbuffer(backbone: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frozen") / "backbone.tflite"
    path.write_bytes(convert(backbone, "float32", SPEC))
    return path


def test_features_of_litert_are_those_of_keras(backbone: Any, flatbuffer: Path, examples: tuple[Example, ...]) -> None:
    actual = np.stack(list(features_by_litert(flatbuffer, examples[:8], SPEC)))
    expected = backbone(normalize(np.stack(list(prepared_photos(examples[:8], SPEC))), SPEC), training=False).numpy()
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE * np.abs(expected).max())
    assert actual.dtype == np.float32


@pytest.mark.skipif(usable_processors() < 2, reason="this process may use one processor only")
def test_the_number_of_processors_does_not_change_a_bit(flatbuffer: Path, examples: tuple[Example, ...]) -> None:
    allowed = os.sched_getaffinity(0)
    on_all = np.stack(list(features_by_litert(flatbuffer, examples, SPEC)))
    try:
        os.sched_setaffinity(0, {min(allowed)})
        on_one = np.stack(list(features_by_litert(flatbuffer, examples[::-1], SPEC)))[::-1]
    finally:
        os.sched_setaffinity(0, allowed)
    np.testing.assert_array_equal(on_one, on_all)


def test_litert_is_the_engine_where_it_computes_the_same(examples: tuple[Example, ...], tmp_path: Path) -> None:
    image = keras.Input((64, 48, 3))
    conv = keras.layers.Conv2D(5, 3, kernel_initializer="glorot_uniform")(image)
    network = keras.Model(image, keras.layers.GlobalAveragePooling2D()(conv), name="small")
    details = Details()
    flatbuffer = tmp_path / "store" / "backbone.tflite"
    actual = np.stack(list(frozen_features(network, examples, SPEC, flatbuffer, details)))
    assert details.told == {""}
    np.testing.assert_allclose(actual, np.stack(list(features_by_keras(network, examples, SPEC))), atol=1e-4)
    converted = flatbuffer.stat()
    again = np.stack(list(frozen_features(network, examples, SPEC, flatbuffer)))
    np.testing.assert_array_equal(again, actual)
    assert flatbuffer.stat() == converted


def test_where_litert_computes_something_else_keras_does_it_and_says_so(
    examples: tuple[Example, ...], tmp_path: Path
) -> None:
    image = keras.Input((64, 48, 3))
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.DepthwiseConv2D(5, depthwise_initializer="ones")(image))
    # The last bit of a sum decides.
    network = keras.Model(image, keras.layers.Lambda(lambda value: tf.sin(value * 1e9))(mean), name="chaotic")
    details = Details()
    actual = np.stack(list(frozen_features(network, examples, SPEC, tmp_path / "backbone.tflite", details)))
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(actual, np.stack(list(features_by_keras(network, examples, SPEC))))
    (told,) = details.told
    assert told.startswith("by Keras: LiteRT differs by ")


@pytest.mark.parametrize("count", [1, 32, 36])
def test_keras_computes_any_number_of_photos(count: int, backbone: Any, examples: tuple[Example, ...]) -> None:
    actual = np.stack(list(features_by_keras(backbone, examples[:count], SPEC)))
    pixels = np.stack(list(prepared_photos(examples[:count], SPEC)))
    np.testing.assert_allclose(actual, backbone(normalize(pixels, SPEC), training=False), rtol=1e-4, atol=1e-5)


def test_photos_are_prepared_in_their_order(examples: tuple[Example, ...]) -> None:
    expected = [preprocess(read_image(example.path), SPEC) for example in examples]
    np.testing.assert_array_equal(np.stack(list(prepared_photos(examples, SPEC))), np.stack(expected))


def test_a_photo_that_changed_since_it_was_found_is_named(flatbuffer: Path, examples: tuple[Example, ...]) -> None:
    changed = examples[2]._replace(sha256="0" * 64)
    with pytest.raises(DataError, match=f"{changed.path.name} has changed since it was scanned"):
        list(features_by_litert(flatbuffer, [*examples[:2], changed, *examples[3:]], SPEC))


def test_the_engine_is_named_with_its_version() -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU, and TensorFlow is the engine")
    runtime = find_runtime()
    assert engine_name() == f"{runtime.package} {runtime.version}, converted by tensorflow {tf.__version__}"
