from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgecnn.core.precision import Precision
from edgecnn.core.run.run_folder import RunFolder
from tests.colors import write_color_model, write_color_photos


@pytest.fixture(scope="session")
def color_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model file that classifies all `color_photos` correctly."""
    return write_color_model(tmp_path_factory.mktemp("models") / "colors.tflite")


@pytest.fixture(scope="session")
def color_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with sixty photos of each of three colors."""
    return write_color_photos(tmp_path_factory.mktemp("photos") / "colors", 60)


@pytest.fixture
def run_with_models(exported: dict[Precision, Path], tmp_path: Path) -> RunFolder:
    """Return a writable copy of the run of handwritten digits with its float32 and int8 files."""
    source, run = RunFolder(exported["int8"].parent.parent), RunFolder(tmp_path / "digits")
    run.export.mkdir(parents=True)
    shutil.copy(source.record_file, run.record_file)
    for precision in ("float32", "int8"):
        shutil.copy(exported[precision], run.export)
    return run


@pytest.fixture
def trained_copy(trained_run: Path, tmp_path: Path) -> RunFolder:
    """Return a writable copy of the run of handwritten digits."""
    return RunFolder(shutil.copytree(trained_run, tmp_path / "digits"))
