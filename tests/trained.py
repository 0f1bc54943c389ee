"""A pytest plugin with fixtures that take long to create; all tests share them, and no test may change them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.core.precision import PRECISIONS, Precision
from edgecnn.core.run.run_folder import RunFolder
from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.core.settings.command_settings import ExportSettings, QatSettings, TrainSettings
from tests.build_once import build_once, session_folder

# TensorFlow takes seconds to import, so only the fixtures that need it import it.

UNMIRRORED = AugmentSettings(flip=False)
"""For digits: a mirrored digit is a different one, or none."""

RUN_NAME = "digits"
"""Name of the runs and model files of these fixtures."""

FEW_DIGITS = {"train": 12, "validation": 6, "test": 4}
"""Number of photos of each of the three classes in `few_digits`, by split."""


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Use one cache folder for all tests of a session, in all processes: never the user's."""
    folder = session_folder(tmp_path_factory) / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGECNN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the handwritten digits as a folder of images, with a train, a validation and a test split."""
    from edgecnn.pipeline.digits import write_digits

    return build_once(tmp_path_factory, "digits", write_digits)


@pytest.fixture(scope="session")
def few_digits(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a few images of 0, 1 and 2, for tests that train but do not depend on the accuracy."""

    def build(folder: Path) -> None:
        for split, count in FEW_DIGITS.items():
            for digit in "012":
                target = folder / split / digit
                target.mkdir(parents=True)
                for image in sorted((digits / split / digit).iterdir())[:count]:
                    shutil.copy(image, target)

    return build_once(tmp_path_factory, "few_digits", build)


@pytest.fixture(scope="session")
def trained_run(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of the digits: EfficientNet-Lite0 at 64x64 pixels with a new head, good enough to be quantized."""

    def build(run: Path) -> None:
        from edgecnn.training.train import train

        train(digits, run, TrainSettings(height=64, epochs=12, learning_rate=3e-3, batch_size=64, augment=UNMIRRORED))

    return build_once(tmp_path_factory, "trained_run", build, name=RUN_NAME)


@pytest.fixture(scope="session")
def exported(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Precision, Path]:
    """Return `trained_run` as a model file of each precision, in the export folder of a copy of the run."""

    def build(run: Path) -> None:
        from edgecnn.training.export import export_run

        shutil.copytree(trained_run, run)
        export_run(run, ExportSettings(precisions=PRECISIONS))

    run = RunFolder(build_once(tmp_path_factory, "exported", build, name=RUN_NAME))
    return {precision: run.model_file(RUN_NAME, precision) for precision in PRECISIONS}


@pytest.fixture(scope="session")
def qat_run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of `trained_run` with one epoch of quantization-aware training."""

    def build(run: Path) -> None:
        from edgecnn.training.qat import train_quantization_aware

        shutil.copytree(trained_run, run)
        train_quantization_aware(run, QatSettings(epochs=1, learning_rate=1e-3, batch_size=64))

    return build_once(tmp_path_factory, "qat_run", build, name=RUN_NAME)


@pytest.fixture(scope="session")
def qat_exported(qat_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the int8 file of `qat_run`, in the export folder of a copy of the run, beside its float32 parent."""

    def build(run: Path) -> None:
        from edgecnn.training.export import export_run

        shutil.copytree(qat_run, run)
        export_run(run, ExportSettings(precisions=("int8",)))

    return RunFolder(build_once(tmp_path_factory, "qat_exported", build, name=RUN_NAME)).model_file(RUN_NAME, "int8")
