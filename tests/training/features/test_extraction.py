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


class Recorder:
    """A `Progress` that records the details."""

    def __init__(self) -> None:
        self.details: set[str] = set()

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None:
        self.details.add(detail)


@pytest.fixture(scope="module")
def flatbuffer(backbone: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frozen") / "backbone.tflite"
    path.write_bytes(convert(backbone, "float32", SPEC))
    return path


def test_litert_computes_the_features_of_keras(backbone: Any, flatbuffer: Path, examples: tuple[Example, ...]) -> None:
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


def test_litert_is_used_if_it_agrees_with_keras(examples: tuple[Example, ...], tmp_path: Path) -> None:
    image = keras.Input((64, 48, 3))
    conv = keras.layers.Conv2D(5, 3, kernel_initializer="glorot_uniform")(image)
    network = keras.Model(image, keras.layers.GlobalAveragePooling2D()(conv), name="small")
    recorder = Recorder()
    flatbuffer = tmp_path / "store" / "backbone.tflite"
    actual = np.stack(list(frozen_features(network, examples, SPEC, flatbuffer, recorder)))
    assert recorder.details == {""}
    np.testing.assert_allclose(actual, np.stack(list(features_by_keras(network, examples, SPEC))), atol=1e-4)
    converted = flatbuffer.stat()
    again = np.stack(list(frozen_features(network, examples, SPEC, flatbuffer)))
    np.testing.assert_array_equal(again, actual)
    assert flatbuffer.stat() == converted


def test_keras_is_used_if_litert_differs_and_the_progress_says_so(
    examples: tuple[Example, ...], tmp_path: Path
) -> None:
    image = keras.Input((64, 48, 3))
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.DepthwiseConv2D(5, depthwise_initializer="ones")(image))
    # The output depends on the last bit of a sum.
    network = keras.Model(image, keras.layers.Lambda(lambda value: tf.sin(value * 1e9))(mean), name="chaotic")
    recorder = Recorder()
    actual = np.stack(list(frozen_features(network, examples, SPEC, tmp_path / "backbone.tflite", recorder)))
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(actual, np.stack(list(features_by_keras(network, examples, SPEC))))
    (detail,) = recorder.details
    assert detail.startswith("by Keras: LiteRT differs by ")


@pytest.mark.parametrize("count", [1, 32, 36])
def test_keras_computes_any_number_of_photos(count: int, backbone: Any, examples: tuple[Example, ...]) -> None:
    actual = np.stack(list(features_by_keras(backbone, examples[:count], SPEC)))
    pixels = np.stack(list(prepared_photos(examples[:count], SPEC)))
    np.testing.assert_allclose(actual, backbone(normalize(pixels, SPEC), training=False), rtol=1e-4, atol=1e-5)


def test_photos_are_prepared_in_order(examples: tuple[Example, ...]) -> None:
    expected = [preprocess(read_image(example.path), SPEC) for example in examples]
    np.testing.assert_array_equal(np.stack(list(prepared_photos(examples, SPEC))), np.stack(expected))


def test_a_photo_that_changed_since_the_scan_is_named(flatbuffer: Path, examples: tuple[Example, ...]) -> None:
    changed = examples[2]._replace(sha256="0" * 64)
    with pytest.raises(DataError, match=f"{changed.path.name} has changed since it was scanned"):
        list(features_by_litert(flatbuffer, [*examples[:2], changed, *examples[3:]], SPEC))


def test_the_name_of_the_engine_includes_its_version() -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU, so Keras is the engine")
    runtime = find_runtime()
    assert engine_name() == f"{runtime.package} {runtime.version}, converted by tensorflow {tf.__version__}"
