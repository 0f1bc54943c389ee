"""A network with gray input, from the photos to the live loop, at the size of MNIST's pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.model_file.tflite_metadata import find_metadata
from edgecnn.core.precision import Precision
from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
from tests.cli.commands import json_lines_of, json_of, run_here


@pytest.fixture(scope="module")
def gray_model(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the small network for MNIST as an int8 file."""
    from edgecnn.training.export import export_run
    from edgecnn.training.train import train

    run = tmp_path_factory.mktemp("gray") / "run"
    train(few_digits, run, TrainSettings(model="mnist_cnn", weights="none", epochs=4, learning_rate=1e-2))
    return export_run(run, ExportSettings(precisions=("int8",), calibration_images=12))[-1]


def test_its_input_is_one_channel_of_bytes(gray_model: Path) -> None:
    description = json_of("inspect", gray_model)
    (image,) = description["inputs"]
    assert (image["shape"], image["dtype"]) == ([1, 28, 28, 1], "uint8")
    assert image["quantization"] == {"scale": pytest.approx(1 / 255), "zero_point": 0}
    assert (description["preprocess"]["mean"], description["preprocess"]["std"]) == ([0], [255])
    assert "float32" not in description["tensors"]


def test_it_classifies_files_and_a_live_source_alike(gray_model: Path, few_digits: Path) -> None:
    photos = few_digits / "test" / "1"
    one_by_one = [(line["label"], line["score"]) for line in json_lines_of("classify", gray_model, photos)]
    live = [(line["label"], line["score"]) for line in json_lines_of("run", gray_model, "--source", photos)]
    assert live == one_by_one
    assert len(live) == 4


def test_it_reproduces_its_golden_vectors(gray_model: Path) -> None:
    outcome = run_here("verify", gray_model)
    assert outcome.status == 0, outcome.stderr


def test_it_is_compared_with_its_float_parent(gray_model: Path, few_digits: Path) -> None:
    float32 = gray_model.with_name(gray_model.name.replace("int8", "float32"))
    record = json_of("evaluate", gray_model, few_digits / "test", "--baseline", float32)
    assert record["n"] == 12
    assert record["paired"]["agreement"] > 0.5


def test_it_names_no_license_of_weights_that_it_does_not_use(gray_model: Path, exported: dict[Precision, Path]) -> None:
    assert b"Apache" not in (find_metadata(gray_model.read_bytes()) or b"")
    assert b"Apache-2.0" in (find_metadata(exported["int8"].read_bytes()) or b"")
