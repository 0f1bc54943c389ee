"""A live image classifier from a folder of labeled photos, in one `.tflite` file.

    import edgecnn

    edgecnn.train("photos/", "runs/clothes")
    edgecnn.export("runs/clothes")
    classifier = edgecnn.Classifier("runs/clothes/export/clothes-int8.tflite")
    print(classifier.classify("photo.jpg").best)

Names are loaded when they are first used: the device side needs no TensorFlow, and `edgecnn --help` no OpenCV.
`docs/python.md` goes through the whole chain.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecnn.api import benchmark, check_data, evaluate, export, load_run, qat, train
    from edgecnn.core.errors import (
        DataError,
        DeviceError,
        EdgecnnError,
        ExportError,
        GateFailed,
        GateUndecided,
        InputError,
        Interrupted,
        MissingDependency,
        ModelFileError,
        SourceError,
        SourceLost,
        UnknownName,
        VerifyFailed,
        WorkerLost,
        WriteError,
    )
    from edgecnn.core.frame import Frame, Prediction, Score
    from edgecnn.core.images import read_image
    from edgecnn.core.model_file.model_file import read_model_file
    from edgecnn.core.preprocess import PreprocessSpec, preprocess
    from edgecnn.core.settings.augment import AugmentSettings
    from edgecnn.core.settings.command_settings import BenchmarkSettings, ExportSettings, QatSettings, TrainSettings
    from edgecnn.core.settings.min_recall import MinRecall
    from edgecnn.runtime.inference.classifier import Classifier, classify, load_model
    from edgecnn.runtime.live.camera import LoopSettings
    from edgecnn.runtime.live.loop import run_loop
    from edgecnn.runtime.sources import open_source

_MODULES = {
    "edgecnn.api": ("benchmark", "check_data", "evaluate", "export", "load_run", "qat", "train"),
    "edgecnn.core.errors": (
        *("DataError", "DeviceError", "EdgecnnError", "ExportError", "GateFailed", "GateUndecided", "InputError"),
        *("Interrupted", "MissingDependency", "ModelFileError", "SourceError", "SourceLost", "UnknownName"),
        *("VerifyFailed", "WorkerLost", "WriteError"),
    ),
    "edgecnn.core.frame": ("Frame", "Prediction", "Score"),
    "edgecnn.core.images": ("read_image",),
    "edgecnn.core.model_file.model_file": ("read_model_file",),
    "edgecnn.core.preprocess": ("PreprocessSpec", "preprocess"),
    "edgecnn.core.settings.augment": ("AugmentSettings",),
    "edgecnn.core.settings.command_settings": ("BenchmarkSettings", "ExportSettings", "QatSettings", "TrainSettings"),
    "edgecnn.core.settings.min_recall": ("MinRecall",),
    "edgecnn.runtime.inference.classifier": ("Classifier", "classify", "load_model"),
    "edgecnn.runtime.live.camera": ("LoopSettings",),
    "edgecnn.runtime.live.loop": ("run_loop",),
    "edgecnn.runtime.sources": ("open_source",),
}
"""Module of each public name, imported when the name is first used."""

_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [  # Written out for type checkers and editors; a test compares it with `_MODULES`.
    "AugmentSettings",
    "BenchmarkSettings",
    "Classifier",
    "DataError",
    "DeviceError",
    "EdgecnnError",
    "ExportError",
    "ExportSettings",
    "Frame",
    "GateFailed",
    "GateUndecided",
    "InputError",
    "Interrupted",
    "LoopSettings",
    "MinRecall",
    "MissingDependency",
    "ModelFileError",
    "Prediction",
    "PreprocessSpec",
    "QatSettings",
    "Score",
    "SourceError",
    "SourceLost",
    "TrainSettings",
    "UnknownName",
    "VerifyFailed",
    "WorkerLost",
    "WriteError",
    "__version__",
    "benchmark",
    "check_data",
    "classify",
    "evaluate",
    "export",
    "load_model",
    "load_run",
    "open_source",
    "preprocess",
    "qat",
    "read_image",
    "read_model_file",
    "run_loop",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 # It takes longer than everything else here.

        return version("edgecnn")
    if name not in _HOMES:
        raise AttributeError(f"module 'edgecnn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
