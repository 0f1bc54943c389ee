"""The networks of the zoo on the way that a user takes them: train, export, classify."""

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


def smallest_size(spec: BackboneSpec) -> int:
    return max(32, spec.min_size)


def some_weights(spec: BackboneSpec, folder: Path) -> str:
    """A file of weights for a network to start from, as good as any for a test that does not ask how well."""
    file, size = folder / f"{spec.name}.h5", smallest_size(spec)
    build_backbone(spec, height=size, width=size, weights=None).save_weights(file)
    return str(file)


@pytest.mark.parametrize("name", NARROWEST)
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
