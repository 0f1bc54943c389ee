from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.runtime.inference.classifier import load_model

# A test must not fail because the machine is busy with something else, so there is no deadline. `make test-slow` runs
# every property test again, with `--hypothesis-profile thorough`, whose examples are the same on every run.
settings.register_profile("default", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=200, derandomize=True)
settings.load_profile("default")

pytest_plugins = ["tests.trained"]


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of development data, which `EDGECNN_DATA` names."""
    where = os.environ.get("EDGECNN_DATA")
    if not where:
        pytest.skip("EDGECNN_DATA is not set: this test needs third-party models and photos")
    return Path(where)


def _model(data: Path, name: str) -> ModelFile:
    models = data / "third_party_models"
    return load_model(models / name, labels=models / "imagenet_labels.txt", preprocess="squash")


@pytest.fixture(scope="session")
def mobilenet_v2(data: Path) -> ModelFile:
    return _model(data, "mobilenet_v2_1.0_224_quant.tflite")


@pytest.fixture(scope="session")
def mobilenet_v1(data: Path) -> ModelFile:
    return _model(data, "mobilenet_v1_0.25_128_quant.tflite")
