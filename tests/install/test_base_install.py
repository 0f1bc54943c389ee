"""Tests of the wheel with only the base dependencies, as on a device: without TensorFlow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgecnn.core.precision import Precision
from edgecnn.runtime.inference.classifier import Classifier, load_model
from edgecnn.runtime.sources import ImageSource, images_in

VENV = os.environ.get("EDGECNN_BASE_VENV")
pytestmark = pytest.mark.skipif(
    not VENV, reason="EDGECNN_BASE_VENV is not set: make test creates an environment with the base install"
)

SCORE_TOLERANCE = {"int8": 1e-6, "float32": 1e-5}
"""The command rounds to six digits. An int8 score is a multiple of 1/256, so within this tolerance it is the same."""


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """Return an empty working folder outside this checkout."""
    folder = tmp_path / "device"
    folder.mkdir()
    return folder


@pytest.fixture
def photos(digits: Path, device: Path) -> Path:
    """Copy two test photos of each digit to the working folder."""
    for digit in sorted((digits / "test").iterdir()):
        target = device / "photos" / digit.name
        target.mkdir(parents=True)
        for image in sorted(digit.iterdir())[:2]:
            shutil.copy(image, target)
    return device / "photos"


def run_on(device: Path, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment in the working folder."""
    assert VENV
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(Path(VENV) / "bin" / program), *map(str, arguments)]
    return subprocess.run(
        command, cwd=device, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def output_of(device: Path, *arguments: object) -> str:
    """Return the output of an `edgecnn` command, which must succeed."""
    result = run_on(device, "edgecnn", *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def lines_of(device: Path, *arguments: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output_of(device, *arguments, "--json").splitlines()]


@pytest.mark.parametrize("module", ["tensorflow", "tf_keras", "keras", "sklearn", "matplotlib"])
def test_dependencies_of_training_are_not_installed(module: str, device: Path) -> None:
    result = run_on(device, "python", "-c", f"import {module}")
    assert result.returncode != 0
    assert f"No module named '{module}'" in result.stderr


def test_the_package_is_the_installed_one(device: Path) -> None:
    location = run_on(device, "python", "-c", "import edgecnn; print(edgecnn.__file__)").stdout
    assert VENV and Path(location).is_relative_to(VENV)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_classify_gives_the_same_results_as_where_the_model_was_trained(
    precision: Precision, exported: dict[Precision, Path], photos: Path, device: Path
) -> None:
    model = shutil.copy(exported[precision], device)
    lines = lines_of(device, "classify", model, photos, "--top-k", 10)
    classifier = Classifier(load_model(exported[precision]), top_k=10)
    paths = images_in(photos)
    assert [line["source"] for line in lines] == [str(path) for path in paths]
    for line, path in zip(lines, paths, strict=True):
        with ImageSource([path], name="photo") as source:
            frame = source.read()
        assert frame is not None
        here = {score.label: score.score for score in classifier.classify(frame.pixels).top}
        there = {score["label"]: score["score"] for score in line["top"]}
        assert there == pytest.approx(here, abs=SCORE_TOLERANCE[precision])


def test_evaluate_compares_two_models(exported: dict[Precision, Path], photos: Path, device: Path) -> None:
    model, baseline = (shutil.copy(exported[precision], device) for precision in ("int8", "float32"))
    record = json.loads(output_of(device, "evaluate", model, photos, "--baseline", baseline, "--json"))
    assert record["n"] == record["baseline"]["n"] == 20
    assert record["top1"] > 0.5


def test_benchmark_measures(exported: dict[Precision, Path], device: Path) -> None:
    model = shutil.copy(exported["int8"], device)
    brief = ("--queries", "64", "--seconds", "0")
    record = json.loads(output_of(device, "benchmark", model, *brief, "--json"))
    assert record["stages"]["total"]["n"] >= 64
    assert "cold start" in output_of(device, "benchmark", model, *brief)


def test_inspect_describes(exported: dict[Precision, Path], device: Path) -> None:
    model = shutil.copy(exported["int8"], device)
    record = json.loads(output_of(device, "inspect", model, "--json"))
    assert record["card"]["precision"] == "int8"
    assert record["runtime"].startswith("ai-edge-litert ")


def test_run_processes_a_folder(exported: dict[Precision, Path], photos: Path, device: Path) -> None:
    model = shutil.copy(exported["int8"], device)
    lines = lines_of(device, "run", model, "--source", photos)
    assert [line["frame"] for line in lines] == list(range(20))


def test_models_and_recipes_are_listed(device: Path) -> None:
    assert {line["name"] for line in lines_of(device, "models")} >= {"efficientnet_lite0", "mobilenet_v2"}
    recipes = {line["name"]: Path(line["path"]) for line in lines_of(device, "pipeline", "list")}
    assert set(recipes) == {"clothing", "mnist", "pneumonia", "quickstart"}
    assert VENV and all(path.is_file() and path.is_relative_to(VENV) for path in recipes.values())


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "photos", "--out", "run"),
        ("export", "run", "--int8"),
        ("qat", "run"),
        ("pipeline", "run", "quickstart"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_training_commands_report_what_to_install_in_one_line(
    arguments: tuple[str, ...], photos: Path, device: Path
) -> None:
    result = run_on(device, "edgecnn", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert "pip install 'edgecnn[train]'" in result.stderr
    assert [path.name for path in device.iterdir()] == ["photos"]
