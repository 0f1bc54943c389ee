"""The networks of the zoo on the way that a user takes them: train, export, classify."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.core.dataset import read_image
from edgecnn.core.model_file import read_model_file
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.settings import ExportSettings, TrainSettings
from edgecnn.runtime.classifier import Classifier
from edgecnn.runtime.interpreter import open_interpreter
from edgecnn.train.backbones import build_backbone
from edgecnn.train.convert import convert
from edgecnn.train.export import export_run
from edgecnn.train.model import attach_head
from edgecnn.train.quantization import input_quantization
from edgecnn.train.training import train
from edgecnn.train.zoo import BackboneSpec, zoo
from tests.train.interpreted import interpret

NARROWEST = {spec.name: spec for spec in reversed(zoo())}
LARGER = ("vgg19", "efficientnet_lite1", "efficientnet_lite2", "efficientnet_lite3", "efficientnet_lite4")
"""Made of the same code as a smaller one that goes all the way; efficientnet_lite0 does in many other tests."""


def smallest_size(spec: BackboneSpec) -> int:
    return max(32, spec.min_size)


def some_weights(spec: BackboneSpec, folder: Path) -> str:
    """A file of weights for a network to start from, as good as any for a test that does not ask how well."""
    file, size = folder / f"{spec.name}.h5", smallest_size(spec)
    build_backbone(spec, height=size, width=size, weights=None).save_weights(file)
    return str(file)


@pytest.mark.parametrize("name", [name for name in NARROWEST if name not in (*LARGER, "efficientnet_lite0")])
def test_a_network_goes_from_photos_to_an_int8_file_that_classifies(
    name: str, few_digits: Path, tmp_path: Path
) -> None:
    spec = NARROWEST[name]
    size = smallest_size(spec)
    settings = TrainSettings(model=name, alpha=spec.alpha, weights=some_weights(spec, tmp_path), height=size, epochs=1)
    run = tmp_path / "run"
    train(few_digits, run, settings)
    # The export refuses an int8 file that is not all integer or whose input is not a camera's bytes, and a float32 file
    # that computes otherwise than Keras.
    files = export_run(run, ExportSettings(precisions=("int8",), calibration_images=6))
    photo = read_image(next((few_digits / "test" / "1").iterdir()))
    for path in files:
        classifier = Classifier(read_model_file(path))
        assert classifier.input.shape == (1, size, size, spec.channels)
        top = classifier.classify(photo).top
        assert {best.label for best in top} == {"0", "1", "2"}
        assert sum(best.score for best in top) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", LARGER)
def test_a_larger_one_of_a_family_becomes_an_integer_file_too(name: str, tmp_path: Path) -> None:
    network = NARROWEST[name]
    spec = PreprocessSpec(height=32, width=32, mean=network.mean, std=network.std)
    model = attach_head(build_backbone(network, height=32, width=32, weights=None), 3, network.dropout)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(model, "int8", spec, list(images)))
    interpreter = open_interpreter(path, threads=1)
    assert not [each for each in interpreter.get_tensor_details() if np.issubdtype(each["dtype"], np.floating)]
    scale, zero_point = input_quantization(spec)
    assert interpreter.get_input_details()[0]["quantization"] == (pytest.approx(scale), zero_point)
    np.testing.assert_allclose(interpret(path, images).sum(axis=1), 1, atol=0.02)
