"""Tests of every network in the zoo from end to end: train, export, classify."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.images import read_image
from edgecnn.core.model_file.model_file import read_model_file
from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.training.export import export_run
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import BackboneSpec, zoo
from edgecnn.training.train import train

NARROWEST = {spec.name: spec for spec in reversed(zoo())}
LARGE = {
    *(f"efficientnet_lite{number}" for number in range(1, 5)),
    *("alexnet", "efficientnet_b0", "googlenet", "mobilenet_v1", "mobilenet_v2", "resnet50", "vgg16", "vgg19"),
}
"""Networks that take long to train and export; `make test` trains the small ones and EfficientNet-Lite0."""
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in NARROWEST]


def smallest_size(spec: BackboneSpec) -> int:
    return max(32, spec.min_size)


def weights_file(spec: BackboneSpec, folder: Path) -> str:
    """Write random weights to start from: these tests do not check accuracy."""
    file, size = folder / f"{spec.name}.h5", smallest_size(spec)
    build_backbone(spec, height=size, width=size, weights=None).save_weights(file)
    return str(file)


@pytest.mark.parametrize("name", NAMES)
def test_every_network_can_be_trained_and_exported_as_int8(name: str, few_digits: Path, tmp_path: Path) -> None:
    spec = NARROWEST[name]
    size = smallest_size(spec)
    settings = TrainSettings(model=name, alpha=spec.alpha, weights=weights_file(spec, tmp_path), height=size, epochs=1)
    run = tmp_path / "run"
    train(few_digits, run, settings)
    # The export itself rejects an int8 file that is not fully integer or does not take a camera's bytes as input, and a
    # float32 file whose results differ from Keras.
    files = export_run(run, ExportSettings(precisions=("int8",), calibration_images=6))
    photo = read_image(next((few_digits / "test" / "1").iterdir()))
    for path in files:
        classifier = Classifier(read_model_file(path))
        assert classifier.input.shape == (1, size, size, spec.channels)
        top = classifier.classify(photo).top
        assert {score.label for score in top} == {"0", "1", "2"}
        assert sum(score.score for score in top) == pytest.approx(1, abs=0.02)
